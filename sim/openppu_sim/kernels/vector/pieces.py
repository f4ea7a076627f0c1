"""Computations of the vector unit on matrices in memory, divided over compute units and cut into pieces that fit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from openppu.config import ChipConfig

from openppu_sim.errors import UserError
from openppu_sim.kernels.compute_units import cuts
from openppu_sim.kernels.memory_timing import MEMORY_WORD
from openppu_sim.kernels.vector.commands import format_named
from openppu_sim.kernels.vector.job import Operand, Piece, Shape, VectorJob
from openppu_sim.kernels.vector.matrix import Layout, Matrix

SLOTS = 2
"""Places for pieces."""

ROW_BYTES = 65_535
"""Of a row that the DMA copies, at most; and how many of them."""

LIST_ROWS = MEMORY_WORD // 4
"""Rows whose elements of a list are a word of memory."""


@dataclass
class Places:
    """Where everything is in the scratchpad: of each slot the operands, and the programs."""

    slots: list[list[Matrix | None]]
    totals: dict[int, Matrix]
    code: int
    end: int


@dataclass(frozen=True)
class Share:
    """Of a compute unit: its pieces, and places for them in its scratchpad."""

    pieces: tuple[Piece, ...]
    places: Places


def shares(chip: ChipConfig, job: VectorJob, units: int, code_bytes: int) -> list[Share]:
    """Of so many units or fewer: those of one are cut as if it had a job of its own, unless results depend on it."""
    every = Piece(row=0, rows=job.rows, column=0, columns=job.columns)
    if not job.own_pieces:
        return [_share(chip, job, region, code_bytes) for region in _regions(chip, job, units)]
    alone = _share(chip, job, every, code_bytes)
    return [Share(alone.pieces[part.start : part.stop], alone.places) for part in cuts(len(alone.pieces), units, 1)]


def _share(chip: ChipConfig, job: VectorJob, region: Piece, code_bytes: int) -> Share:
    rows, columns = _piece_size(chip, job, region, code_bytes)
    return Share(tuple(_pieces(region, rows, columns)), _places(chip, job, rows, columns, code_bytes))


def _regions(chip: ChipConfig, job: VectorJob, units: int) -> list[Piece]:
    """Rows and columns of each unit, the largest as small as can be; a sum of columns is of all rows."""
    most = 1 if any(each.shape is Shape.TOTAL for each in job.operands) else units
    divided = []
    for down in range(most, 0, -1):
        rows = cuts(job.rows, down, chip.vector.strip_rows, LIST_ROWS, 1)
        across = 1 if job.whole_rows else units // len(rows)
        divided.append((rows, cuts(job.columns, across, MEMORY_WORD, chip.scratchpad.word_bytes // 4)))
    rows, columns = min(divided, key=lambda each: len(each[0][0]) * len(each[1][0]))
    return [Piece(row=r.start, rows=len(r), column=c.start, columns=len(c)) for c in columns for r in rows]


def _piece_size(chip: ChipConfig, job: VectorJob, region: Piece, code_bytes: int) -> tuple[int, int]:
    """Rows and columns of a piece: as many rows as fit, and fewer columns only if not even a strip of rows does."""
    strip, lanes = chip.vector.strip_rows, chip.scratchpad.word_bytes // 4
    capacity = chip.scratchpad.capacity

    def fits(rows: int, columns: int) -> bool:
        if max(columns * 4, rows * 4) > ROW_BYTES:
            return False
        return _places(chip, job, rows, columns, code_bytes).end <= capacity

    columns = region.columns
    while not job.whole_rows and columns > lanes and not fits(min(region.rows, strip), columns):
        columns = -(-columns // (2 * lanes)) * lanes
    rows = min(region.rows, strip)
    while rows > 1 and not fits(rows, columns):
        rows //= 2
    if not fits(rows, columns):
        raise UserError(f"{job.name}: a row of {job.columns} does not fit a scratchpad of {capacity} bytes")
    step = strip << (region.rows // strip).bit_length() if rows == strip else 0
    while step >= strip:
        if rows + step <= region.rows and fits(rows + step, columns):
            rows += step
        else:
            step //= 2
    if region.rows - rows < strip <= rows and fits(region.rows, columns):
        rows = region.rows
    return rows, columns


def _places(chip: ChipConfig, job: VectorJob, rows: int, columns: int, code_bytes: int) -> Places:
    """Each matrix in banks of its own, where there is room: then the unit waits for nobody's accesses but its own."""
    pad = chip.scratchpad
    found = _laid_out(chip, job, rows, columns, code_bytes, unit=pad.capacity // pad.banks)
    return found if found.end <= pad.capacity else _laid_out(chip, job, rows, columns, code_bytes)


def _laid_out(chip: ChipConfig, job: VectorJob, rows: int, columns: int, code_bytes: int, *, unit: int = 1) -> Places:
    """Places whose matrices begin at multiples of ``unit`` bytes; what is small stands behind them."""
    layout = Layout(word_bytes=chip.scratchpad.word_bytes)
    slots: list[list[Matrix | None]] = []
    for _ in range(SLOTS):
        slot: list[Matrix | None] = []
        for operand in job.operands:
            own = operand.shape not in (Shape.ROOM, Shape.TOTAL)
            if operand.shape is Shape.MATRIX:
                layout.end = -(-layout.end // unit) * unit
            slot.append(matrix_of(layout, chip, operand, rows, columns) if own else None)
        slots.append(slot)
    totals: dict[int, Matrix] = {}
    for index, operand in enumerate(job.operands):
        if operand.shape is Shape.ROOM:
            room = matrix_of(layout, chip, operand, rows, columns)
            for slot in slots:
                slot[index] = room
        elif operand.shape is Shape.TOTAL and operand.array:
            totals[index] = layout.matrix(1, job.columns, operand.array.format)
    code = layout.end
    return Places(slots=slots, totals=totals, code=code, end=code + code_bytes)


def matrix_of(layout: Layout, chip: ChipConfig, operand: Operand, rows: int, columns: int) -> Matrix:
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


def of_piece(slot: Sequence[Matrix | None], places: Places, index: int, operand: Operand, piece: Piece) -> Matrix:
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


def _pieces(region: Piece, rows: int, columns: int) -> Iterator[Piece]:
    for column in range(0, region.columns, columns):
        for row in range(0, region.rows, rows):
            yield Piece(
                row=region.row + row,
                rows=min(rows, region.rows - row),
                column=region.column + column,
                columns=min(columns, region.columns - column),
            )
