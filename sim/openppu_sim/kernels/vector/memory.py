"""Computations of the vector unit on matrices in memory, piece by piece through the scratchpad.

A job is divided over compute units, and the part of each cut into pieces of rows (and columns, where these do not
depend on each other) that fit the scratchpad twice: while one is computed, the next one is loaded and the one before
stored.
"""

from collections.abc import ItemsView, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig

from openppu_sim.checks import whole
from openppu_sim.kernels.compute_units import (
    FREE,
    READY,
    VECTOR_LOADED,
    Queues,
    begin,
    chosen,
    end,
    linked,
    queue,
    record_all,
    semaphore,
)
from openppu_sim.kernels.copy_command import copy_command
from openppu_sim.kernels.memory_range import MemoryRange
from openppu_sim.kernels.vector.assembly import image
from openppu_sim.kernels.vector.commands import Command as VectorCommand
from openppu_sim.kernels.vector.commands import LoadProgram, fields_of, name_of
from openppu_sim.kernels.vector.job import Array, Operand, Piece, Shape, VectorJob
from openppu_sim.kernels.vector.matrix import Layout, Matrix
from openppu_sim.kernels.vector.pieces import ROW_BYTES, SLOTS, Share, matrix_of, of_piece, shares
from openppu_sim.kernels.vector.plan import Unit
from openppu_sim.program.command import Command

__all__ = ["Array", "Operand", "Piece", "Shape", "VectorJob", "VectorPrograms", "vector_programs"]


@dataclass
class VectorPrograms:
    """What goes into the queues, by name, and what they expect in memory: the vector unit's programs.

    Parameters
    ----------
    code_at : int
        Address of ``code``.
    code : ndarray of uint8
    name : str
        Of the job; printed, as is how it is cut.
    pieces : dict
        Of each compute unit that takes part.
    queues : dict
        The commands of each queue, by its name.
    """

    code_at: int
    code: NDArray[np.uint8]
    name: str
    pieces: dict[int, Sequence[Piece]]
    queues: Queues

    def items(self) -> ItemsView[str, list[Command]]:
        """Each queue with its program."""
        return self.queues.items()

    def __str__(self) -> str:
        every = [piece for pieces in self.pieces.values() for piece in pieces]
        names = [each.name for program in self.queues.values() for each in program if each.name != "NOTHING"]
        loads, stores = names.count("LOAD"), names.count("STORE")
        told = (
            f"{self.name}: {_cut(every)}, {SLOTS} in the scratchpad at a time; {loads:,} loads, "
            f"{len(names) - loads - stores:,} commands of the vector unit, {stores:,} stores; "
            f"{len(self.code):,} bytes of program"
        )
        if len(self.pieces) == 1:
            return told
        lines = [f"unit {unit}: {_where(pieces)}: {_cut(pieces)}" for unit, pieces in self.pieces.items()]
        return "\n".join([told, *lines])


def _cut(pieces: Sequence[Piece]) -> str:
    rows, columns = (max(getattr(each, name) for each in pieces) for name in ("rows", "columns"))
    return f"{len(pieces):,} piece{'s' * (len(pieces) > 1)} of {rows:,} x {columns:,} at most"


def _where(pieces: Sequence[Piece]) -> str:
    rows = min(each.row for each in pieces), max(each.row + each.rows for each in pieces) - 1
    columns = min(each.column for each in pieces), max(each.column + each.columns for each in pieces) - 1
    return f"rows {rows[0]:,} to {rows[1]:,}, columns {columns[0]:,} to {columns[1]:,}"


def vector_programs(
    chip: ChipConfig,
    job: VectorJob,
    *,
    code_at: int,
    units: Iterable[int] | None = None,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
    record: bool = False,
) -> VectorPrograms:
    """The programs of the queues; in each unit loads, computation and stores of neighbouring pieces overlap.

    They use five semaphores of each unit (`openppu_sim.kernels.compute_units`), which are 0 before and after.

    Parameters
    ----------
    code_at : int
        Address in memory where `VectorPrograms.code` will be.
    units : iterable of int, optional
        Compute units that may take part; by default all.
    wait : tuple of (int, int), optional
        Load nothing before this semaphore has this value.
    signal : tuple of (int, int), optional
        Raise this one when all is in memory.
    record : bool
        Let each command of an engine write a record.

    Raises
    ------
    UserError
        If a row does not fit the scratchpad, a matrix or the program not the memory, a result lies on anything but a
        matrix that it replaces, there is no such unit, or semaphores are too few or not free.
    """
    code_at = whole("code_at", code_at, 0)
    found = chosen(chip, units, wait, signal, needed=VECTOR_LOADED)
    codes = _codes(chip, job)
    code = np.concatenate(codes)
    _check_memory(chip, job, program_range(job.name, code_at, code))
    parts = dict(zip(found, shares(chip, job, len(found), len(code)), strict=False))
    those = tuple(parts)
    queues: Queues = {queue(chip, unit, engine): [] for unit in those for engine in ("load", "vector", "store")}
    begin(chip, those, queues, wait)
    for unit, part in parts.items():
        queues[queue(chip, unit, "load")].append(
            _copy("LOAD", memory=code_at, scratchpad=part.places.code, row=len(code))
        )
        _unit(chip, job, unit, part, codes, queues)
    end(chip, those, queues, signal, idle="matmul")
    if record:
        record_all(queues)
    return VectorPrograms(code_at, code, job.name, {unit: part.pieces for unit, part in parts.items()}, queues)


def program_range(name: str, code_at: int, code: NDArray[np.uint8]) -> MemoryRange:
    """Where a program of the vector unit lies in memory."""
    return MemoryRange(name=f"{name}: its program", address=code_at, rows=1, row_bytes=len(code), stride=0)


def _check_memory(chip: ChipConfig, job: VectorJob, program: MemoryRange) -> None:
    """Raise UserError unless all lies in memory, and results on nothing but, row by row, what they replace."""
    name = f"{job.name}: a matrix"
    reads = [each.reads.in_memory(name) for each in job.operands if each.reads]
    results = [each.writes.in_memory(f"{job.name}: a result") for each in job.operands if each.writes]
    for each in (*reads, program):
        each.check(chip)
    for number, result in enumerate(results):
        result.check(chip, written=True)
        others = (each for each in reads if not each.is_at(result))
        for other in (*others, *results[:number], program):
            result.apart_from(other)


def _unit(
    chip: ChipConfig, job: VectorJob, unit: int, part: Share, codes: list[NDArray[np.uint8]], queues: Queues
) -> None:
    """Put a unit's commands into its queues, behind the load of the programs."""
    load, compute, store = (queues[queue(chip, unit, engine)] for engine in ("load", "vector", "store"))
    ready, computed, free = ((semaphore(chip, unit, which), 1) for which in (VECTOR_LOADED, READY, FREE))
    loaded = -1
    for number, piece in enumerate(part.pieces):
        slot = part.places.slots[number % SLOTS]
        matrices = [of_piece(slot, part.places, index, operand, piece) for index, operand in enumerate(job.operands)]
        loads = [_move("LOAD", each, matrix, piece) for each, matrix in zip(job.operands, matrices, strict=True)]
        stores = [_move("STORE", each, matrix, piece) for each, matrix in zip(job.operands, matrices, strict=True)]
        last = piece.row + piece.rows == job.rows
        ended = [each for each, operand in zip(stores, job.operands, strict=True) if each and _stored(operand, last)]
        plan = job.plan(Unit(chip=chip), matrices, piece)
        which = _index(codes, image(plan.program))
        runs = list(plan.runs)
        if which != loaded:
            source = part.places.code + sum(len(code) for code in codes[:which])
            runs = [LoadProgram(source=source, count=len(plan.program)), *runs]
            loaded = which
        load += linked([each for each in loads if each], free if number >= SLOTS else None, ready)
        compute += linked([vector_command(each) for each in runs], ready, computed)
        store += linked(ended, computed, free)
    # What is free at the end has nobody who waits for it.
    load.append(Command(name="NOTHING", wait=(free[0], min(SLOTS, len(part.pieces)))))


def _codes(chip: ChipConfig, job: VectorJob) -> list[NDArray[np.uint8]]:
    """The programs of the first rows and of those behind, each once."""
    rows = min(job.rows, chip.vector.strip_rows)
    codes: list[NDArray[np.uint8]] = []
    for row in (0, rows) if any(each.shape is Shape.TOTAL for each in job.operands) else (0,):
        layout = Layout(word_bytes=chip.scratchpad.word_bytes)
        matrices = [matrix_of(layout, chip, operand, rows, job.columns) for operand in job.operands]
        piece = Piece(row=row, rows=rows, column=0, columns=job.columns)
        codes.append(image(job.plan(Unit(chip=chip), matrices, piece).program))
    return codes


def _index(codes: list[NDArray[np.uint8]], code: NDArray[np.uint8]) -> int:
    return next(number for number, each in enumerate(codes) if each.tobytes() == code.tobytes())


def _stored(operand: Operand, last: bool) -> bool:
    return last or operand.shape is not Shape.TOTAL


def _move(name: str, operand: Operand, matrix: Matrix, piece: Piece) -> Command | None:
    """The copy of an operand of a piece between memory and scratchpad, if there is any."""
    array = operand.reads if name == "LOAD" else operand.writes
    if array is None:
        return None
    size, address = array.element_bytes, array.address
    if operand.shape is Shape.LIST:
        return _copy(name, memory=address + piece.row * size, scratchpad=matrix.base, row=piece.rows * size)
    if operand.shape in (Shape.ROW, Shape.TOTAL):
        return _copy(name, memory=address + piece.column * size, scratchpad=matrix.base, row=piece.columns * size)
    whole = operand.shape is Shape.COLUMN
    row = size if whole else piece.columns * size
    first = address + piece.row * array.pitch + (0 if whole else piece.column * size)
    between = (piece.rows - 1) * array.pitch
    if name == "LOAD" and array.pitch == matrix.pitch and between + row <= ROW_BYTES:
        # What is between the rows in memory may well come along to where nobody looks at it.
        return _copy(name, memory=first, scratchpad=matrix.base, row=between + row)
    strides = (array.pitch, matrix.pitch)
    return _copy(name, memory=first, scratchpad=matrix.base, row=row, rows=piece.rows, strides=strides)


def _copy(
    name: str, *, memory: int, scratchpad: int, row: int, rows: int = 1, strides: tuple[int, int] = (0, 0)
) -> Command:
    if rows > 1 and strides == (row, row) and row * rows <= ROW_BYTES:
        row, rows = row * rows, 1
    return copy_command(name, memory=memory, scratchpad=scratchpad, row=row, rows=rows, strides=strides)


def vector_command(command: VectorCommand) -> Command:
    """What the vector unit's queue takes of a command of a plan."""
    fields = {name: value for name, value in fields_of(command).items() if value}
    return Command(name=name_of(command), fields=fields)  # type: ignore[arg-type]
