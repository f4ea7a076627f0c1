"""The vector unit with numpy, from docs/vector.md: commands change a scratchpad, registers and program memory."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32, FORMATS, Format
from openppu.vector.command import ACCUMULATORS, DIMENSIONS
from openppu.vector.instruction import (
    ACCUMULATOR_STREAMS,
    COUNTS,
    INPUTS,
    INSTRUCTION_BYTES,
    LOOP_DEPTH,
    OUTPUTS,
    PACKED_ROWS,
    PARAMETERS,
    STRIP,
    Kind,
    Source,
    Target,
)

from openppu_sim.kernels.vector.assembly import OF_REGISTERS, Instruction, Operand, from_word
from openppu_sim.kernels.vector.commands import OPCODES, Command, LoadProgram, Run, SetStream, Unknown, fields_of

from .formats import bits_dtype, from_binary32, to_binary32
from .lane import run_lane

Words = NDArray[np.uint32]
STREAMS = INPUTS + OUTPUTS
KINDS: Any = Kind
TO_STREAMS = (Target.STREAM, Target.BOTH)


class _EndedError(Exception):
    """A run that cannot go on."""

    def __init__(self, error: Any) -> None:
        super().__init__(error.name)
        self.error = error


@dataclass
class _Stream:
    """A stream's pattern, and how far it is."""

    fields: dict[str, int]
    format: Format
    at: int = 0
    blocks: int = 0
    """Blocks that may be begun, of a held stream."""

    @property
    def counts(self) -> list[int]:
        return [self.fields[f"count_{d}"] for d in range(DIMENSIONS)]

    @property
    def block(self) -> int:
        """Elements from one wait to the next."""
        return self.counts[0] * self.counts[1]

    def restart(self) -> None:
        self.at = self.blocks = 0

    def next(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Addresses of the next ``n`` elements, and which of them are tails; then they are behind."""
        place = np.arange(self.at, self.at + n) % int(np.prod(self.counts, dtype=np.int64))
        addresses = np.full(n, self.fields["base"], np.int64)
        tails = np.zeros(n, bool)
        for d, count in enumerate(self.counts):
            index = place % count
            addresses += index * self.fields[f"stride_{d}"]
            if d == self.fields["tail_dimension"]:
                tails = (index == count - 1) & (self.fields["tail"] != 0)
            place //= count
        self.at += n
        return addresses, tails


@dataclass
class VectorReference:
    """A vector unit and its scratchpad, beside a tile's accumulators.

    Parameters
    ----------
    chip : ChipConfig
    memory : ndarray of uint8
        The scratchpad; commands change it.
    wrong : collection of int
        Numbers of words that are read with an error.
    accumulators : ndarray of uint32, optional
        Of the tile, rows x columns; without, there are zeros.
    """

    chip: ChipConfig
    memory: NDArray[np.uint8]
    wrong: Collection[int] = ()
    accumulators: Words | None = None
    streams: dict[int, _Stream] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = self.chip.vector
        self.word_bytes = self.chip.scratchpad.word_bytes
        self.lanes = self.word_bytes // 4
        self.program = [0] * self.config.program_words
        self.registers = np.zeros((self.config.registers, self.config.strip_rows, self.lanes), np.uint32)
        self.formats = {
            fmt.code: fmt for name, fmt in FORMATS.items() if not fmt.is_float or name in self.config.formats
        }
        self.formats[BINARY32.code] = BINARY32
        tile = self.chip.tile
        zeros = np.zeros((tile.accumulators, tile.columns), np.uint32)
        self.sums = zeros if self.accumulators is None else self.accumulators

    def do_all(self, commands: Sequence[Command]) -> list[Any]:
        """How each command ends."""
        return [self.do(command) for command in commands]

    def do(self, command: Command) -> Any:
        """How a command ends. One that is refused changes nothing."""
        if isinstance(command, Unknown):
            if command.opcode in [each.value for each in OPCODES]:
                raise ValueError(f"opcode {command.opcode}: give the command's own class")
            return Error.OPCODE
        values = fields_of(command)
        if isinstance(command, SetStream):
            return self._set_stream(values)
        return self._load(values) if isinstance(command, LoadProgram) else self._start(command, values)

    # Commands.

    def _load(self, values: dict[str, int]) -> Any:
        source, start, count = values["source"], values["start"], values["count"]
        if count == 0 or start + count > self.config.program_words:
            return Error.FIELD
        if source % INSTRUCTION_BYTES:
            return Error.ALIGNMENT
        if source + count * INSTRUCTION_BYTES > self.memory.size:
            return Error.BOUNDS
        for place in range(count):
            at = source + place * INSTRUCTION_BYTES
            if at // self.word_bytes in self.wrong:
                return Error.MEMORY
            word = self.memory[at : at + INSTRUCTION_BYTES].tobytes()
            self.program[start + place] = int.from_bytes(word, "little")
        return Error.OKAY

    def _set_stream(self, values: dict[str, int]) -> Any:
        counts = [values[f"count_{d}"] for d in range(DIMENSIONS)]
        strides = [values[f"stride_{d}"] for d in range(DIMENSIONS)]
        if values["stream"] >= STREAMS or 0 in counts or values["tail"] > self.lanes:
            return Error.FIELD
        if values["format"] not in self.formats:
            return Error.FORMAT
        fmt = self.formats[values["format"]]
        unit = fmt.bits // 8 * (1 if values["single"] else self.lanes)
        if any(value % unit for value in (values["base"], *strides)):
            return Error.ALIGNMENT
        reach = sum((count - 1) * stride for count, stride in zip(counts, strides, strict=True))
        limit = self.memory.size
        if values["stream"] in ACCUMULATOR_STREAMS and values["base"] >= ACCUMULATORS:
            limit = ACCUMULATORS + self.word_bytes * self.chip.tile.accumulators
        if values["base"] + reach + unit > limit:
            return Error.BOUNDS
        self.streams[values["stream"]] = _Stream(values, fmt)
        return Error.OKAY

    def _start(self, run: Run, values: dict[str, int]) -> Any:
        counts = [values[f"count_{n}"] for n in range(COUNTS)]
        start, rows = values["start"], values["rows"]
        if start >= self.config.program_words or not 1 <= rows <= self.config.strip_rows or 0 in counts:
            return Error.FIELD
        program = self._checked(start)
        if program is None:
            return Error.FIELD
        for stream in self.streams.values():
            stream.restart()
        self._rows = rows
        self._parameters = [values[f"parameter_{n}"] for n in range(PARAMETERS)]
        try:
            self._play(program, counts)
        except _EndedError as ended:
            return ended.error
        return Error.OKAY

    # Programs.

    def _checked(self, start: int) -> list[Instruction] | None:
        """The program, or None if it must not be run."""
        program = []
        depth = 0
        for word in self.program[start:]:
            try:
                # A word that computes nothing may have anything in the fields that only computing needs.
                instruction = from_word(word if word >> 64 & 7 == KINDS.COMPUTE.value else self._control(word))
            except ValueError:
                return None
            if not self._fits(instruction, depth):
                return None
            depth += (instruction.kind == Kind.LOOP) - (instruction.kind == Kind.END)
            program.append(instruction)
            if instruction.kind == Kind.STOP:
                return program
        return None

    @staticmethod
    def _control(word: int) -> int:
        """A word with its kind, operand a's number, and the unused bits alone."""
        return word & (7 << 64 | 31 << 83 | 15 << 124)

    def _fits(self, each: Instruction, depth: int) -> bool:
        if each.kind == Kind.STOP:
            return depth == 0
        if each.kind == Kind.LOOP:
            return each.a.number < COUNTS and depth < LOOP_DEPTH
        if each.kind == Kind.END:
            return depth > 0
        if each.kind == Kind.RELEASE:
            return each.a.number < 1 << INPUTS
        good = each.target < self.config.registers
        if each.target_kind in TO_STREAMS:
            good = good and INPUTS + each.stream in self.streams
        rows = each.rows in (STRIP, PACKED_ROWS) or each.rows <= self.config.strip_rows
        good = good and rows and each.cross < self.lanes and each.shift < self.config.strip_rows
        return good and all(self._operand_fits(operand) for operand in each.operands)

    def _operand_fits(self, operand: Operand) -> bool:
        if operand.kind == Source.STREAM:
            return operand.number in self.streams and operand.number < INPUTS
        most = {Source.CONSTANT: 2, Source.PARAMETER: PARAMETERS, Source.INDEX: 1}
        return operand.number < most.get(operand.kind, self.config.registers)

    def _play(self, program: list[Instruction], counts: list[int]) -> None:
        place = 0
        loops: list[list[int]] = []  # where each begins, rounds done, rounds in all
        while program[place].kind != Kind.STOP:
            each = program[place]
            place += 1
            if each.kind == Kind.LOOP:
                loops.append([place, 0, counts[each.a.number]])
            elif each.kind == Kind.END:
                loops[-1][1] += 1
                if loops[-1][1] < loops[-1][2]:
                    place = loops[-1][0]
                else:
                    loops.pop()
            elif each.kind == Kind.RELEASE:
                for number in range(INPUTS):
                    if each.a.number >> number & 1 and number in self.streams:
                        self.streams[number].blocks += 1
            else:
                self._compute(each, loops[-1][1] if loops else 0)

    def _compute(self, each: Instruction, done: int) -> None:
        packed = -(-self._rows // self.lanes)
        count = {STRIP: self._rows, PACKED_ROWS: packed}.get(each.rows, each.rows)
        names = sorted({operand.number for operand in each.operands if operand.kind == Source.STREAM})
        reads_itself = each.target_kind != Target.STREAM and any(
            operand.kind in OF_REGISTERS and operand.number == each.target for operand in each.operands
        )
        crossing = each.target_kind == Target.PACKED or any(
            operand.kind in (Source.SPREAD, Source.SHIFTED) for operand in each.operands
        )
        # Row after row, where a row may read what one before it wrote; else all at once.
        step = 1 if reads_itself and crossing else count
        for first in range(0, count, step):
            self._some(each, np.arange(first, first + step), names, done)

    def _some(self, each: Instruction, rows: NDArray[np.int64], names: list[int], done: int) -> None:
        taken = {}
        error = None
        for number in names:
            stream = self.streams[number]
            left = len(rows)
            if stream.fields["held"]:
                left = min(left, stream.blocks * stream.block - stream.at)
            if left < len(rows):
                rows, error = rows[:left], Error.FIELD
        for number in names:
            stream = self.streams[number]
            at = stream.at
            addresses, _ = stream.next(len(rows))
            stream.at = at
            bad = np.flatnonzero(np.isin(addresses // self.word_bytes, list(self.wrong)))
            if bad.size:
                rows, error = rows[: bad[0]], Error.MEMORY
        for number in names:
            taken[number] = self._read(self.streams[number], len(rows))
        words = [self._fetch(operand, each, rows, taken, done) for operand in each.operands]
        result = np.broadcast_to(run_lane(each.operation, *words), (len(rows), self.lanes))
        if each.target_kind in TO_STREAMS:
            self._write(self.streams[INPUTS + each.stream], result)
        if each.target_kind == Target.PACKED:
            self.registers[each.target, rows // self.lanes, rows % self.lanes] = result[
                np.arange(len(rows)), rows % self.lanes
            ]
        elif each.target_kind != Target.STREAM:
            self.registers[each.target, rows] = result
        if error is not None:
            raise _EndedError(error)

    def _fetch(
        self, operand: Operand, each: Instruction, rows: NDArray[np.int64], taken: dict[int, Words], done: int
    ) -> Words:
        lanes = np.arange(self.lanes)
        if operand.kind == Source.REGISTER:
            return self.registers[operand.number, rows]
        if operand.kind == Source.SPREAD:
            return self.registers[operand.number, rows // self.lanes, rows % self.lanes][:, None]
        if operand.kind == Source.CROSS:
            return self.registers[operand.number, rows][:, lanes ^ each.cross]
        if operand.kind == Source.SHIFTED:
            return self.registers[operand.number, (rows + each.shift) % self.config.strip_rows]
        if operand.kind == Source.STREAM:
            return taken[operand.number]
        if operand.kind == Source.INDEX:
            return (np.uint32(done * self.lanes) + lanes.astype(np.uint32)).astype(np.uint32)
        word = each.constants[operand.number] if operand.kind == Source.CONSTANT else self._parameters[operand.number]
        return np.array(word, np.uint32)

    # Streams.

    def _places(self, stream: _Stream, n: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Byte addresses of the next ``n`` rows' lanes, and whether each lane counts."""
        addresses, tails = stream.next(n)
        size = stream.format.bits // 8
        lanes = np.arange(self.lanes)
        step = 0 if stream.fields["single"] else size
        counts = ~tails[:, None] | (lanes < stream.fields["tail"])
        return addresses[:, None] + step * lanes, counts

    def _read(self, stream: _Stream, n: int) -> Words:
        places, counts = self._places(stream, n)
        size = stream.format.bits // 8
        memory = self.memory
        if stream.fields["base"] >= ACCUMULATORS:
            memory, places = self._words_of_accumulators(), places - ACCUMULATORS
        raw = np.ascontiguousarray(memory[places[..., None] + np.arange(size)])
        bits = raw.view(bits_dtype(stream.format)).reshape(n, self.lanes)
        if stream.format is BINARY32:
            words = bits
        elif stream.format.is_float:
            words = to_binary32(bits, stream.format)
        else:
            words = bits.view(np.int8).astype(np.int32).view(np.uint32)
        return np.where(counts, words, np.uint32(stream.fields["fill"])).astype(np.uint32)

    def _words_of_accumulators(self) -> NDArray[np.uint8]:
        """Their rows as words of the scratchpad: lanes past the tile's columns are 0."""
        beyond = self.lanes - self.chip.tile.columns
        return np.pad(self.sums, ((0, 0), (0, beyond))).view(np.uint8).reshape(-1)

    def _write(self, stream: _Stream, words: Words) -> None:
        places, counts = self._places(stream, len(words))
        fmt = stream.format
        saturate = bool(stream.fields["saturate"])
        if fmt is BINARY32:
            bits = words
        elif fmt.is_float:
            bits = from_binary32(np.ascontiguousarray(words), fmt, saturate=saturate)
        else:
            whole = np.ascontiguousarray(words).view(np.int32)
            bits = (np.clip(whole, -128, 127) if saturate else whole).astype(np.int8).view(np.uint8)
        if stream.fields["single"]:
            counts = np.zeros_like(counts)
            counts[:, 0] = True
        size = fmt.bits // 8
        raw = np.ascontiguousarray(bits).view(np.uint8).reshape(*bits.shape, size)
        self.memory[(places[..., None] + np.arange(size))[counts]] = raw[counts]
