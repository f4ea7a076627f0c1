"""Products divided over compute units: parts of D, each with all of k, so that no sum is another one."""

from dataclasses import dataclass, replace
from itertools import product as pairs
from math import lcm

from openppu.config import ChipConfig

from openppu_sim.kernels.compute_units import cuts
from openppu_sim.kernels.matmul_job import SUM_BYTES, MatmulJob, Operand
from openppu_sim.kernels.memory_timing import MEMORY_WORD, Bandwidth

TRIED = 4
"""Ways to divide a product that are planned."""


@dataclass(frozen=True)
class Part:
    """Rows and columns of a product, as a product of its own."""

    rows: range
    columns: range
    job: MatmulJob


def part_of(job: MatmulJob, rows: range, columns: range) -> Part:
    """A part of a product."""
    size = job.element_bytes
    a_step, b_step = size if job.transpose_a else job.a.stride, job.b.stride if job.transpose_b else size
    own = replace(
        job,
        m=len(rows),
        n=len(columns),
        a=_moved(job.a, rows.start * a_step),
        b=_moved(job.b, columns.start * b_step),
        c=None if job.c is None else job.c + columns.start * SUM_BYTES,
        d=_moved(job.d, rows.start * job.d.stride + columns.start * job.result_bytes),
    )
    return Part(rows, columns, own)


def _moved(operand: Operand, by: int) -> Operand:
    return replace(operand, address=operand.address + by)


def divisions(
    chip: ChipConfig, job: MatmulJob, units: int, tile: tuple[int, int] | None = None
) -> list[tuple[Part, ...]]:
    """The most promising ways to divide a product over so many units or fewer, the largest part first in each.

    Parameters
    ----------
    tile : tuple of (int, int), optional
        Rows and columns that must stay together.
    """
    found: dict[tuple[int, int], tuple[float, int, int]] = {}
    cut: dict[tuple[int, int], tuple[list[range], list[range]]] = {}
    for down, across in pairs(range(1, units + 1), repeat=2):
        if down * across > units:
            continue
        rows, columns = _cut(chip, job, down, across, tile)
        key = len(rows), len(columns)
        if key not in found:
            found[key] = _about(chip, job, rows, columns)
            cut[key] = rows, columns
    best = sorted(found, key=lambda key: (found[key], key))[:TRIED]
    return [tuple(part_of(job, *each) for each in pairs(*cut[key])) for key in best]


def _cut(
    chip: ChipConfig, job: MatmulJob, down: int, across: int, together: tuple[int, int] | None
) -> tuple[list[range], list[range]]:
    """So many parts of the rows and of the columns, or fewer: each at least the tile, which else has idle places."""
    if together is not None:
        return cuts(job.m, down, together[0]), cuts(job.n, across, together[1])
    tile = chip.tile
    down = min(down, -(-job.m // tile.rows))
    rows = cuts(job.m, down, tile.rows) if job.transpose_a else cuts(job.m, down, tile.rows, 1)
    whole_words = lcm(tile.columns, MEMORY_WORD // job.result_bytes)
    return rows, cuts(job.n, across, whole_words, tile.columns)


def _about(chip: ChipConfig, job: MatmulJob, rows: list[range], columns: list[range]) -> tuple[float, int, int]:
    """Cycles of the largest part or of memory, bytes that are moved, and units."""
    tile, size = chip.tile, job.element_bytes
    m, n, units = len(rows[0]), len(columns[0]), len(rows) * len(columns)
    computes = -(-n // tile.columns) * -(-job.k // tile.rows) * max(m, tile.rows)
    computes = max(computes, replace(job, m=m, n=n).vector_cycles(tile))
    brought = (m + n) * job.k * size
    moved = (len(columns) * job.m + len(rows) * job.n) * job.k * size + job.m * job.n * job.result_bytes
    own, rate = MEMORY_WORD * chip.dma.channels, Bandwidth.of_memory(chip)
    return max(computes, brought / own, moved / rate), moved, units
