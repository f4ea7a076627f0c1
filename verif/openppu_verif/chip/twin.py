"""A chip's engines by their numpy references, which also say what each command reads and writes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.config import ChipConfig
from openppu.formats.operand import formats_named
from openppu.vector.command import ACCUMULATORS, DIMENSIONS
from openppu.vector.instruction import COUNTS, INPUTS, INSTRUCTION_BYTES, PARAMETERS
from openppu_sim.kernels.vector.commands import Command as VectorCommand
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream
from openppu_sim.lowering.matmul import Addend, MatmulCommand, Result
from openppu_sim.reference import dma
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_sim.reference.vector import VectorReference

WINDOW = 16 << 10
"""Bytes of memory, its first ones, in which programs work."""

Mask = NDArray[np.bool_]
STREAM_FIELDS = ("stream", "base", "format", "single", "saturate", "held", "tail", "tail_dimension", "fill")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a command ended, and which bytes it may have read and written: the window's, the scratchpad's, those of the
    accumulators, as words of the scratchpad."""

    error: int
    reads: Mask
    writes: Mask


class Twin:
    """Memory, scratchpad and engines of a chip with one compute unit.

    Parameters
    ----------
    chip : ChipConfig
    """

    def __init__(self, chip: ChipConfig) -> None:
        self.chip = chip
        self.pad_bytes = chip.scratchpad.capacity
        self.memory = np.zeros(chip.hbm.capacity, np.uint8)
        self.pad = np.zeros(self.pad_bytes, np.uint8)
        self.formats = tuple(fmt for fmt in formats_named(chip.tile.formats) if fmt.is_float)
        self.memories = dma.Memories(self.memory, self.pad, [self.pad])
        self.matmul = MatmulEngineReference(chip, self.pad)
        self.vector = VectorReference(chip, self.pad, accumulators=self.matmul.accumulators)
        rows = chip.tile.accumulators
        self.reached = WINDOW + self.pad_bytes + chip.scratchpad.word_bytes * rows
        """Bytes that a `Reach` tells of."""
        self.summed = np.zeros(rows, bool)
        """Rows of accumulators all of whose columns hold sums."""
        self.landed = np.ones(rows, bool)
        """... that are there when the product that was the last ends, and so when any later one does."""

    def put(self, window: NDArray[np.uint8], pad: NDArray[np.uint8]) -> None:
        """Put bytes into the window and the scratchpad."""
        self.memory[:WINDOW] = window
        self.pad[:] = pad

    def follow(self, other: "Twin") -> None:
        """Take everything that another twin holds."""
        self.put(other.memory[:WINDOW], other.pad)
        self.matmul.accumulators[:] = other.matmul.accumulators
        self.summed[:], self.landed[:] = other.summed, other.landed
        self.vector.registers[:] = other.vector.registers
        self.vector.program[:] = other.vector.program
        self.vector.streams = {number: _copy(stream) for number, stream in other.vector.streams.items()}

    def run(self, engine: str, name: str, given: Mapping[str, int]) -> int:
        """Do a command of an engine; how it ended."""
        return self.reach(engine, name, given).error

    def reach(self, engine: str, name: str, given: Mapping[str, int]) -> Reach:
        """Do a command; how it ended, and what it reached."""
        reads, writes = np.zeros((2, self.reached), bool)
        error: Any
        if engine in ("load", "store"):
            store = engine == "store"
            outcome = dma.run(name, given, self.memories, store=store, formats=self.formats)
            error = outcome.error
            for mask, memory, pad in (
                (reads, outcome.memory_read, outcome.scratchpad_read),
                (writes, outcome.memory_written, outcome.scratchpad_written),
            ):
                mask[self._places(memory)] = True
                mask[np.fromiter(pad, np.int64, len(pad)) + WINDOW] = True
        elif engine == "matmul":
            command = MatmulCommand(**given)
            error = self.matmul.run(command)
            if error == 0:
                for matrix, (address, stride, rows, row_bytes, _) in self.matmul.ranges(command).items():
                    places = address + stride * np.arange(rows)[:, None] + np.arange(row_bytes)
                    (writes if matrix == "d" else reads)[WINDOW + places] = True
                self._sum(command, writes)
        elif engine == "vector":
            error = self._vector(name, given, reads, writes)
        else:
            error = self._link(name, given)
        return Reach(error=getattr(error, "value", error), reads=reads, writes=writes)

    def _sum(self, command: MatmulCommand, writes: Mask) -> None:
        """What becomes of the accumulators' rows."""
        tile = self.chip.tile
        blocks = -(-command.n // tile.columns)
        rows = (command.accumulator + np.arange(blocks * command.m)) % tile.accumulators
        whole = np.repeat((np.arange(blocks) + 1) * tile.columns <= command.n, command.m)
        known = self.summed[rows] if command.addend == Addend.ACCUMULATORS else True
        self.summed[rows] = whole & known
        if command.result == Result.NONE:
            self.landed[rows] = False
        else:
            self.landed[:] = True
        writes[WINDOW + self.pad_bytes :].reshape(tile.accumulators, -1)[rows] = True

    def _places(self, addresses: set[int]) -> NDArray[np.int64]:
        found = np.fromiter(addresses, np.int64, len(addresses))
        return np.where(found >= dma.REMOTE, found % dma.UNIT_BYTES + WINDOW, found)

    def _vector(self, name: str, given: Mapping[str, int], reads: Mask, writes: Mask) -> Any:
        command = vector_command(name, given)
        error = self.vector.do(command)
        if error != Error.OKAY and not isinstance(command, Run):
            return error
        if isinstance(command, LoadProgram):
            reads[WINDOW + command.source :][: command.count * INSTRUCTION_BYTES] = True
        if isinstance(command, Run):
            for number, stream in self.vector.streams.items():
                of = stream.fields
                size = stream.format.bits // 8 * (1 if of["single"] else self.vector.lanes)
                reach = sum((of[f"count_{d}"] - 1) * of[f"stride_{d}"] for d in range(DIMENSIONS)) + size
                base = of["base"] if of["base"] < ACCUMULATORS else self.pad_bytes + of["base"] - ACCUMULATORS
                (reads if number < INPUTS else writes)[WINDOW + base :][:reach] = True
        return error

    def _link(self, name: str, given: Mapping[str, int]) -> Any:
        """A chip alone: what a SEND is refused for."""
        if name != "SEND":
            return Error.LINK
        if given["bytes"] == 0:
            return Error.FIELD
        if (given["source"] | given["target"] | given["bytes"]) % max(32, self.chip.link.beat_bytes):
            return Error.ALIGNMENT
        if given["source"] < dma.REMOTE and given["source"] + given["bytes"] > self.chip.hbm.capacity:
            return Error.BOUNDS
        return Error.LINK


def vector_command(name: str, given: Mapping[str, int]) -> VectorCommand:
    """A command of the vector unit from the fields of its instruction."""
    if name == "VECTOR_PROGRAM":
        return LoadProgram(source=given["source"], start=given["start"], count=given["count"])
    if name == "VECTOR_STREAM":
        return SetStream(
            **{field: given[field] for field in STREAM_FIELDS},  # type: ignore[arg-type]
            counts=[given[f"count_{d}"] for d in range(DIMENSIONS)],
            strides=[given[f"stride_{d}"] for d in range(DIMENSIONS)],
        )
    return Run(
        start=given["start"],
        rows=given["rows"],
        counts=[given[f"count_{n}"] for n in range(COUNTS)],
        parameters=[given[f"parameter_{n}"] for n in range(PARAMETERS)],
    )


def matmul_fields(command: MatmulCommand) -> dict[str, int]:
    """The fields of a product, as a command of a ring has them."""
    return {each.name: int(getattr(command, each.name)) for each in fields(MatmulCommand)}


def _copy(stream: Any) -> Any:
    return type(stream)(dict(stream.fields), stream.format, stream.at, stream.blocks)
