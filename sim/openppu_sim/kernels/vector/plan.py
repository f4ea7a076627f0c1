"""Programs and commands of a computation, ready for a vector unit."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig

from openppu_sim.errors import UserError
from openppu_sim.kernels.vector.assembly import Instruction, image, text
from openppu_sim.kernels.vector.code import Code
from openppu_sim.kernels.vector.commands import Command, LoadProgram, Run, SetStream


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The chip whose vector unit is planned for, and where in its scratchpad programs may lie until they are loaded."""

    chip: ChipConfig
    programs_at: int = 0

    @property
    def lanes(self) -> int:
        """Of the vector unit: one for every four bytes of a scratchpad word."""
        return self.chip.scratchpad.word_bytes // 4

    @property
    def strip_rows(self) -> int:
        """Rows of a strip register."""
        return self.chip.vector.strip_rows

    def code(self) -> Code:
        """A new program."""
        return Code(registers=self.chip.vector.registers, lanes=self.lanes)


@dataclass(kw_only=True)
class Plan:
    """A program, and the commands that run it.

    Parameters
    ----------
    name : str
    unit : Unit
    program : list of Instruction
    runs : list of Command
        After the program is loaded.
    operations : int
        Of the algorithm on all elements: what the lanes have to do at least.
    """

    name: str
    unit: Unit
    program: list[Instruction]
    runs: list[Command] = field(default_factory=list)
    operations: int = 0

    @property
    def commands(self) -> list[Command]:
        """All commands: the program is loaded first."""
        return [LoadProgram(source=self.unit.programs_at, count=len(self.program)), *self.runs]

    @property
    def bound(self) -> int:
        """Cycles for the operations, if every lane did one in each cycle."""
        return -(-self.operations // self.unit.lanes)

    def load(self, memory: NDArray[np.uint8]) -> None:
        """Put the program where the commands load it from."""
        data = image(self.program)
        memory[self.unit.programs_at : self.unit.programs_at + data.size] = data

    def text(self) -> str:
        """The program as text."""
        return text(self.program)

    def run(
        self, streams: Iterable[SetStream], *, rows: int, counts: Sequence[int], parameters: Sequence[int] = ()
    ) -> None:
        """Set the streams and run the program once."""
        self.runs += [*streams, Run(rows=rows, counts=tuple(counts), parameters=tuple(parameters))]


def written(unit: Unit, name: str, write: Callable[[Code], None], *, operations: int = 0) -> Plan:
    """A plan with the program that ``write`` writes.

    Raises
    ------
    UserError
        If the program memory is too small for it.
    """
    code = unit.code()
    write(code)
    program, words = code.program(), unit.chip.vector.program_words
    if len(program) > words:
        raise UserError(f"{name}: a program of {len(program)} instructions; vector.program_words = {words}: give more")
    return Plan(name=name, unit=unit, program=program, operations=operations)
