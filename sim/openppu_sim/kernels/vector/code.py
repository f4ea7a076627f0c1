"""Writes programs of the vector unit: values by name, registers found for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from openppu.vector.instruction import INPUTS, PACKED_ROWS, STRIP, Kind, Source, Target
from openppu.vector.operation import Operation
from openppu.vector.program import Constant

from openppu_sim.kernels.vector.assembly import END, NOTHING, STOP, Instruction, Operand, loop, release
from openppu_sim.kernels.vector.commands import word_of


class CodeError(ValueError):
    """A program that cannot be written; one line."""


@dataclass(frozen=True)
class Name:
    """A value, or a register that keeps its value round loops (``kept``), and how an operand looks at it."""

    number: int
    kept: bool
    kind: Any = Source.REGISTER
    by: int = 0

    @property
    def moves_rows(self) -> bool:
        """Whether row r is another row of the register."""
        return self.kind in (Source.SPREAD, Source.SHIFTED)

    @property
    def spread(self) -> "Name":
        """Row r // L, lane r % L, for all lanes."""
        return replace(self, kind=Source.SPREAD)

    def cross(self, by: int) -> "Name":
        """Lane i gets that of lane i ^ ``by``."""
        return replace(self, kind=Source.CROSS, by=by)

    def shifted(self, by: int) -> "Name":
        """Row r gets row r + ``by``."""
        return replace(self, kind=Source.SHIFTED, by=by)


Word = Name | Operand | Constant | float | int


@dataclass
class _Line:
    """An instruction whose registers are not known yet."""

    instruction: Instruction
    target: Name | None = None
    sources: tuple[Word, ...] = ()


def stream(number: int) -> Operand:
    """The next element of an input stream."""
    return Operand(Source.STREAM, number)


def parameter(number: int) -> Operand:
    """A word of the RUN command."""
    return Operand(Source.PARAMETER, number)


INDEX = Operand(Source.INDEX)
"""The lane's number, and L for each round of the innermost loop that is done."""


class Code:
    """A program that is being written.

    Called with an operation and its operands, it notes an instruction and gives its value: so it can be handed to the
    functions of `openppu.vector.functions`. A float stands for its binary32, an int for its bits.

    Parameters
    ----------
    registers : int
        Of the vector unit.
    lanes : int
    """

    def __init__(self, *, registers: int, lanes: int):
        self.registers = registers
        self.lanes = lanes
        self._lines: list[_Line] = []
        self._values = 0
        self._kept = 0
        self._rows = STRIP

    def __call__(self, operation: Any, *sources: Word) -> Name:
        """An operation's value."""
        self._values += 1
        name = Name(self._values, kept=False)
        self._note(operation, name, Target.REGISTER, sources)
        return name

    def keep(self) -> Name:
        """A register of its own, for a value that is changed in loops."""
        self._kept += 1
        return Name(self._kept, kept=True)

    def set(self, name: Name, operation: Any, *sources: Word) -> None:
        """Write a kept register."""
        self._note(operation, name, Target.REGISTER, sources)

    def pack(self, name: Name, operation: Any, *sources: Word) -> None:
        """Write row r's lane r % L to row r // L of a kept register."""
        self._note(operation, name, Target.PACKED, sources)

    def put(self, number: int, operation: Any, *sources: Word) -> None:
        """Write an output stream."""
        self._note(operation, None, Target.STREAM, sources, output=number - INPUTS)

    def store(self, number: int, value: Name) -> None:
        """Write a value to an output stream: with the instruction that made it, if that was the last one."""
        last = self._lines[-1] if self._lines else None
        if last is not None and last.target == value and last.instruction.target_kind == Target.REGISTER:
            last.instruction = replace(last.instruction, target_kind=Target.BOTH, stream=number - INPUTS)
        else:
            self.put(number, Operation.COPY, value)

    def free(self, *streams: int) -> None:
        """Let held input streams go on by a block."""
        self._lines.append(_Line(release(*streams)))

    @contextmanager
    def loop(self, count: int) -> Iterator[None]:
        """What is written within goes round as often as count ``count`` says."""
        self._lines.append(_Line(loop(count)))
        yield
        self._lines.append(_Line(END))

    @contextmanager
    def rows(self, rows: int = PACKED_ROWS) -> Iterator[None]:
        """What is written within is done to so many rows; by default to packed ones."""
        before, self._rows = self._rows, rows
        yield
        self._rows = before

    def _note(self, operation: Any, name: Name | None, kind: Any, sources: Any, output: int = 0) -> None:
        line = Instruction(operation=operation, target_kind=kind, stream=output, rows=self._rows)
        self._lines.append(_Line(line, name, tuple(sources)))

    def program(self) -> list[Instruction]:
        """The program, with a register for each value.

        Raises
        ------
        CodeError
            If there are not enough registers, or an instruction has too many constants.
        """
        last = self._last_uses()
        places: dict[int, int] = {}
        free = list(range(self.registers - self._kept))
        program = []
        for number, line in enumerate(self._lines):
            sources = [self._source(source, places) for source in line.sources]
            ended = [place for value, place in places.items() if last.get(value, -1) == number]
            # A row may be written before another row of the same instruction has read it.
            apart = {self._place(each, places) for each in line.sources if isinstance(each, Name) and each.moves_rows}
            free = sorted(free + [place for place in ended if place not in apart])
            instruction = _with_sources(line.instruction, sources)
            unused = line.target is not None and not line.target.kept and line.target.number not in last
            if unused and instruction.target_kind == Target.BOTH:
                instruction = replace(instruction, target_kind=Target.STREAM)
            elif line.target is not None:
                if not line.target.kept and line.target.number not in places:
                    if not free:
                        raise CodeError(f"more than {self.registers} registers are needed")
                    places[line.target.number] = free.pop(0)
                    if unused:
                        free.append(places[line.target.number])
                instruction = replace(instruction, target=self._place(line.target, places))
            free += [place for place in ended if place in apart]
            program.append(instruction)
        return [*program, STOP]

    def _place(self, name: Name, places: dict[int, int]) -> int:
        return self.registers - name.number if name.kept else places[name.number]

    def _source(self, source: Word, places: dict[int, int]) -> tuple[Operand, int]:
        """An operand, with its constant or how it looks at a register."""
        if isinstance(source, Name):
            return Operand(source.kind, self._place(source, places)), source.by
        if isinstance(source, Operand):
            return source, 0
        if isinstance(source, Constant):
            return Operand(Source.CONSTANT), source.bits
        return Operand(Source.CONSTANT), word_of(source) if isinstance(source, float) else source & 0xFFFFFFFF

    def _last_uses(self) -> dict[int, int]:
        """For each value the last line that needs it: the end of a loop, if it was made before the loop."""
        made: dict[int, int] = {}
        last: dict[int, int] = {}
        loops = self._loops()
        for number, line in enumerate(self._lines):
            for source in line.sources:
                if isinstance(source, Name) and not source.kept:
                    around = [end for begin, end in loops if made[source.number] < begin < number < end]
                    last[source.number] = max([number, *around, last.get(source.number, 0)])
            if line.target is not None and not line.target.kept:
                made[line.target.number] = number
        return last

    def _loops(self) -> list[tuple[int, int]]:
        found, opened = [], []
        for number, line in enumerate(self._lines):
            if line.instruction.kind == Kind.LOOP:
                opened.append(number)
            if line.instruction.kind == Kind.END:
                found.append((opened.pop(), number))
        return found


def _with_sources(instruction: Instruction, sources: list[tuple[Operand, int]]) -> Instruction:
    constants: list[int] = []
    operands = []
    cross = shift = 0
    for operand, by in sources:
        if operand.kind == Source.CONSTANT:
            if by not in constants:
                constants.append(by)
            operand = Operand(Source.CONSTANT, constants.index(by))
        cross = by if operand.kind == Source.CROSS else cross
        shift = by if operand.kind == Source.SHIFTED else shift
        operands.append(operand)
    if len(constants) > 2:
        raise CodeError(f"{instruction.operation.name}: more than two constants")
    if instruction.kind != Kind.COMPUTE:
        return instruction
    operands += [NOTHING if len(constants) < 2 else Operand(Source.CONSTANT, 0)] * (3 - len(operands))
    first, second = [*constants, 0, 0][:2]
    a, b, c = operands
    return replace(instruction, a=a, b=b, c=c, constants=(first, second), cross=cross, shift=shift)
