"""Computations of the vector unit on matrices in memory, piece by piece through the scratchpad.

A job is cut into pieces of rows (and columns, where these do not depend on each other) that fit the scratchpad twice:
while one is computed, the next one is loaded and the one before stored.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32

from openppu_sim.checks import whole
from openppu_sim.errors import UserError
from openppu_sim.kernels.copy_command import copy_command
from openppu_sim.kernels.memory_range import MemoryRange
from openppu_sim.kernels.vector.assembly import image
from openppu_sim.kernels.vector.commands import LoadProgram, fields_of, format_named, name_of
from openppu_sim.kernels.vector.matrix import Layout, Matrix
from openppu_sim.kernels.vector.plan import Plan, Unit
from openppu_sim.program.command import Command

LOADED, READY, FREE = 10, 11, 12
"""Semaphores: a piece is loaded; its results are there; they are stored, and its place is free."""

SLOTS = 2
"""Places for pieces."""

ROW_BYTES = 65_535
"""Of a row that the DMA copies, at most; and how many of them."""


@dataclass(frozen=True, kw_only=True)
class Array:
    """A matrix in memory; int32 has the format ``binary32``, as all 32-bit words.

    Parameters
    ----------
    address : int
        Of its first element.
    rows, columns : int
    format : str
    stride : int
        Bytes from a row to the next; 0: they lie one behind the other.

    Raises
    ------
    UserError
        If there is no such matrix.
    """

    address: int
    rows: int
    columns: int
    format: str = BINARY32.name
    stride: int = 0

    def __post_init__(self) -> None:
        for name, least in (("address", 0), ("rows", 1), ("columns", 1), ("stride", 0)):
            whole(f"array {name}", getattr(self, name), least)
        format_named(self.format)

    def in_memory(self, name: str) -> MemoryRange:
        """Where it lies."""
        row = self.columns * self.element_bytes
        return MemoryRange(name=name, address=self.address, rows=self.rows, row_bytes=row, stride=self.pitch)

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return format_named(self.format).bits // 8

    @property
    def pitch(self) -> int:
        """Bytes from a row to the next."""
        return self.stride or self.columns * self.element_bytes


class Shape(Enum):
    """What an operand has of a computation's rows and columns."""

    MATRIX = auto()
    ROW = auto()
    """One row, for all rows."""
    COLUMN = auto()
    """One column, for all columns."""
    LIST = auto()
    """One row, with an element for each row."""
    TOTAL = auto()
    """One row, which stays in the scratchpad until all rows have been seen."""
    ROOM = auto()
    """Room for a strip of rows, in the scratchpad alone."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """What a computation reads, writes, or both.

    Parameters
    ----------
    shape : Shape
    reads : Array, optional
    writes : Array, optional
        May be elsewhere than what is read.
    format : str
        Of a ROOM.
    """

    shape: Shape = Shape.MATRIX
    reads: Array | None = None
    writes: Array | None = None
    format: str = BINARY32.name

    @property
    def array(self) -> Array | None:
        """What it is in memory; None for a ROOM."""
        return self.reads or self.writes


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows and columns of a computation."""

    row: int
    rows: int
    column: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class VectorJob:
    """A computation on matrices in memory; `openppu_sim.kernels.vector.jobs` makes them.

    Parameters
    ----------
    name : str
    rows, columns : int
    operands : tuple of Operand
    plan : callable
        From the unit, the operands of a piece in the scratchpad, and the piece, to the vector unit's plan.
    whole_rows : bool
        A row must be in one piece.
    """

    name: str
    rows: int
    columns: int
    operands: tuple[Operand, ...]
    plan: Callable[[Unit, Sequence[Matrix], Piece], Plan]
    whole_rows: bool = True


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
    pieces : sequence of Piece
    """

    code_at: int
    code: NDArray[np.uint8]
    name: str = ""
    pieces: Sequence[Piece] = ()
    load: list[Command] = field(default_factory=list)
    vector: list[Command] = field(default_factory=list)
    store: list[Command] = field(default_factory=list)

    def items(self) -> Iterator[tuple[str, list[Command]]]:
        """Each queue with its program."""
        yield from (("load", self.load), ("vector", self.vector), ("store", self.store))

    def __str__(self) -> str:
        rows, columns = (max(getattr(each, name) for each in self.pieces) for name in ("rows", "columns"))
        loads, runs, stores = (sum(each.name != "NOTHING" for each in queue) for _, queue in self.items())
        return (
            f"{self.name}: {len(self.pieces):,} pieces of {rows:,} x {columns:,} at most, {SLOTS} in the scratchpad "
            f"at a time; {loads:,} loads, {runs:,} commands of the vector unit, {stores:,} stores; "
            f"{len(self.code):,} bytes of program"
        )


@dataclass
class _Places:
    """Where everything is in the scratchpad: of each slot the operands, and the programs."""

    slots: list[list[Matrix | None]]
    totals: dict[int, Matrix]
    code: int
    end: int


def vector_programs(
    chip: ChipConfig,
    job: VectorJob,
    *,
    code_at: int,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
    record: bool = False,
) -> VectorPrograms:
    """The programs of a compute unit's queues; loads, computation and stores of neighbouring pieces overlap.

    They use semaphores 10 to 12, which are 0 before and after.

    Parameters
    ----------
    code_at : int
        Address in memory where `VectorPrograms.code` will be.
    wait : tuple of (int, int), optional
        Load nothing before this semaphore has this value.
    signal : tuple of (int, int), optional
        Raise this one when all is in memory.
    record : bool
        Let each command of an engine write a record.

    Raises
    ------
    UserError
        If a row does not fit the scratchpad, a matrix not the memory, or there are too few semaphores.
    """
    if chip.command.semaphores <= FREE:
        raise UserError(f"command.semaphores = {chip.command.semaphores}: vector jobs need {FREE + 1}")
    whole("code_at", code_at, 0)
    for each in job.operands:
        for array, written in ((each.reads, False), (each.writes, True)):
            if array is not None:
                array.in_memory(f"{job.name}: a matrix").check(chip, written=written)
    codes = _codes(chip, job)
    size = sum(len(code) for code in codes)
    rows, columns = _piece_size(chip, job, size)
    places = _places(chip, job, rows, columns, size)
    pieces = list(_pieces(job, rows, columns))
    programs = VectorPrograms(code_at, np.concatenate(codes), job.name, pieces)
    if wait is not None:
        programs.load.append(Command(name="NOTHING", wait=wait))
    programs.load.append(_copy("LOAD", memory=code_at, scratchpad=places.code, row=size))
    loaded = -1
    for number, piece in enumerate(pieces):
        slot = places.slots[number % SLOTS]
        matrices = [_of_piece(slot, places, index, operand, piece) for index, operand in enumerate(job.operands)]
        loads = [_move("LOAD", each, matrix, piece) for each, matrix in zip(job.operands, matrices, strict=True)]
        stores = [_move("STORE", each, matrix, piece) for each, matrix in zip(job.operands, matrices, strict=True)]
        last = piece.row + piece.rows == job.rows
        ended = [each for each, operand in zip(stores, job.operands, strict=True) if each and _stored(operand, last)]
        plan = job.plan(Unit(chip=chip), matrices, piece)
        which = _index(codes, image(plan.program))
        runs = list(plan.runs)
        if which != loaded:
            source = places.code + sum(len(code) for code in codes[:which])
            runs = [LoadProgram(source=source, count=len(plan.program)), *runs]
            loaded = which
        vector = [Command(name=name_of(each), fields=_fields(each)) for each in runs]  # type: ignore[arg-type]
        first = (FREE, 1) if number >= SLOTS else None
        programs.load += _linked([each for each in loads if each], first, (LOADED, 1))
        programs.vector += _linked(vector, (LOADED, 1), (READY, 1))
        programs.store += _linked(ended, (READY, 1), (FREE, 1))
    # What is free at the end has nobody who waits for it.
    programs.load.append(Command(name="NOTHING", wait=(FREE, min(SLOTS, len(pieces)))))
    if signal is not None:
        programs.store.append(Command(name="NOTHING", signal=signal))
    if record:
        for _, queue in programs.items():
            queue[:] = [replace(each, record=each.name != "NOTHING") for each in queue]
    return programs


def _codes(chip: ChipConfig, job: VectorJob) -> list[NDArray[np.uint8]]:
    """The programs of the first rows and of those behind, each once."""
    rows = min(job.rows, chip.vector.strip_rows)
    codes: list[NDArray[np.uint8]] = []
    for row in (0, rows) if any(each.shape is Shape.TOTAL for each in job.operands) else (0,):
        layout = Layout(word_bytes=chip.scratchpad.word_bytes)
        matrices = [_matrix(layout, chip, operand, rows, job.columns) for operand in job.operands]
        piece = Piece(row=row, rows=rows, column=0, columns=job.columns)
        codes.append(image(job.plan(Unit(chip=chip), matrices, piece).program))
    return codes


def _index(codes: list[NDArray[np.uint8]], code: NDArray[np.uint8]) -> int:
    return next(number for number, each in enumerate(codes) if each.tobytes() == code.tobytes())


def _piece_size(chip: ChipConfig, job: VectorJob, code_bytes: int) -> tuple[int, int]:
    """Rows and columns of a piece: as many rows as fit, and fewer columns only if not even a strip of rows does."""
    strip, lanes = chip.vector.strip_rows, chip.scratchpad.word_bytes // 4
    capacity = chip.scratchpad.capacity

    def fits(rows: int, columns: int) -> bool:
        if max(columns * 4, rows * 4) > ROW_BYTES:
            return False
        return _places(chip, job, rows, columns, code_bytes).end <= capacity

    columns = job.columns
    while not job.whole_rows and columns > lanes and not fits(min(job.rows, strip), columns):
        columns = -(-columns // (2 * lanes)) * lanes
    rows = min(job.rows, strip)
    while rows > 1 and not fits(rows, columns):
        rows //= 2
    if not fits(rows, columns):
        raise UserError(f"{job.name}: a row of {job.columns} does not fit a scratchpad of {capacity} bytes")
    step = strip << (job.rows // strip).bit_length() if rows == strip else 0
    while step >= strip:
        if rows + step <= job.rows and fits(rows + step, columns):
            rows += step
        else:
            step //= 2
    if job.rows - rows < strip <= rows and fits(job.rows, columns):
        rows = job.rows
    return rows, columns


def _places(chip: ChipConfig, job: VectorJob, rows: int, columns: int, code_bytes: int) -> _Places:
    """Each matrix in banks of its own, where there is room: then the unit waits for nobody's accesses but its own."""
    pad = chip.scratchpad
    found = _laid_out(chip, job, rows, columns, code_bytes, unit=pad.capacity // pad.banks)
    return found if found.end <= pad.capacity else _laid_out(chip, job, rows, columns, code_bytes)


def _laid_out(chip: ChipConfig, job: VectorJob, rows: int, columns: int, code_bytes: int, *, unit: int = 1) -> _Places:
    """Places whose matrices begin at multiples of ``unit`` bytes; what is small stands behind them."""
    layout = Layout(word_bytes=chip.scratchpad.word_bytes)
    slots: list[list[Matrix | None]] = []
    for _ in range(SLOTS):
        slot: list[Matrix | None] = []
        for operand in job.operands:
            own = operand.shape not in (Shape.ROOM, Shape.TOTAL)
            if operand.shape is Shape.MATRIX:
                layout.end = -(-layout.end // unit) * unit
            slot.append(_matrix(layout, chip, operand, rows, columns) if own else None)
        slots.append(slot)
    totals: dict[int, Matrix] = {}
    for index, operand in enumerate(job.operands):
        if operand.shape is Shape.ROOM:
            room = _matrix(layout, chip, operand, rows, columns)
            for slot in slots:
                slot[index] = room
        elif operand.shape is Shape.TOTAL and operand.array:
            totals[index] = layout.matrix(1, job.columns, operand.array.format)
    code = layout.end
    return _Places(slots=slots, totals=totals, code=code, end=code + code_bytes)


def _matrix(layout: Layout, chip: ChipConfig, operand: Operand, rows: int, columns: int) -> Matrix:
    """A place for an operand of a piece."""
    fmt = operand.array.format if operand.array else operand.format
    if operand.shape is Shape.COLUMN:
        size = format_named(fmt).bits // 8
        return replace(layout.matrix(1, rows, fmt), rows=rows, columns=1, pitch=size)
    if operand.shape is Shape.ROOM:
        return layout.matrix(min(rows, chip.vector.strip_rows), columns, fmt)
    if operand.shape is Shape.LIST:
        return layout.matrix(1, rows, fmt)
    return layout.matrix(rows if operand.shape is Shape.MATRIX else 1, columns, fmt)


def _of_piece(slot: Sequence[Matrix | None], places: _Places, index: int, operand: Operand, piece: Piece) -> Matrix:
    """An operand in the scratchpad, no larger than the piece needs."""
    place = slot[index]
    if place is None:
        total = places.totals[index]
        return replace(total, base=total.base + piece.column * total.element_bytes, columns=piece.columns)
    if operand.shape is Shape.LIST:
        return replace(place, columns=piece.rows)
    if operand.shape is Shape.COLUMN:
        return replace(place, rows=piece.rows)
    if operand.shape is Shape.MATRIX:
        return replace(place, rows=piece.rows, columns=piece.columns)
    return replace(place, columns=piece.columns)


def _pieces(job: VectorJob, rows: int, columns: int) -> Iterator[Piece]:
    for column in range(0, job.columns, columns):
        for row in range(0, job.rows, rows):
            yield Piece(
                row=row,
                rows=min(rows, job.rows - row),
                column=column,
                columns=min(columns, job.columns - column),
            )


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


def _fields(command) -> dict[str, int]:
    return {name: value for name, value in fields_of(command).items() if value}


def _linked(commands: list[Command], wait: tuple[int, int] | None, signal: tuple[int, int]) -> list[Command]:
    """Commands of which the first one waits, and the last one signals."""
    commands = commands or [Command(name="NOTHING")]
    commands = [replace(commands[0], wait=wait), *commands[1:]]
    return [*commands[:-1], replace(commands[-1], signal=signal)]
