"""Random commands for the vector unit: legal ones, and such as must be refused."""

import dataclasses
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32, FORMATS, INT8
from openppu.vector.command import ACCUMULATORS
from openppu.vector.instruction import (
    ACCUMULATOR_STREAMS,
    COUNTS,
    INPUTS,
    OUTPUTS,
    PACKED_ROWS,
    PARAMETERS,
    STRIP,
    Kind,
    Source,
    Target,
)
from openppu.vector.operation import Operation
from openppu_sim.kernels.vector.assembly import (
    END,
    OF_REGISTERS,
    STOP,
    Instruction,
    Operand,
    image,
    loop,
    release,
    to_word,
)
from openppu_sim.kernels.vector.commands import Command, LoadProgram, Run, SetStream, Unknown
from openppu_sim.reference.corners import corner_operands

MEMORY_BYTES = 32768
PROGRAM_BYTES = 4096
READ_END = 20480
"""Programs lie first, then what input streams read, then what output streams write."""

CONVERSIONS: tuple[Any, ...] = (Operation.NARROW, Operation.WIDEN)
CONVERSION_CODES = [each.value for each in CONVERSIONS]


class RandomPrograms:
    """A source of commands.

    Parameters
    ----------
    chip : ChipConfig
    seed : int
    accumulators : bool
        Some streams come from the tile's accumulators.
    """

    def __init__(self, chip: ChipConfig, seed: int, *, accumulators: bool = False):
        self.chip = chip
        self.accumulators = accumulators
        self.accumulators_end = ACCUMULATORS + chip.scratchpad.word_bytes * chip.tile.accumulators
        self.lanes = chip.scratchpad.word_bytes // 4
        self.chance = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        names = ["int8", *chip.vector.formats]
        self.formats = [FORMATS[name] for name in names] + [BINARY32]

    def memory(self) -> NDArray[np.uint8]:
        """A scratchpad of random words, many of them hard."""
        count = MEMORY_BYTES // 4
        words = self.numbers.integers(0, 1 << 32, count, dtype=np.uint32)
        hard = self.numbers.choice(corner_operands(BINARY32), count)
        usual = self.numbers.normal(size=count).astype(np.float32).view(np.uint32)
        kind = self.numbers.integers(0, 3, count)
        return np.choose(kind, [words, hard, usual]).astype(np.uint32).view(np.uint8).copy()

    def sums(self) -> NDArray[np.uint32]:
        """Accumulators of random words."""
        tile = self.chip.tile
        return self.numbers.integers(0, 1 << 32, (tile.accumulators, tile.columns), dtype=np.uint32)

    def commands(self, memory: NDArray[np.uint8], *, spoil: bool = False) -> list[Command]:
        """A program, put into the scratchpad, its streams, and two runs of it; spoilt: something of it is changed."""
        chance = self.chance
        streams = [self.stream(number) for number in range(INPUTS + OUTPUTS)]
        rows = chance.randint(1, self.chip.vector.strip_rows)
        if chance.random() < 0.7:
            rows = min(rows, 3 * self.lanes)
        program = self.program(streams)
        data = image(program).copy()
        runs = [self.run(rows), self.run(chance.randint(1, 2 * self.lanes))]
        commands: list[Command] = [LoadProgram(source=0, count=len(program)), *streams, *runs]
        if spoil and chance.random() < 0.5:
            data = self._spoilt_image(program, data)
        elif spoil:
            place = chance.randrange(len(commands))
            commands[place] = self._spoilt(commands[place])
        memory[: data.size] = data
        return commands

    def run(self, rows: int) -> Run:
        """A run of the program at 0; loops go round few times."""
        counts = [self.chance.choice((1, 1, 2, 3)) for _ in range(COUNTS)]
        parameters = [self.word() for _ in range(PARAMETERS)]
        return Run(rows=rows, counts=counts, parameters=parameters)

    def word(self) -> int:
        """A word that is hard, small, or anything."""
        kind = self.chance.randrange(3)
        if kind == 0:
            return int(self.numbers.choice(corner_operands(BINARY32)))
        return self.chance.randrange(64) if kind == 1 else self.chance.getrandbits(32)

    def stream(self, number: int) -> SetStream:
        """A pattern within the part of the scratchpad that such streams have, or in the accumulators."""
        chance = self.chance
        first, end = (PROGRAM_BYTES, READ_END) if number < INPUTS else (READ_END, MEMORY_BYTES)
        if self.accumulators and number in ACCUMULATOR_STREAMS and chance.random() < 0.5:
            first, end = ACCUMULATORS, self.accumulators_end
        return self.stream_in(number, first, end)

    def stream_in(self, number: int, first: int, end: int) -> SetStream:
        """A pattern within a range of addresses."""
        chance = self.chance
        fmt = chance.choice(self.formats)
        single = chance.random() < 0.2
        unit = fmt.bits // 8 * (1 if single else self.lanes)
        room = (end - first) // unit - 1
        counts, strides = [], []
        for _ in range(4):
            count = chance.choice((1, 1, 2, 3, 5, 16, 40))
            stride = chance.choice((0, 1, 1, 2, 3, 7, 20)) if room else 0
            count = min(count, 1 + room // stride) if stride else count
            room -= (count - 1) * stride
            counts.append(count)
            strides.append(stride * unit)
        if chance.random() < 0.1:
            strides[0] = 0
        return SetStream(
            stream=number,
            base=first + chance.randint(0, room) * unit,
            counts=counts,
            strides=strides,
            format=fmt.code,
            single=single,
            saturate=chance.random() < 0.5,
            held=number < INPUTS and chance.random() < 0.1,
            tail=chance.choice((0, 0, chance.randint(0, self.lanes))),
            tail_dimension=chance.randrange(4),
            fill=self.word(),
        )

    def program(self, streams: list[SetStream]) -> list[Instruction]:
        """Instructions in loops; held streams are released now and then, and mostly often enough."""
        chance = self.chance
        program: list[Instruction] = []
        depth = 0
        held = [stream.stream for stream in streams if stream.held]
        if held and chance.random() < 0.9:
            program += [release(*held)] * chance.randint(1, 12)
        for _ in range(chance.randint(1, 18)):
            kind = chance.random()
            if kind < 0.12 and depth < 3:
                program.append(loop(chance.randrange(COUNTS)))
                depth += 1
            elif kind < 0.24 and depth:
                program.append(END)
                depth -= 1
            elif kind < 0.27:
                program.append(release(*held))
            else:
                program.append(self.instruction())
        return [*program, *[END] * depth, STOP]

    def instruction(self) -> Instruction:
        """Any operation on any operands."""
        chance = self.chance
        operation = chance.choice(list(Operation))
        a, b, c = (self.operand() for _ in range(3))
        constants = [self.word(), self.word()]
        if operation in CONVERSIONS:  # the format that b names must be built in
            b = Operand(Source.CONSTANT, 0)
            code = chance.choice([fmt.code for fmt in self.formats if fmt is not INT8 and fmt is not BINARY32])
            constants[0] = constants[0] & ~15 & 0xFFFFFFFF | code | chance.randrange(2) << 3
        kind = chance.choice((Target.REGISTER, Target.REGISTER, *Target))
        registers = min(self.chip.vector.registers, chance.choice((3, 32)))
        rows = self.chip.vector.strip_rows
        return Instruction(
            operation=operation,
            target_kind=kind,
            target=chance.randrange(registers),
            stream=chance.randrange(OUTPUTS),
            a=a,
            b=b,
            c=c,
            constants=(constants[0], constants[1]),
            rows=chance.choice((STRIP, STRIP, STRIP, PACKED_ROWS, chance.randint(1, rows))),
            cross=chance.randrange(self.lanes),
            shift=chance.choice((0, 1, chance.randrange(rows), rows - 1)),
        )

    def operand(self) -> Operand:
        """Anything to compute with."""
        chance = self.chance
        kind = chance.choice((*OF_REGISTERS, Source.REGISTER, Source.REGISTER, *Source))
        if kind in OF_REGISTERS:
            return Operand(kind, chance.randrange(min(self.chip.vector.registers, chance.choice((3, 32)))))
        most = {Source.CONSTANT: 2, Source.PARAMETER: PARAMETERS, Source.STREAM: INPUTS, Source.INDEX: 1}[kind]
        return Operand(kind, chance.randrange(most))

    def _spoilt_image(self, program: list[Instruction], data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A program with a bit of an instruction changed."""
        chance = self.chance
        place = chance.randrange(len(program))
        word = to_word(program[place]) ^ 1 << chance.randrange(64, 128)
        if program[place].kind == Kind.COMPUTE and word >> 67 & 63 in CONVERSION_CODES:
            return data  # what it makes of a format that there is not is not said
        data[16 * place : 16 * place + 16] = np.frombuffer(word.to_bytes(16, "little"), np.uint8)
        return data

    def _spoilt(self, command: Command) -> Command:
        """A command with a field changed, which mostly makes it one to be refused."""
        chance = self.chance
        changes: list[dict[str, Any]]
        if isinstance(command, LoadProgram):
            changes = [{"count": 0}, {"source": 8}, {"source": MEMORY_BYTES - 16}, {"start": 65535}]
        elif isinstance(command, Run):
            changes = [{"rows": 0}, {"rows": 255}, {"start": 65535}, {"counts": (0,)}, {"counts": (1, 1, 1, 0)}]
        elif isinstance(command, SetStream):
            word = 4 * self.lanes
            changes = [
                {"stream": 8},
                {"counts": (1, 0)},
                {"tail": 255},
                {"format": 5},
                {"format": 6},
                {"base": command.base + 1},
                {"base": MEMORY_BYTES},
                {"base": ACCUMULATORS - word, "counts": (2,), "strides": (word,)},
                {"base": ACCUMULATORS, "counts": (self.chip.tile.accumulators + 1,), "strides": (word,)},
                {"base": self.accumulators_end},
                *([] if command.stream in ACCUMULATOR_STREAMS else [{"base": ACCUMULATORS}]),
                {"counts": (65535, 65535, 65535, 65535), "strides": (1 << 20,) * 4},
                {"counts": (2,), "strides": (1 << 23,)},
                {"strides": (2, 2, 2, 2)},
                {"strides": (0, 0, 0, 1)},
            ]
        else:
            changes = [{}]
        if chance.random() < 0.15:
            return Unknown(opcode=chance.choice((0, 47, 51, 128, 255)), operands=chance.getrandbits(300))
        return dataclasses.replace(command, **chance.choice(changes))
