"""Products of matrices cut into tiles: what is loaded, multiplied and stored, in order, and where it lies meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from openppu.config import ChipConfig

from openppu_sim.kernels.matmul_job import SUM_BYTES, MatmulJob

EIGHTHS = 8
"""Parts of the scratchpad, in whole banks where there are eight: engines at work in different ones never wait."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How a product is cut.

    Parameters
    ----------
    rows, columns, depth : int
        Of a product: rows of A, columns of B, and what it takes of k at a time.
    group : int
        Products one below the other that are summed up at the same time, so that they share what is loaded of B.
    rows_first : bool
        All columns of a group before the next group, instead of all groups of these columns before the next columns.
    keeps_a, keeps_b : bool
        What is loaded of A, or of B, stays as long as it is needed; else it is loaded for each use.
    shares : tuple of int
        Eighths of the scratchpad for A, B and D.
    """

    rows: int
    columns: int
    depth: int
    group: int
    rows_first: bool
    keeps_a: bool
    keeps_b: bool
    shares: tuple[int, int, int]


@dataclass(frozen=True)
class Span:
    """Rows or columns: the first, and how many."""

    first: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Load:
    """A part of A or B as stored, or C's row, to a place in the scratchpad, once ``after`` products have ended."""

    matrix: str
    rows: Span
    columns: Span
    place: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Product:
    """A product, once ``loads`` loads and ``stores`` stores have ended; ``last`` of its sums, or not."""

    rows: Span
    columns: Span
    depth: Span
    a: int
    b: int
    d: int
    accumulator: int
    first: bool
    last: bool
    loads: int
    stores: int


@dataclass(frozen=True, kw_only=True)
class Store:
    """A part of D from its place, once ``after`` products have ended."""

    rows: Span
    columns: Span
    place: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """All that is done, in order; and bytes from a row to the next in the scratchpad."""

    loads: tuple[Load, ...]
    products: tuple[Product, ...]
    stores: tuple[Store, ...]
    a_stride: int
    b_stride: int
    d_stride: int


class Places:
    """Places for things of one size, which follow each other round and round, a bank after the other."""

    def __init__(self, begin: int, end: int, unit: int, size: int) -> None:
        self._begin, self._unit, self._size = begin, unit, size
        self._units = max(1, (end - begin) // unit)
        self._in_unit = unit // size
        self.count = self._in_unit * self._units if self._in_unit else (end - begin) // size
        if end - begin < self._units * unit:
            # Its end is used otherwise.
            self._units, self._in_unit = 1, 0
            self.count = (end - begin) // size
        self.banks = self._units if self._in_unit else self.count

    def __getitem__(self, number: int) -> int:
        number %= self.count
        if not self._in_unit:
            return self._begin + number * self._size
        return self._begin + number % self._units * self._unit + number // self._units * self._size


def up(value: int, unit: int) -> int:
    """The next multiple."""
    return -(-value // unit) * unit


def spans(whole: int, part: int) -> list[Span]:
    """So many, in parts."""
    return [Span(first, min(part, whole - first)) for first in range(0, whole, part)]


def strides(chip: ChipConfig, job: MatmulJob, tiling: Tiling) -> tuple[int, int, int]:
    """Bytes from a row to the next in the scratchpad, of A, B and D."""
    size, tile = job.element_bytes, chip.tile
    a_row = tiling.rows if job.transpose_a else tiling.depth
    b_row, lanes = (tiling.depth, tile.rows) if job.transpose_b else (tiling.columns, tile.columns)
    return (
        up(a_row * size, max(8, tile.rows * size)),
        up(b_row * size, max(8, lanes * size)),
        job.result_row(tile, tiling.columns),
    )


def as_stored(job: MatmulJob, matrix: str, rows: Any, columns: Any) -> tuple[Any, Any]:
    """Rows and columns of A or B, as they are in memory."""
    turned = job.transpose_a if matrix == "a" else job.transpose_b
    return (columns, rows) if turned else (rows, columns)


def schedule(
    chip: ChipConfig, job: MatmulJob, tiling: Tiling, *, left_alone: int = 0, apart: bool = False
) -> Schedule | None:
    """What a tiling leads to, or nothing if it does not fit the scratchpad, whose last bytes are ``left_alone``.

    With ``apart``, a part of B is not loaded before the products have ended that use those before it in its bank: so
    the tile never waits for a bank that B is being loaded into.
    """
    pad, word = chip.scratchpad, chip.scratchpad.word_bytes
    a_stride, b_stride, d_stride = strides(chip, job, tiling)
    unit = pad.capacity // EIGHTHS
    bounds = [0]
    for share in tiling.shares:
        bounds.append(bounds[-1] + share * unit)
    end = pad.capacity - left_alone
    row_c = end - up(SUM_BYTES * job.n, word) if job.c is not None else end
    if row_c <= bounds[2]:
        return None
    a_rows, _ = as_stored(job, "a", tiling.rows, tiling.depth)
    b_rows, _ = as_stored(job, "b", tiling.depth, tiling.columns)
    a_places = Places(bounds[0], bounds[1], unit, up(a_rows * a_stride, word))
    b_places = Places(bounds[1], bounds[2], unit, up(b_rows * b_stride, word))
    d_places = Places(bounds[2], row_c, unit, up(tiling.rows * d_stride, word))
    if not (a_places.count and b_places.count and d_places.count):
        return None

    uses = list(_uses(chip, job, tiling))
    a_of, a_last = _instances([use.a_key for use in uses])
    b_of, b_last = _instances([use.b_key for use in uses])
    loads: list[Load] = []
    products: list[Product] = []
    stores: list[Store] = []
    free = 0
    if job.c is not None:
        loads.append(Load(matrix="c", rows=Span(0, 1), columns=Span(0, job.n), place=row_c, after=0))
    seen_a = seen_b = 0
    for number, use in enumerate(uses):
        # Of B first: it waits for less, as a rule.
        for matrix, instance, seen, last, places in (
            ("b", b_of[number], seen_b, b_last, b_places),
            ("a", a_of[number], seen_a, a_last, a_places),
        ):
            if instance < seen:
                continue
            round_before = instance - (places.banks if apart and matrix == "b" else places.count)
            freed = last[round_before] + 1 if round_before >= 0 else 0
            if freed > number:
                return None
            free = max(free, freed)
            whole = (use.depth, use.columns) if matrix == "b" else (use.rows, use.depth)
            rows, columns = as_stored(job, matrix, *whole)
            loads.append(Load(matrix=matrix, rows=rows, columns=columns, place=places[instance], after=free))
        seen_a, seen_b = max(seen_a, a_of[number] + 1), max(seen_b, b_of[number] + 1)
        done = len(stores)
        products.append(
            Product(
                rows=use.rows,
                columns=use.columns,
                depth=use.depth,
                a=a_places[a_of[number]],
                b=b_places[b_of[number]],
                d=d_places[done] if use.last else 0,
                accumulator=use.accumulator,
                first=use.first,
                last=use.last,
                loads=len(loads),
                stores=max(0, done + 1 - d_places.count) if use.last else 0,
            )
        )
        if use.last:
            stores.append(Store(rows=use.rows, columns=use.columns, place=d_places[done], after=number + 1))
    return Schedule(
        loads=tuple(loads),
        products=tuple(products),
        stores=tuple(stores),
        a_stride=a_stride,
        b_stride=b_stride,
        d_stride=d_stride,
    )


@dataclass(frozen=True, kw_only=True)
class _Use:
    rows: Span
    columns: Span
    depth: Span
    accumulator: int
    first: bool
    last: bool
    a_key: tuple
    b_key: tuple


def _uses(chip: ChipConfig, job: MatmulJob, tiling: Tiling) -> Iterator[_Use]:
    """The products in their order, each with names for what it needs of A and of B."""
    tiles, pieces = spans(job.m, tiling.rows), spans(job.k, tiling.depth)
    panels = spans(job.n, tiling.columns)
    groups = [tiles[first : first + tiling.group] for first in range(0, len(tiles), tiling.group)]
    if tiling.rows_first:
        order = [(group, panel) for group in groups for panel in panels]
    else:
        order = [(group, panel) for panel in panels for group in groups]
    for group, panel in order:
        blocks = -(-panel.count // chip.tile.columns)
        for number, depth in enumerate(pieces):
            for below, tile in enumerate(group):
                yield _Use(
                    rows=tile,
                    columns=panel,
                    depth=depth,
                    accumulator=below * tiling.rows * blocks,
                    first=number == 0,
                    last=number == len(pieces) - 1,
                    a_key=(tile, depth) if tiling.keeps_a else (tile, depth, panel),
                    b_key=(depth, panel) if tiling.keeps_b else (depth, panel, group[0]),
                )


def _instances(keys: list[tuple]) -> tuple[list[int], list[int]]:
    """For each use, the number of what is used, counted by first uses; and for each of these, its last use."""
    numbers: dict[tuple, int] = {}
    of = [numbers.setdefault(key, len(numbers)) for key in keys]
    last = [0] * len(numbers)
    for use, instance in enumerate(of):
        last[instance] = use
    return of, last
