"""Random work for the tile: operands, commands, stall patterns. Everything follows from the generator it is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from openppu.config import TileConfig
from openppu.formats.spec import BINARY32, FORMATS, Format
from openppu_sim.cycles.tile import Stalls
from openppu_sim.lowering.tile import Addend, TileCommand, TilePlan
from openppu_sim.reference.corners import classify, corner_accumulators, corner_operands
from openppu_sim.reference.formats import Bits, Bits32, bits_dtype, encode
from openppu_sim.simulator.tile import Workload

from openppu_verif.tile.environment import STREAMS
from openppu_verif.tile.scoreboard import FORMAT_OF_CODE, accumulator_rows, activation_addresses, weight_addresses

REFUSALS = ("m", "n_blocks", "k_blocks", "k_last", "k_last_over", "addend", "format")
"""Ways in which a command can be refused: a zero count, ``k_last`` over R, a code that is not known or not built in."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A workload and how its surroundings behave.

    Parameters
    ----------
    label : str
        What failures call it.
    workload : Workload
    n_last : sequence of int
        For each command, the columns of its last N block that are not padding; for coverage only.
    stalls : Stalls
    memory_latency : int
    """

    label: str
    workload: Workload
    n_last: Sequence[int] = ()
    stalls: Stalls = field(default_factory=Stalls)
    memory_latency: int = 1


def random_operands(fmt: Format, shape: tuple[int, ...], rng: np.random.Generator) -> Bits:
    """Operands of one random kind: ordinary, any finite bits, corners, zeros and subnormals, or any bits.

    The kinds with NaN and infinity are rare, since a sum that has met one shows no further mistake.
    """
    count = int(np.prod(shape))
    any_bits = rng.integers(0, 1 << fmt.bits, count).astype(bits_dtype(fmt))
    if not fmt.is_float:
        return np.where(rng.random(count) < rng.choice((0.0, 0.3)), rng.choice(corner_operands(fmt), count), any_bits
                        ).astype(np.uint8).reshape(shape)  # fmt: skip
    kind = rng.choice(("ordinary", "finite", "corners", "small", "any"), p=(0.5, 0.2, 0.15, 0.1, 0.05))
    if kind == "ordinary":
        values = rng.standard_normal(count) * 2.0 ** rng.integers(-3, 4, count)
        bits = encode(values.astype(np.float32), fmt)
    elif kind == "any":
        bits = any_bits
    else:
        candidates = corner_operands(fmt)
        if kind == "finite":
            candidates = np.concatenate([candidates, rng.integers(0, 1 << fmt.bits, 1000).astype(candidates.dtype)])
        allowed = ("zero", "subnormal") if kind == "small" else ("zero", "subnormal", "normal")
        candidates = candidates[np.isin(classify(candidates, fmt), allowed)]
        bits = rng.choice(candidates, count)
    return bits.reshape(shape)


def random_accumulators(fmt: Format, shape: tuple[int, ...], rng: np.random.Generator) -> Bits32:
    """Values to add to, for products of a format: ordinary ones and corners; few NaNs and infinities."""
    corners = corner_accumulators(fmt)
    if not fmt.is_float:
        any_bits = rng.integers(0, 1 << 32, shape, dtype=np.uint32)
        return np.where(rng.random(shape) < 0.2, rng.choice(corners, shape), any_bits).astype(np.uint32)
    if rng.random() < 0.9:
        corners = corners[np.isin(classify(corners, BINARY32), ("zero", "subnormal", "normal"))]
    values = rng.standard_normal(shape).astype(np.float32).view(np.uint32)
    return np.where(rng.random(shape) < 0.2, rng.choice(corners, shape), values).astype(np.uint32)


def garbage(fmt: Format, shape: tuple[int, ...], rng: np.random.Generator) -> Bits:
    """What may stand in padding and must never matter: NaNs, infinities, any bits."""
    any_bits = rng.integers(0, 1 << fmt.bits, shape)
    if fmt.is_float:
        specials = [fmt.nan_bits, *([fmt.infinity_bits] if fmt.has_infinity else [fmt.max_finite_bits])]
        any_bits = np.where(rng.random(shape) < 0.5, rng.choice(specials, shape), any_bits)
    return any_bits.astype(bits_dtype(fmt))


class Memories:
    """Operand memories of a tile that fill as commands are added; an address keeps what it was given first.

    Of a wide address only the low bits choose a beat.
    """

    MOST_BITS = 12

    def __init__(self, config: TileConfig, rng: np.random.Generator) -> None:
        self.config = config
        self._rng = rng
        self._size = size = 1 << min(config.address_bits, self.MOST_BITS)
        self.activations = rng.integers(0, 1 << config.operand_bits, (size, config.rows)).astype(np.uint16)
        self.weights = rng.integers(0, 1 << config.operand_bits, (size, config.columns)).astype(np.uint16)
        self._given = np.zeros((2, size), bool)
        self._addends: list[Bits32] = []

    def add(self, command: TileCommand, n_last: int) -> None:
        """Fill what a command reads, with garbage in its padding: lanes past ``k_last``, columns past ``n_last``."""
        config, rng, fmt = self.config, self._rng, FORMAT_OF_CODE[command.format]
        for k_block in range(command.k_blocks):
            used = command.k_last if k_block == command.k_blocks - 1 else config.rows
            rows = activation_addresses(command, config, k_block)
            beats = garbage(fmt, (rows.size, config.rows), rng)
            beats[:, :used] = random_operands(fmt, (rows.size, used), rng)
            self._fill(0, self.activations, rows, beats, fmt)
            for n_block in range(command.n_blocks):
                rows = weight_addresses(command, config, k_block, n_block)
                columns = n_last if n_block == command.n_blocks - 1 else config.columns
                beats = garbage(fmt, (rows.size, config.columns), rng)
                beats[:, :columns] = random_operands(fmt, (rows.size, columns), rng)
                self._fill(1, self.weights, rows, beats, fmt)
        if command.addend == Addend.STREAM:
            shape = command.m * command.n_blocks, config.columns
            self._addends.append(random_accumulators(fmt, shape, rng))

    def workload(self, commands: Sequence[TileCommand]) -> Workload:
        """The workload of these commands, all of which were added, but for the refused ones."""
        addends = np.concatenate([*self._addends, np.zeros((0, self.config.columns), np.uint32)])
        return Workload(commands=commands, activations=self.activations, weights=self.weights, addends=addends)

    def _fill(self, which: int, memory: np.ndarray, addresses: np.ndarray, beats: Bits, fmt: Format) -> None:
        given = self._given[which]
        fresh = ~given[addresses % self._size]
        places = addresses[fresh] % self._size
        # An 8-bit operand has noise in the high byte of its lane.
        memory[places] = memory[places] & np.uint16(0xFFFF << fmt.bits & 0xFFFF) | beats[fresh]
        given[places] = True


def random_case(config: TileConfig, rng: np.random.Generator, known: np.ndarray, label: str) -> Case:
    """Random commands under random stalls.

    Parameters
    ----------
    config : TileConfig
    rng : numpy Generator
    known : ndarray of bool, shape (accumulators,)
        Accumulator rows whose contents are known at the start; no command adds to others.
    label : str
        What failures call it.
    """
    memories = Memories(config, rng)
    known = known.copy()
    commands: list[TileCommand] = []
    n_last: list[int] = []
    cycles = 0
    for _ in range(int(rng.integers(1, 13))):
        command = random_command(config, rng, known, commands[-1] if commands else None)
        if rng.random() < 0.06:
            command = refused(command, config, rng.choice(REFUSALS))
        elif cycles + command.bound_cycles(config) > 1500:
            continue
        else:
            cycles += command.bound_cycles(config)
        commands.append(command)
        n_last.append(config.columns if rng.random() < 0.5 else int(rng.integers(1, config.columns + 1)))
        if not command.is_refused(config):
            memories.add(command, n_last[-1])
            known[accumulator_rows(command, config)] = True
    return Case(
        label=label,
        workload=memories.workload(commands),
        n_last=n_last,
        stalls=random_stalls(rng, cycles),
        memory_latency=int(rng.choice((1, 1, 1, 2, 5))),
    )


def random_command(
    config: TileConfig, rng: np.random.Generator, known: np.ndarray, before: TileCommand | None
) -> TileCommand:
    """A legal command that adds to known accumulators only; often like, or upon, the one before it."""
    rows, accumulators = config.rows, config.accumulators
    m = _one_of(rng, [range(1, 2), range(2, rows), range(rows, rows + 1), range(rows + 1, min(2 * rows + 4, 40))])
    m = min(m, accumulators)
    n_blocks = int(rng.choice((1, 1, 2, 3, 4)))
    if m * n_blocks > accumulators and rng.random() < 0.9:
        n_blocks = max(1, accumulators // m)
    ragged = _one_of(rng, [range(1, rows)]) if rows > 1 else 1
    k_blocks, k_last = [(1, ragged), (1, rows), (int(rng.integers(2, 6)), ragged), (int(rng.integers(2, 6)), rows)][
        rng.integers(4)
    ]
    like_before = before is not None and rng.random() < 0.4
    accumulator = before.accumulator if before and like_before else int(rng.integers(accumulators))
    addresses = 1 << config.address_bits
    steps = (0, 1, 2, rows, addresses - 1, int(rng.integers(addresses)))
    command = TileCommand(
        format=FORMATS[rng.choice(config.formats)].code,
        addend=int(rng.choice(tuple(Addend))),
        emit=int(rng.random() < 0.6),
        m=m,
        n_blocks=n_blocks,
        k_blocks=k_blocks,
        k_last=k_last,
        accumulator=accumulator,
        a_base=int(rng.integers(addresses)),
        a_k_stride=int(rng.choice(steps)),
        a_row_stride=int(rng.choice(steps)),
        b_base=int(rng.integers(addresses)),
        b_k_stride=int(rng.choice(steps)),
        b_n_stride=int(rng.choice(steps)),
        b_row_stride=int(rng.choice(steps)),
    )
    if command.addend == Addend.ACCUMULATOR and not known[accumulator_rows(command, config)].all():
        command = replace(command, addend=int(rng.choice((Addend.ZERO, Addend.STREAM))))
    return command


def refused(command: TileCommand, config: TileConfig, why: str) -> TileCommand:
    """The command with one thing wrong, one of ``REFUSALS``.

    Where nothing can be wrong in that way, since every code is built in or no larger count fits, the first way is used.
    """
    change: dict[str, int] = {
        "k_last_over": {"k_last": config.rows + 1},
        "addend": {"addend": 3},
        "format": {"format": unknown_formats(config)[0]},
    }.get(why, {why: 0})
    if change.get("k_last", 0) >= 1 << config.rows.bit_length():
        change = {REFUSALS[0]: 0}
    return replace(command, **change)


def unknown_formats(config: TileConfig) -> list[int]:
    """The codes of formats that are not built in."""
    return [code for code in range(8) if code not in {FORMATS[name].code for name in config.formats}]


def random_pattern(rng: np.random.Generator, cycles: int) -> np.ndarray:
    """Up to about ``cycles`` cycles at random, in bursts, one in so many, or with one long gap."""
    length = int(rng.integers(1, cycles + 40))
    match rng.integers(4):
        case 0:
            return rng.random(length) < rng.choice((0.1, 0.5, 0.9))
        case 1:
            burst = int(rng.integers(2, 30))
            return np.repeat(rng.random(-(-length // burst)) < rng.choice((0.3, 0.7)), burst)
        case 2:
            return np.arange(length) % int(rng.integers(2, 7)) == 0
        case _:
            gap = int(rng.integers(0, length))
            pattern = np.ones(length, bool)
            pattern[gap : gap + int(rng.integers(5, 80))] = False
            return pattern


def random_stalls(rng: np.random.Generator, cycles: int) -> Stalls:
    """No stream stalls, one, or each with a chance of a half."""
    stalled = [set(), {rng.choice(STREAMS)}, {name for name in STREAMS if rng.random() < 0.5}][
        rng.choice(3, p=(0.1, 0.35, 0.55))
    ]
    return Stalls(**{name: random_pattern(rng, cycles) for name in STREAMS if name in stalled})


def block_command(config: TileConfig, fmt: str, **fields: int) -> TileCommand:
    """A command of one block, R rows and R x C weights, that starts from zero and emits; ``fields`` change it."""
    simple = {"addend": int(Addend.ZERO), "emit": 1, "m": config.rows, "n_blocks": 1, "k_blocks": 1}
    simple |= {"k_last": config.rows, "accumulator": 0, "a_base": 0, "a_k_stride": 0, "a_row_stride": 1}
    simple |= {"b_base": 0, "b_k_stride": config.rows, "b_n_stride": config.rows, "b_row_stride": 1}
    return TileCommand(format=FORMATS[fmt].code, **(simple | fields))


def filled_case(
    config: TileConfig,
    rng: np.random.Generator,
    commands: Sequence[TileCommand],
    label: str,
    stalls: Stalls | None = None,
    *,
    memory_latency: int = 1,
) -> Case:
    """These commands on random operands."""
    memories = Memories(config, rng)
    for command in commands:
        if not command.is_refused(config):
            memories.add(command, config.columns)
    return Case(
        label=label,
        workload=memories.workload(commands),
        n_last=[config.columns] * len(commands),
        stalls=stalls or Stalls(),
        memory_latency=memory_latency,
    )


def plan_case(plan: TilePlan, a: Bits, b: Bits, c: Bits32 | None, label: str) -> Case:
    """A planned matrix product as a case."""
    ragged = plan.n - (-(-plan.n // plan.config.columns) - 1) * plan.config.columns
    last_block = sum(plan.groups[-1])
    # One command a chunk and a group, unless K is longer than a command's count of blocks.
    ends = [first + count for _ in plan.chunks for first, count in plan.groups]
    lanes = np.zeros((0, plan.config.columns), np.uint32)
    return Case(
        label=label,
        workload=Workload(
            commands=plan.commands,
            activations=plan.activation_image(a),
            weights=plan.weight_image(b),
            addends=lanes if c is None else plan.addend_rows(c),
        ),
        n_last=[ragged if end == last_block else plan.config.columns for end in ends],
    )


def _one_of(rng: np.random.Generator, ranges: Sequence[range]) -> int:
    """A number from one of the ranges that are not empty, each as likely as the others."""
    some = [numbers for numbers in ranges if numbers]
    return int(rng.choice(some[rng.integers(len(some))]))
