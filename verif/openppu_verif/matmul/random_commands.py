"""Random commands of the matmul engine: legal ones of every kind, and some of each that is refused."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS
from openppu.matmul.sizes import Sizes
from openppu_sim.lowering.matmul import Addend, Ending, MatmulCommand, Result
from openppu_sim.reference.matmul_engine import STORES, MatmulEngineReference

MEMORY_BYTES = 1 << 15
REGION = 48 << 7
"""Bytes for matrices A, for B, for C, for D, and for D of commands that read the D of earlier ones, after them. So no
command reads what one that may still run writes."""

USUAL = {"a": 0, "b": 1, "c": 2, "d": 3}


def random_memory(seed: int) -> np.ndarray:
    """A scratchpad full of numbers, small ones mostly, so that sums differ in every bit."""
    rng = np.random.default_rng(seed)
    memory = rng.integers(0, 256, MEMORY_BYTES).astype(np.uint8)
    tame = rng.random(MEMORY_BYTES // 2) < 0.9
    halves = memory.view("<u2")
    halves[tame] = (halves[tame] & 0x83FF) | 0x3C00  # near 1 as bf16 and as fp16
    return memory


class RandomCommands:
    """Draws commands for a chip.

    Parameters
    ----------
    chip : ChipConfig
    seed : int
    most : int
        Rows and blocks that a product has at most.
    """

    def __init__(self, chip: ChipConfig, seed: int, *, most: int = 14) -> None:
        self.tile = chip.tile
        self.reference = MatmulEngineReference(chip, np.zeros(MEMORY_BYTES, np.uint8))
        self.chance = random.Random(seed)
        self.most = most
        self.last: MatmulCommand | None = None

    def draw(self) -> MatmulCommand:
        """The next command; one in eight is not legal."""
        chance = self.chance
        command = self._legal()
        if self.last is not None and chance.random() < 0.2:
            command = self._continued(command)
        if chance.random() < 0.125:
            broken = self._broken(command)
            if self.reference.refusal(broken) is not Ending.OKAY:
                return broken
        self.last = command
        return command

    def _size(self) -> int:
        kind = self.chance.random()
        if kind < 0.2:
            return 1
        if kind < 0.4:
            return self.chance.choice([self.tile.rows, 2 * self.tile.rows, 3 * self.tile.rows])
        return self.chance.randint(1, self.most)

    def _legal(self) -> MatmulCommand:
        chance, tile = self.chance, self.tile
        fmt = FORMATS[chance.choice(tile.formats)]
        m, n, k = self._size(), self._size(), self._size()
        n = min(n, tile.accumulators * tile.columns)
        while m * -(-n // tile.columns) > tile.accumulators:
            m = max(1, m // 2)
        wanted = [name for name in tile.formats if fmt.is_float or not FORMATS[name].is_float]
        kind = chance.choice([Result.NONE, Result.KEPT, *[Result.SUMS] * 2, *[Result.CONVERTED] * 2])
        to = [FORMATS[name] for name in wanted if not FORMATS[name].is_float or fmt.is_float]
        if kind == Result.CONVERTED and not to:
            kind = Result.SUMS
        scale = np.float32(chance.choice([0.0, 0.01, 1.0, -0.37, 1e-4, 0.5]) * chance.uniform(0.5, 2)).view(np.uint32)
        command = MatmulCommand(
            m=m,
            n=n,
            k=k,
            format=fmt.code,
            a_address=0,
            a_stride=0,
            b_address=0,
            b_stride=0,
            transpose_a=int(chance.random() < 0.4),
            transpose_b=int(chance.random() < 0.4),
            addend=chance.choice([Addend.ZERO, Addend.SCRATCHPAD]),
            accumulator=chance.randrange(tile.accumulators),
            result=kind,
            result_format=chance.choice(to).code if to else 0,
            relu=int(chance.random() < 0.3),
            saturate=int(chance.random() < 0.5),
            stochastic=int(self.reference.can_be_stochastic and chance.random() < 0.3),
            zero_point=chance.randint(-128, 127),
            scale=int(scale),
            after=int(chance.random() < 0.15),
        )
        # After all others a command may read what they wrote.
        regions = dict(USUAL)
        if command.after and chance.random() < 0.5:
            regions[chance.choice("abc")] = 3
            if command.result in STORES:
                regions["d"] = 4
        return self.placed(command, regions)

    def placed(self, command: MatmulCommand, regions: dict[str, int] = USUAL) -> MatmulCommand:
        """A command with addresses and strides, now that its sizes are known, each matrix in its region."""
        chance = self.chance
        given: dict[str, int] = {}
        for name, (_, _, rows, row_bytes, align) in self.reference.ranges(command).items():
            least = -(-row_bytes // align) * align
            fits = max(least, (REGION - least) // max(1, rows - 1) // align * align)
            stride = chance.choice([least, least, least + align, fits])
            stride = stride if least + (rows - 1) * stride <= REGION else least
            if name != "d" and chance.random() < 0.1:
                stride = 0
            room = REGION - row_bytes - (rows - 1) * stride
            address = regions[name] * REGION + chance.randint(0, max(0, room) // align) * align
            given |= {f"{name}_address": address, f"{name}_stride": stride}
        return replace(command, **given)

    def _continued(self, command: MatmulCommand) -> MatmulCommand:
        """A command that adds to the accumulators of the one before."""
        last = self.last
        assert last is not None
        shape = dict(m=last.m, n=last.n, accumulator=last.accumulator, addend=Addend.ACCUMULATORS, after=0)
        return self.placed(replace(command, **shape))

    def _broken(self, command: MatmulCommand) -> MatmulCommand:
        chance = self.chance
        most = self.tile.accumulators
        changes: list[dict[str, int]] = [
            {chance.choice("mnk"): 0},
            {"addend": chance.randint(3, 15)},
            {"result": chance.randint(4, 15)},
            {"reserved": chance.randint(1, 3)},
            {"format": chance.randint(5, 15)},
            {"result": 2, "result_format": chance.randint(5, 15)},
            {"accumulator": chance.randint(most, 65535)},
            {"m": chance.randint(most + 1, 65535), "a_stride": 0, "c_stride": 0, "d_stride": 0},
            {"m": most, "n": most, "k": 99, "a_stride": 0, "b_stride": 0, "c_stride": 0, "d_stride": 0},
            {"k": 65535},
            {"n": 65535},
        ]
        for name in "abcd":
            changes += [
                {f"{name}_address": getattr(command, f"{name}_address") + chance.randint(1, 7)},
                {f"{name}_stride": getattr(command, f"{name}_stride") + chance.randint(1, 7)},
                {f"{name}_address": MEMORY_BYTES - chance.choice([0, 8, 16, 32])},
                {f"{name}_stride": (1 << 24) - chance.choice([64, 128])},
                {f"{name}_address": (1 << 24) - chance.choice([64, 128])},
            ]
        return replace(command, **chance.choice(changes))


def named_words(commands: Sequence[MatmulCommand], chip: ChipConfig, errors: Sequence[Ending]) -> np.ndarray:
    """Of each word of the scratchpad, a bit for each port that may reach it; as in `EngineRun.touched`."""
    word_bytes = Sizes.of(chip).word_bytes
    reference = MatmulEngineReference(chip, np.zeros(MEMORY_BYTES, np.uint8))
    words = np.zeros(MEMORY_BYTES // word_bytes, np.uint8)
    for command, error in zip(commands, errors, strict=True):
        if error not in (Ending.OKAY, Ending.MEMORY):
            continue
        for port, name in enumerate("abcd"):
            if name in (ranges := reference.ranges(command)):
                address, stride, rows, row_bytes, _ = ranges[name]
                starts = address + stride * np.arange(rows)[:, None]
                places = (starts + np.arange(0, row_bytes, 1)) // word_bytes
                words[places] |= 1 << port
    return words
