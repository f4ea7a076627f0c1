"""Chooses how a product of matrices is cut."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from openppu.config import ChipConfig

from openppu_sim.errors import UserError
from openppu_sim.kernels.compute_units import STORED, chosen
from openppu_sim.kernels.matmul_job import SUM_BYTES, MatmulJob
from openppu_sim.kernels.matmul_parts import Part, divisions
from openppu_sim.kernels.matmul_tiling import EIGHTHS, Schedule, Tiling, as_stored, schedule, up
from openppu_sim.kernels.matmul_timing import (
    ACKNOWLEDGED,
    COMMAND,
    FIRST_WORD,
    RESULT,
    WAKES,
    predict,
)
from openppu_sim.kernels.memory_timing import Bandwidth, MemoryTiming, Rows

SHARES = ((2, 4, 2), (4, 2, 2), (3, 3, 2), (1, 5, 2), (5, 1, 2))
"""Eighths of the scratchpad for A, B and D; the first two in whole banks also where there are but four."""

ROW_BYTES = 65_535
"""Of a row that the DMA copies, at most."""

MOST_PRODUCTS = (1_024, 16_384, 1 << 20)
"""As few as will do."""

TRIED, TRIED_PRODUCTS = 12, 4_096
"""Of the most promising tilings, whose schedules are worked out; they end sooner if they have so many products."""

LOADS_AHEAD = 1.25
"""If a product takes more than so many times what the tile computes, it waits for loads, and they are not ahead."""

COMMAND_WEIGHT = 0.25
"""Cycles that a command counts for when plans are compared: of two that are as fast, the simpler one."""


@dataclass(frozen=True, kw_only=True)
class UnitPlan:
    """What a compute unit does of a product: a tiling of its part, its schedule, and what they lead to.

    Parameters
    ----------
    unit : int
    part : Part
    tiling : Tiling
    schedule : Schedule
    cycles : int
        Predicted, from the first load to the end of the last store.
    bound : int
        Cycles that the tile computes, at least.
    """

    unit: int
    part: Part
    tiling: Tiling
    schedule: Schedule
    cycles: int
    bound: int

    @property
    def loaded(self) -> int:
        """Bytes."""
        size = self.part.job.element_bytes
        return sum(
            each.rows.count * each.columns.count * (SUM_BYTES if each.matrix == "c" else size)
            for each in self.schedule.loads
        )

    @property
    def stored(self) -> int:
        """Bytes."""
        job = self.part.job
        return job.m * job.n * job.result_bytes

    def __str__(self) -> str:
        tiling, found = self.tiling, self.schedule
        order = "rows by rows" if tiling.rows_first else "columns by columns"
        kept = [name for name, keeps in (("A", tiling.keeps_a), ("B", tiling.keeps_b)) if keeps]
        return (
            f"{len(found.products):,} products of {tiling.rows} x {tiling.depth} x {tiling.columns}, {tiling.group} "
            f"below each other at a time, {order}; "
            f"{' and '.join(kept) or 'nothing'} {'stay' if len(kept) == 2 else 'stays'} in the scratchpad; "
            f"{len(found.loads):,} loads bring {self.loaded:,} bytes, {len(found.stores):,} stores {self.stored:,}; "
            f"the tile computes {self.bound:,} cycles, {self.cycles:,} are expected in all "
            f"({100 * self.bound / self.cycles:.1f} %)"
        )


@dataclass(frozen=True)
class MatmulPlan:
    """What each compute unit does of a product.

    Parameters
    ----------
    units : tuple of UnitPlan
    """

    units: tuple[UnitPlan, ...]

    def is_of(self, job: MatmulJob) -> bool:
        """Whether it is of such a product, wherever that lies."""
        parts = [each.part for each in self.units]
        end = max((part.rows.stop, part.columns.stop) for part in parts)
        return end == (job.m, job.n) and all(part.job.kind == job.kind for part in parts)

    @property
    def cycles(self) -> int:
        """Predicted, from the first load to the end of the last store."""
        return max(each.cycles for each in self.units)

    @property
    def bound(self) -> int:
        """Cycles that the tile with most to do computes, at least."""
        return max(each.bound for each in self.units)

    @property
    def loaded(self) -> int:
        """Bytes."""
        return sum(each.loaded for each in self.units)

    @property
    def stored(self) -> int:
        """Bytes."""
        return sum(each.stored for each in self.units)

    def __str__(self) -> str:
        if len(self.units) == 1:
            return str(self.units[0])
        lines = [
            f"{len(self.units)} compute units load {self.loaded:,} bytes and store {self.stored:,}; a tile computes "
            f"{self.bound:,} cycles at most, {self.cycles:,} are expected in all "
            f"({100 * self.bound / self.cycles:.1f} %)"
        ]
        told: dict[str, int] = {}
        for each in self.units:
            rows, columns = each.part.rows, each.part.columns
            place = f"rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}"
            first = told.setdefault(str(each), each.unit)
            lines.append(f"unit {each.unit}: {place}: {each if first == each.unit else f'as unit {first}'}")
        return "\n".join(lines)


def plan_matmul(
    chip: ChipConfig,
    job: MatmulJob,
    *,
    units: Iterable[int] | None = None,
    bandwidth: Bandwidth | None = None,
    left_alone: int = 0,
) -> MatmulPlan:
    """The parts for compute units, and the tiles of each, for which the prediction is least.

    Parameters
    ----------
    chip : ChipConfig
    job : MatmulJob
    units : iterable of int, optional
        Compute units that may take part; by default all.
    bandwidth : Bandwidth, optional
        Of memory, for each unit; by default what the DMA moves, or a unit's share of the channels.
    left_alone : int
        Bytes at the scratchpads' ends that are used otherwise.

    Raises
    ------
    UserError
        As of `MatmulJob.check`, if there is no such unit, or if nothing fits the scratchpad.
    """
    job.check(chip)
    found = chosen(chip, units, needed=STORED)
    tiling = None
    if job.seed is not None and len(found) > 1:
        # The products of one unit: how results are rounded depends on where these begin.
        alone = _planned(chip, divisions(chip, job, 1)[0], found, bandwidth, left_alone)
        tiling = alone.units[0].tiling if alone else None
    tile = (tiling.rows, tiling.columns) if tiling else None
    plans = [
        _planned(chip, parts, found, bandwidth, left_alone, tiling) for parts in divisions(chip, job, len(found), tile)
    ]
    fitting = [each for each in plans if each is not None]
    if not fitting:
        raise UserError(
            f"matmul {job.m} x {job.k} x {job.n}: no tile of it fits a scratchpad of {chip.scratchpad.capacity} bytes; "
            "give smaller sizes, or a chip of more scratchpad.banks or scratchpad.bank_words"
        )
    return min(fitting, key=lambda plan: (max(plan.cycles, _vector_cycles(chip, plan)), plan.loaded))


def _vector_cycles(chip: ChipConfig, plan: MatmulPlan) -> int:
    """Of the unit whose vector unit has most to do."""
    return max(each.part.job.vector_cycles(chip.tile) for each in plan.units)


def _planned(
    chip: ChipConfig,
    parts: Sequence[Part],
    units: Sequence[int],
    bandwidth: Bandwidth | None,
    left_alone: int,
    tiling: Tiling | None = None,
) -> MatmulPlan | None:
    """Of parts that are as large the same plan: with a tiling that is given, or the best one; None if none fits."""
    bandwidth = bandwidth or Bandwidth.of(chip, len(parts))
    known: dict[tuple[int, int], tuple | None] = {}
    plans = []
    for unit, part in zip(units, parts, strict=False):
        job = part.job
        if (job.m, job.n) not in known:
            known[job.m, job.n] = _tiled(chip, job, bandwidth, left_alone, tiling)
        best = known[job.m, job.n]
        if best is None:
            return None
        cycles, tiled, made = best
        bound = _bound(chip, job)
        plans.append(UnitPlan(unit=unit, part=part, tiling=tiled, schedule=made, cycles=cycles, bound=bound))
    return MatmulPlan(tuple(plans))


def _tiled(
    chip: ChipConfig, job: MatmulJob, bandwidth: Bandwidth, left_alone: int, tiling: Tiling | None
) -> tuple | None:
    """Cycles, tiling and schedule."""
    if tiling is None:
        return _best(chip, job, bandwidth, left_alone)
    made = schedule(chip, job, tiling, left_alone=left_alone)
    return (predict(chip, job, made, bandwidth), tiling, made) if made else None


def _best(chip: ChipConfig, job: MatmulJob, bandwidth: Bandwidth, left_alone: int) -> tuple | None:
    """The best tiling with its cycles and its schedule, if there is any."""
    estimate = _Estimator(chip, job, bandwidth)
    for most in MOST_PRODUCTS:
        about = sorted((estimate(each), number, each) for number, each in enumerate(_tilings(chip, job, most)))
        found: list[tuple[float, int, tuple]] = []
        fitting = worked_out = 0
        for number, (_, _, tiling) in enumerate(about):
            if fitting == TRIED or worked_out >= TRIED_PRODUCTS:
                break
            for apart in (False, True) if _reads_b_always(chip, tiling) else (False,):
                made = schedule(chip, job, tiling, left_alone=left_alone, apart=apart)
                if made is None:
                    continue
                fitting += not apart
                worked_out += len(made.products)
                cycles = predict(chip, job, made, bandwidth)
                commands = len(made.loads) + len(made.products) + len(made.stores)
                weight = cycles + COMMAND_WEIGHT * commands
                if not apart:
                    weight += _conflicts(chip, job, tiling, made, cycles)
                found.append((weight, 2 * number + apart, (cycles, tiling, made)))
        if found:
            return min(found)[2]
    return None


def _reads_b_always(chip: ChipConfig, tiling: Tiling) -> bool:
    """Whether the tile reads B in every cycle, and parts of it can be in banks of their own."""
    return tiling.rows <= chip.tile.rows and chip.scratchpad.banks >= EIGHTHS


def _conflicts(chip: ChipConfig, job: MatmulJob, tiling: Tiling, made: Schedule, cycles: int) -> float:
    """Cycles, about, that the tile waits for banks that B is being loaded into.

    Where it reads B in every cycle, and loads are ahead of it, they meet it in one bank's turn after the other.
    """
    if not _reads_b_always(chip, tiling) or cycles > LOADS_AHEAD * _bound(chip, job):
        return 0.0
    parts = [each.rows.count * each.columns.count for each in made.loads if each.matrix == "b"]
    return sum(parts) * job.element_bytes / chip.scratchpad.word_bytes / tiling.shares[1]


def _bound(chip: ChipConfig, job: MatmulJob) -> int:
    tile = chip.tile
    return -(-job.n // tile.columns) * -(-job.k // tile.rows) * max(job.m, tile.rows)


def _halves(whole: int, least: int, unit: int) -> list[int]:
    """The whole, and its halves, quarters and so on, as multiples of ``unit``, as long as they are ``least``."""
    found: list[int] = []
    parts = 1
    while True:
        part = min(whole, up(-(-whole // parts), unit))
        if found and part < least:
            return found
        if part not in found:
            found.append(part)
        if part <= unit:
            return found
        parts *= 2


def _tilings(chip: ChipConfig, job: MatmulJob, most: int) -> Iterator[Tiling]:
    tile, size = chip.tile, job.element_bytes
    unit = chip.scratchpad.capacity // 8
    # What is added to a product begins at a multiple of 8 bytes.
    together = tile.columns if job.c is None else max(tile.columns, 8 // SUM_BYTES)
    for depth in _halves(job.k, tile.rows, tile.rows):
        for columns in _halves(job.n, tile.columns, together):
            if max(depth, columns) * max(size, job.result_bytes) > ROW_BYTES:
                continue
            blocks = -(-columns // tile.columns)
            for rows in _halves(job.m, tile.rows, tile.rows if job.transpose_a else 1):
                if rows * blocks > tile.accumulators or rows * size > ROW_BYTES:
                    continue
                tiles, pieces, panels = -(-job.m // rows), -(-job.k // depth), -(-job.n // columns)
                if tiles * pieces * panels > most:
                    continue
                room = tile.accumulators // (rows * blocks) if pieces > 1 else 1
                groups = sorted({1, min(tiles, room)})
                for group in groups:
                    yield from _orders(chip, job, rows, columns, depth, group, tiles, panels, pieces, unit)


def _orders(chip, job, rows, columns, depth, group, tiles, panels, pieces, unit) -> Iterator[Tiling]:
    """In which order, what stays, and how the scratchpad is shared."""
    size = job.element_bytes
    groups = -(-tiles // group)
    a_piece, b_piece, d_piece = rows * depth * size, depth * columns * size, rows * columns * job.result_bytes
    for rows_first in (False, True):
        if rows_first and groups == 1:
            continue
        for keeps_a in (False, True):
            if keeps_a and panels == 1:
                continue
            for keeps_b in (False, True):
                if keeps_b and groups == 1:
                    continue
                # What must be there at the same time, at least.
                a_need = a_piece * (pieces * (group if rows_first else tiles) if keeps_a else 1)
                b_need = b_piece * (pieces * (panels if rows_first else 1) if keeps_b else 1)
                for shares in SHARES:
                    if a_need > shares[0] * unit or b_need > shares[1] * unit or d_piece > shares[2] * unit:
                        continue
                    yield Tiling(
                        rows=rows,
                        columns=columns,
                        depth=depth,
                        group=group,
                        rows_first=rows_first,
                        keeps_a=keeps_a,
                        keeps_b=keeps_b,
                        shares=shares,
                    )
                    # Double buffering asks for as much again; where there is, the other shares are no better.
                    if 2 * a_need <= shares[0] * unit and 2 * b_need <= shares[1] * unit:
                        break


class _Estimator:
    """Cycles of tilings, without the order of things."""

    def __init__(self, chip: ChipConfig, job: MatmulJob, bandwidth: Bandwidth) -> None:
        self._chip, self._job, self._shared = chip, job, bandwidth.shared
        self._memory = MemoryTiming(chip, bandwidth)
        self._known: dict[tuple, float] = {}

    def __call__(self, tiling: Tiling) -> int:
        job, tile = self._job, self._chip.tile
        tiles, pieces = -(-job.m // tiling.rows), -(-job.k // tiling.depth)
        panels = -(-job.n // tiling.columns)
        groups = -(-tiles // tiling.group)
        products = tiles * pieces * panels
        blocks = -(-job.n // tile.columns) * -(-job.k // tile.rows)
        rest = job.m - (tiles - 1) * tiling.rows
        compute = blocks * ((tiles - 1) * max(tile.rows, tiling.rows) + max(tile.rows, rest))
        a_part = self._part("a", *as_stored(job, "a", tiling.rows, tiling.depth))
        b_part = self._part("b", *as_stored(job, "b", tiling.depth, tiling.columns))
        last = self._part("d", tiling.rows, tiling.columns)
        loads = a_part * tiles * pieces * (1 if tiling.keeps_a else panels)
        loads += b_part * pieces * panels * (1 if tiling.keeps_b else groups)
        stores = last * tiles * panels
        moved = loads + stores if self._shared else max(loads, stores)
        whole = max(compute + a_part + b_part + last, moved + compute / products, products * COMMAND)
        commands = products * (2 if pieces > 1 else 3)
        return round(whole + COMMAND_WEIGHT * commands) + FIRST_WORD + 2 * WAKES + RESULT + ACKNOWLEDGED

    def _part(self, matrix: str, rows: int, columns: int) -> float:
        """A copy; all of a matrix are taken to lie as the first one does."""
        key = matrix, rows, columns
        if key not in self._known:
            job = self._job
            at = {"a": job.a, "b": job.b, "d": job.d}[matrix]
            element = job.result_bytes if matrix == "d" else job.element_bytes
            found = Rows(begin=at.address, size=columns * element, stride=at.stride, count=rows)
            self._known[key] = self._memory.copy(found, write=matrix == "d")
        return self._known[key]
