"""Scenarios for the native bench, which runs a whole one in milliseconds, and what each must come to.

They are what `openppu_verif.mutation` measures: a change of the netlist counts as found if one of them fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from openppu.config import TileConfig
from openppu.formats.spec import BINARY32, FORMATS, Format
from openppu_sim.cycles.tile import Cause, CycleReport, Stalls, simulate
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.tile import Addend, plan
from openppu_sim.reference.corners import corner_operands, random_triples
from openppu_sim.reference.formats import Bits, Bits32, to_float64
from openppu_sim.simulator.tile import NativeRun, Workload, run

from openppu_verif.tile.scoreboard import Expected, expect
from openppu_verif.tile.stimulus import (
    Case,
    block_command,
    filled_case,
    plan_case,
    random_accumulators,
    random_case,
    unknown_formats,
)

CYCLES_AFTER = 8
"""Cycles to go on when the tile is idle."""
TRIPLES = 10
"""Scenarios of `triples` for each format and lane."""

Draw = Callable[[Format, int, np.random.Generator], tuple[Bits, Bits, Bits32]]
"""Draws operands and addends, such as `random_triples`."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A case, from reset; and the cycle of another reset, after which it starts anew.

    Parameters
    ----------
    case : Case
    reset_at : int, optional
    """

    case: Case
    reset_at: int | None = None

    @property
    def label(self) -> str:
        """What failures call it."""
        return self.case.label + ("" if self.reset_at is None else f", reset in cycle {self.reset_at}")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a scenario must come to.

    Parameters
    ----------
    values : Expected
        Results, from the reference.
    report : CycleReport
        Cycles, from the model.
    start : int
        Cycle in which the first command is offered.
    """

    values: Expected
    report: CycleReport
    start: int


def scenarios(config: TileConfig, *, randoms: int = 30, resets: int = 15, seed: int = 1) -> Iterator[Scenario]:
    """Directed scenarios, then random ones, then random ones with a reset in the middle."""
    for case in directed(config, np.random.default_rng([seed, 0])):
        yield Scenario(case=case)
    unknown = np.zeros(config.accumulators, bool)
    for number in range(randoms):
        yield Scenario(case=random_case(config, np.random.default_rng([seed, 1, number]), unknown, f"random {number}"))
    for number in range(resets):
        rng = np.random.default_rng([seed, 2, number])
        case = random_case(config, rng, unknown, f"random {number}")
        busy = predict(case, config).report.busy_cycles
        yield Scenario(case=case, reset_at=predict(case, config).start + int(rng.integers(1, max(2, busy))))


def directed(config: TileConfig, rng: np.random.Generator) -> Iterator[Case]:
    """For each format: corner values against each other, sums carried from command to command, a held result."""
    for number, name in enumerate(config.formats):
        fmt = FORMATS[name]
        corners = rng.permutation(corner_operands(fmt))[: 3 * config.accumulators]
        shape = corners.size, corners.size
        for c in (None, random_accumulators(fmt, shape, rng)):
            planned = plan(shape[0], 1, shape[1], name, config, addend=Addend.ZERO if c is None else Addend.STREAM)
            yield plan_case(planned, corners[:, None], corners[None, :], c, f"{name} corners")
        a, b = rng.choice(corners, (9, 2 * config.rows + 1)), rng.choice(corners, (2 * config.rows + 1, 7))
        yield plan_case(plan(9, a.shape[1], 7, name, config), a, b, None, f"{name} sums of corners")
        steps = ((Addend.STREAM, 0), (Addend.ACCUMULATOR, 0), (Addend.ACCUMULATOR, 1), (Addend.ZERO, 1))
        commands = [
            block_command(config, name, addend=int(addend), emit=emit, m=3, n_blocks=2, k_blocks=2, accumulator=5,
                          a_base=5 * place, b_base=7 * place, a_k_stride=config.rows)
            for place, (addend, emit) in enumerate(steps)
        ]  # fmt: skip
        yield filled_case(config, rng, commands, f"{name} carried sums")
        every = block_command(config, name, m=config.accumulators, n_blocks=1, k_blocks=2)
        held = Stalls(results=[False] * (4 * config.accumulators + 60 + number))
        for again in (replace(every, accumulator=1), replace(every, k_blocks=1)):  # the last finds one row free
            yield filled_case(config, rng, [every, again], f"{name} results held", held)
        for lane in range(config.rows):
            for turn in range(TRIPLES):
                draw = near_ties if fmt.is_float and turn % 2 else random_triples
                yield triples(config, rng, name, lane, draw, f"{name} triples {turn} in lane {lane}")
    yield from counts(config, rng)


def near_ties(fmt: Format, n: int, rng: np.random.Generator) -> tuple[Bits, Bits, Bits32]:
    """Random triples, most of whose sums lie near to, but not on, the middle between two binary32 numbers."""
    a, b, c = random_triples(fmt, 16 * n, rng)
    with np.errstate(all="ignore"):
        total = to_float64(a, fmt) * to_float64(b, fmt) + to_float64(c, BINARY32)
        from_middle = np.abs(np.frexp(np.abs(total))[0] * 2.0**24 % 1 - 0.5)
    near = (from_middle > 0) & (from_middle < 1 / 32)
    chosen = np.argsort(~near, kind="stable")[:n]
    return a[chosen], b[chosen], c[chosen]


def triples(config: TileConfig, rng: np.random.Generator, name: str, lane: int, draw: Draw, label: str) -> Case:
    """Sums of one product, each cell of a row its own: in all other lanes, activations are zeros.

    A block has one row for each column. Of row c, column c has the operands and the addend of a triple from ``draw``.
    """
    fmt = FORMATS[name]
    columns, row = config.columns, config.rows
    blocks = (1 << min(config.address_bits, 8)) // max(columns, row)
    a, b, c = draw(fmt, blocks * columns, rng)
    activations = (rng.integers(0, 2, (blocks * columns, row)) << (fmt.bits - 1)) * fmt.is_float
    activations[:, lane] = a
    # Row r of block i is beat i + r, so a block's triples are in beat i + lane; the other rows multiply zeros.
    weights = np.concatenate([b[: lane * columns], b, b[: (row - 1 - lane) * columns]]).reshape(-1, columns)
    addends = rng.choice(c, (blocks, columns, columns))
    addends[:, range(columns), range(columns)] = c.reshape(blocks, columns)
    commands = [
        block_command(config, name, addend=int(Addend.STREAM), m=columns, a_base=block * columns, b_base=block,
                      accumulator=block * columns % config.accumulators)
        for block in range(blocks)
    ]  # fmt: skip
    workload = Workload(
        commands=commands,
        activations=activations.astype(np.uint16),
        weights=weights.astype(np.uint16),
        addends=addends.reshape(-1, columns),
    )
    return Case(label=label, workload=workload)


def counts(config: TileConfig, rng: np.random.Generator) -> Iterator[Case]:
    """The largest counts of a command, and each code of a format that is not built in."""
    name = config.formats[0]
    blocks, k_blocks = 2 * config.accumulators - 1, (1 << min(config.count_bits, 5)) - 1
    strides = {"a_k_stride": 3, "b_k_stride": 5, "b_n_stride": 7}
    for m, n_blocks in ((1, blocks), (config.accumulators, 1), (1, config.accumulators)):
        largest = block_command(config, name, m=m, n_blocks=n_blocks, k_blocks=k_blocks, **strides)
        yield filled_case(config, rng, [largest], f"{m} rows, {n_blocks} by {k_blocks} blocks")
    good = block_command(config, name)
    commands = [replace(good, format=code) for code in unknown_formats(config)]
    yield filled_case(config, rng, [good, *commands, good], "formats that are not built in")


def predict(case: Case, config: TileConfig) -> Prediction:
    """What the reference and the cycle model say of a case."""
    accumulators = np.zeros((config.accumulators, config.columns), np.uint32)
    offered = np.asarray(case.stalls.commands, bool)
    return Prediction(
        values=expect(case.workload, config, accumulators),
        report=simulate(case.workload.commands, config, case.stalls, memory_latency=case.memory_latency),
        start=int(np.argmax(np.append(offered, True))),
    )


def play(
    executable: Path, config: TileConfig, scenario: Scenario, prediction: Prediction, *, mutant: int = 0
) -> str | None:
    """Run a scenario on a native model; the first thing that is not as predicted, or nothing."""
    report, case = prediction.report, scenario.case
    patterns = (len(np.asarray(pattern)) for pattern in vars(case.stalls).values())
    try:
        outcome = run(
            executable,
            config,
            case.workload,
            stalls=case.stalls,
            memory_latency=case.memory_latency,
            results=report.results,
            most_cycles=(scenario.reset_at or 0) + prediction.start + report.busy_cycles + max(patterns) + 200,
            cycles_after=report.busy_cycles - report.cycles + CYCLES_AFTER,
            reset_at=scenario.reset_at,
            mutant=mutant,
            timeout=30,
        )
    except SimulationError as error:
        return str(error)
    return difference(outcome, prediction)


def difference(outcome: NativeRun, prediction: Prediction) -> str | None:
    """The first way in which a run is not as predicted, or nothing."""
    values, report = prediction.values, prediction.report
    if not np.array_equal(outcome.rows, values.results):
        wrong = np.argwhere(outcome.rows != values.results)
        row, column = wrong[0]
        seen, wanted = outcome.rows[row, column], values.results[row, column]
        return f"{len(wrong)} elements wrong; the first, row {row} column {column}: {seen:#010x}, not {wanted:#010x}"
    if not np.array_equal(outcome.last, values.last):
        return f"`last` wrong at row {np.argmax(outcome.last != values.last)}"
    if outcome.cycles != report.cycles:
        return f"{outcome.cycles} cycles, the model says {report.cycles}"
    timeline = report.timeline[: report.cycles]
    if not np.array_equal(outcome.timeline, timeline):
        cycle = int(np.argmax(outcome.timeline != timeline))
        return f"cycle {cycle} went to {outcome.timeline[cycle]}, the model says {Cause(timeline[cycle]).name.lower()}"
    # The counters go on after the last result, and began before the first command.
    idle = np.full(max(0, outcome.simulated - report.busy_cycles), Cause.IDLE, np.uint8)
    whole = np.concatenate([idle[: prediction.start], report.timeline, idle])[: outcome.simulated]
    counts = {cause.name.lower(): int((whole == cause).sum()) for cause in Cause}
    counts |= {"commands": report.commands - report.refused, "refused": report.refused, "results": report.results}
    for name, count in counts.items():
        if outcome.counters[name] != count:
            return f"counter {name} counted {outcome.counters[name]}, the model {count}"
    return None
