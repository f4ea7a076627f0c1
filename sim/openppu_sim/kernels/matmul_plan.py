"""Chooses how a product of matrices is cut."""

from collections.abc import Iterator
from dataclasses import dataclass

from openppu.config import ChipConfig

from openppu_sim.errors import UserError
from openppu_sim.kernels.matmul_job import SUM_BYTES, MatmulJob
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
class MatmulPlan:
    """A tiling, its schedule, and what they lead to.

    Parameters
    ----------
    tiling : Tiling
    schedule : Schedule
    cycles : int
        Predicted, from the first load to the end of the last store.
    bound : int
        Cycles that the tile computes, at least.
    loaded, stored : int
        Bytes.
    """

    tiling: Tiling
    schedule: Schedule
    cycles: int
    bound: int
    loaded: int
    stored: int

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


def plan_matmul(
    chip: ChipConfig, job: MatmulJob, *, bandwidth: Bandwidth | None = None, left_alone: int = 0
) -> MatmulPlan:
    """The tiles for which the prediction is least.

    Parameters
    ----------
    chip : ChipConfig
    job : MatmulJob
    bandwidth : Bandwidth, optional
        Of memory; by default what the DMA moves.
    left_alone : int
        Bytes at the scratchpad's end that are used otherwise.

    Raises
    ------
    UserError
        As of `MatmulJob.check`, or if nothing fits the scratchpad.
    """
    job.check(chip)
    bandwidth = bandwidth or Bandwidth.of(chip)
    best = _best(chip, job, bandwidth, left_alone)
    if best is None:
        raise UserError(
            f"matmul {job.m} x {job.k} x {job.n}: no tile of it fits a scratchpad of {chip.scratchpad.capacity} bytes; "
            "give smaller sizes, or a chip of more scratchpad.banks or scratchpad.bank_words"
        )
    cycles, tiling, found = best
    size = job.element_bytes
    return MatmulPlan(
        tiling=tiling,
        schedule=found,
        cycles=cycles,
        bound=_bound(chip, job),
        loaded=sum(
            each.rows.count * each.columns.count * (SUM_BYTES if each.matrix == "c" else size) for each in found.loads
        ),
        stored=job.m * job.n * job.result_bytes,
    )


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
    for depth in _halves(job.k, tile.rows, tile.rows):
        for columns in _halves(job.n, tile.columns, tile.columns):
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
