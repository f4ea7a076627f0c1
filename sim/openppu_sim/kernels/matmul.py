"""Products of matrices in memory, tile by tile through the scratchpad: the plan, and the queues' programs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS

from openppu_sim.errors import UserError
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command

LOADED, FREE, READY, STORED = range(4)
"""Semaphores: a pair of tiles is loaded; its place is free; a tile of results is there; its place is free."""

MEMORY_BYTES = 32
"""That a channel of the DMA moves in a cycle."""

SUM_BYTES = 4
ROW_BYTES = 65_535
"""Of a row that the DMA copies, at most."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A matrix in memory: address of its first element, and bytes from a row to the next."""

    address: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class MatmulJob:
    """D = A x B (+ a row C), of m x k and k x n elements.

    Parameters
    ----------
    m, n, k : int
    format : str
        Of A and B.
    a, b, d : Operand
        D has 32-bit sums, or elements of ``result_format``.
    transpose_a, transpose_b : bool
        A is stored as its transpose, k rows of m elements; B as n rows of k elements.
    c : int, optional
        Address of a row of n 32-bit numbers that is added to each row.
    result_format : str, optional
    relu : bool
    scale : int
        Bits of the binary32 that int8 results are multiplied with.
    zero_point : int
    """

    m: int
    n: int
    k: int
    format: str
    a: Operand
    b: Operand
    d: Operand
    transpose_a: bool = False
    transpose_b: bool = False
    c: int | None = None
    result_format: str | None = None
    relu: bool = False
    scale: int = 0x3F80_0000
    zero_point: int = 0

    @property
    def element_bytes(self) -> int:
        """Of A and B."""
        return FORMATS[self.format].bits // 8

    @property
    def result_bytes(self) -> int:
        """Of an element of D."""
        return FORMATS[self.result_format].bits // 8 if self.result_format else SUM_BYTES


@dataclass(frozen=True, kw_only=True)
class MatmulPlan:
    """Tiles and places, and what they lead to.

    Parameters
    ----------
    rows, columns, depth : int
        Of a tile of D, and of the piece of k that is loaded with it.
    a, b, d : tuple of int
        Two places in the scratchpad for each, and of
    c : int
        the row that is added.
    a_stride, b_stride, d_stride : int
        Bytes from a row to the next there.
    cycles : int
        Estimated: of computing or of the slower of loading and storing.
    """

    rows: int
    columns: int
    depth: int
    a: tuple[int, int]
    b: tuple[int, int]
    d: tuple[int, int]
    c: int
    a_stride: int
    b_stride: int
    d_stride: int
    cycles: int


@dataclass
class Programs:
    """What goes into the queues, by name."""

    load: list[Command] = field(default_factory=list)
    matmul: list[Command] = field(default_factory=list)
    store: list[Command] = field(default_factory=list)

    def items(self) -> Iterator[tuple[str, list[Command]]]:
        """Each queue with its program."""
        yield from (("load", self.load), ("matmul", self.matmul), ("store", self.store))


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def plan_matmul(chip: ChipConfig, job: MatmulJob) -> MatmulPlan:
    """The tiles for which the estimate is least.

    Raises
    ------
    UserError
        If a size is not positive, or the format is not built in.
    """
    for name, value in (("m", job.m), ("n", job.n), ("k", job.k)):
        if value < 1:
            raise UserError(f"matmul {name} = {value}: give at least 1")
    if job.format not in chip.tile.formats:
        raise UserError(f"matmul format {job.format}: this chip has {', '.join(chip.tile.formats)}")
    tile, pad = chip.tile, chip.scratchpad
    region = pad.capacity // 4
    half = region // 2
    size = job.element_bytes
    lanes = tile.rows if job.transpose_b else tile.columns
    units = max(8, tile.rows * size), max(8, lanes * size), max(8, tile.columns * job.result_bytes)
    best: MatmulPlan | None = None
    for blocks, depth_blocks in product(_steps(-(-job.n // tile.columns)), _steps(-(-job.k // tile.rows))):
        columns, depth = min(job.n, blocks * tile.columns), min(job.k, depth_blocks * tile.rows)
        b_rows, b_columns = (columns, depth) if job.transpose_b else (depth, columns)
        b_stride = _up(b_columns * size, units[1])
        d_stride = _up(columns * job.result_bytes, units[2])
        most = _most_rows(job, depth, half, units[0])
        rows = min(job.m, tile.accumulators // blocks, most, half // d_stride)
        if job.transpose_a and rows < job.m:
            # The next tile begins where a row of the transpose may be loaded to, and no read of a block is wasted.
            rows -= rows % tile.rows
        a_stride = _up((rows if job.transpose_a else depth) * size, units[0])
        if rows < 1 or b_rows * b_stride > half or max(depth, columns) * SUM_BYTES > ROW_BYTES:
            continue
        cycles = _estimate(chip, job, rows, columns, depth)
        if best is None or cycles < best.cycles:
            best = MatmulPlan(
                rows=rows,
                columns=columns,
                depth=depth,
                a=(0, half),
                b=(region, region + half),
                d=(2 * region, 2 * region + half),
                c=3 * region,
                a_stride=a_stride,
                b_stride=b_stride,
                d_stride=d_stride,
                cycles=cycles,
            )
    if best is None:
        raise UserError(f"matmul {job.m} x {job.k} x {job.n}: no tile of it fits a scratchpad of {pad.capacity} bytes")
    return best


def _most_rows(job: MatmulJob, depth: int, room: int, unit: int) -> int:
    """Rows of A that fit with a depth."""
    if not job.transpose_a:
        return room // _up(depth * job.element_bytes, unit)
    return min(room // depth // unit * unit, ROW_BYTES // unit * unit) // job.element_bytes


def _steps(most: int) -> list[int]:
    """1, 2, 4 and so on, and the last."""
    return sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})


def _estimate(chip: ChipConfig, job: MatmulJob, rows: int, columns: int, depth: int) -> int:
    tile = chip.tile
    tiles = -(-job.m // rows) * -(-job.n // columns)
    blocks = -(-columns // tile.columns) * -(-depth // tile.rows)
    steps = -(-job.k // depth)
    compute = blocks * max(rows, tile.rows) * steps
    loads = (rows + columns) * job.k * job.element_bytes // (MEMORY_BYTES * chip.dma.channels)
    stores = rows * columns * job.result_bytes // (MEMORY_BYTES * chip.dma.channels)
    first = loads // steps
    return tiles * max(compute, loads, stores) + first + stores


def matmul_programs(
    chip: ChipConfig,
    job: MatmulJob,
    plan: MatmulPlan | None = None,
    *,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
    record: bool = False,
) -> Programs:
    """The programs of a compute unit's queues: loads, products and stores overlap, two tiles of each at a time.

    They use the first four semaphores, which are 0 before and after.

    Parameters
    ----------
    wait : tuple of (int, int), optional
        Load nothing before this semaphore has this value.
    signal : tuple of (int, int), optional
        Raise this one when all is in memory.
    record : bool
        Let each command of an engine write a record.
    """
    plan = plan or plan_matmul(chip, job)
    programs = Programs()
    step = 0
    pieces = list(_pieces(job.k, plan.depth))
    tiles = list(product(_pieces(job.m, plan.rows), _pieces(job.n, plan.columns)))
    if wait is not None:
        programs.load.append(Command(name="NOTHING", wait=wait))
    if job.c is not None:
        programs.load.append(
            _copy("LOAD", memory=job.c, scratchpad=plan.c, row=SUM_BYTES * job.n, rows=1, strides=(0, 0))
        )
    for number, ((row, rows), (column, columns)) in enumerate(tiles):
        for piece, (k, depth) in enumerate(pieces):
            _load(programs, job, plan, step, (row, rows), (column, columns), (k, depth))
            _multiply(programs, job, plan, step, number, (rows, column, columns, depth), piece, len(pieces))
            step += 1
        _store(programs, job, plan, number, (row, rows), (column, columns))
    # What is free at the end has nobody who waits for it.
    for queue, semaphore, count in (
        (programs.load, FREE, min(2, step)),
        (programs.matmul, STORED, min(2, len(tiles))),
    ):
        queue.append(Command(name="NOTHING", wait=(semaphore, count)))
    if signal is not None:
        programs.store.append(Command(name="NOTHING", signal=signal))
    if record:
        for queue in (programs.load, programs.matmul, programs.store):
            queue[:] = [replace(each, record=each.name != "NOTHING") for each in queue]
    return programs


def _pieces(whole: int, part: int) -> Iterator[tuple[int, int]]:
    for first in range(0, whole, part):
        yield first, min(part, whole - first)


def _copy(name: str, *, memory: int, scratchpad: int, row: int, rows: int, strides: tuple[int, int], **more) -> Command:
    fields = {
        "memory": memory,
        "scratchpad": scratchpad,
        "row": row,
        "count_0": rows,
        "memory_stride_0": strides[0] if rows > 1 else 0,
        "scratchpad_stride_0": strides[1] if rows > 1 else 0,
        **{f"count_{dimension}": 1 for dimension in (1, 2, 3)},
    }
    return Command(name=name, fields=fields, **more)


def _load(programs, job, plan, step, rows, columns, depth) -> None:
    size, place = job.element_bytes, step % 2
    a_rows, a_columns = (depth, rows) if job.transpose_a else (rows, depth)
    b_rows, b_columns = (columns, depth) if job.transpose_b else (depth, columns)
    programs.load.append(
        _copy(
            "LOAD",
            memory=job.a.address + a_rows[0] * job.a.stride + a_columns[0] * size,
            scratchpad=plan.a[place],
            row=a_columns[1] * size,
            rows=a_rows[1],
            strides=(job.a.stride, plan.a_stride),
            wait=(FREE, 1) if step >= 2 else None,
        )
    )
    programs.load.append(
        _copy(
            "LOAD",
            memory=job.b.address + b_rows[0] * job.b.stride + b_columns[0] * size,
            scratchpad=plan.b[place],
            row=b_columns[1] * size,
            rows=b_rows[1],
            strides=(job.b.stride, plan.b_stride),
            signal=(LOADED, 1),
        )
    )


def _multiply(programs, job, plan, step, number, sizes, piece, pieces) -> None:
    rows, column, columns, depth = sizes
    first, last = piece == 0, piece == pieces - 1
    addend = Addend.ACCUMULATORS if not first else Addend.ZERO if job.c is None else Addend.SCRATCHPAD
    result = Result.NONE if not last else Result.CONVERTED if job.result_format else Result.SUMS
    if last and number >= 2:
        programs.matmul.append(Command(name="NOTHING", wait=(STORED, 1)))
    fields = {
        "m": rows,
        "n": columns,
        "k": depth,
        "format": FORMATS[job.format].code,
        "transpose_a": int(job.transpose_a),
        "transpose_b": int(job.transpose_b),
        "addend": int(addend),
        "result": int(result),
        "result_format": FORMATS[job.result_format].code if job.result_format else 0,
        "relu": job.relu and last,
        "zero_point": job.zero_point,
        "scale": job.scale,
        "a_address": plan.a[step % 2],
        "a_stride": plan.a_stride,
        "b_address": plan.b[step % 2],
        "b_stride": plan.b_stride,
        "c_address": plan.c + SUM_BYTES * column if addend is Addend.SCRATCHPAD else 0,
        "c_stride": 0,
        "d_address": plan.d[number % 2] if last else 0,
        "d_stride": plan.d_stride if last else 0,
    }
    programs.matmul.append(Command(name="MATMUL", fields=fields, wait=(LOADED, 1), signal=(FREE, 1)))
    if last:
        programs.matmul.append(Command(name="NOTHING", signal=(READY, 1)))


def _store(programs, job, plan, number, rows, columns) -> None:
    programs.store.append(
        _copy(
            "STORE",
            memory=job.d.address + rows[0] * job.d.stride + columns[0] * job.result_bytes,
            scratchpad=plan.d[number % 2],
            row=columns[1] * job.result_bytes,
            rows=rows[1],
            strides=(job.d.stride, plan.d_stride),
            wait=(READY, 1),
            signal=(STORED, 1),
        )
    )
