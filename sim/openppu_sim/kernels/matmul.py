"""Products of matrices in memory, tile by tile through the scratchpads: the queues' programs."""

from collections.abc import Iterable, Iterator

from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS

from openppu_sim.errors import UserError
from openppu_sim.kernels.compute_units import (
    FREE,
    LOADED,
    READY,
    STORED,
    Queues,
    begin,
    chosen,
    end,
    queue,
    record_all,
    semaphore,
)
from openppu_sim.kernels.copy_command import copy_command
from openppu_sim.kernels.matmul_job import SUM_BYTES, MatmulJob, Operand
from openppu_sim.kernels.matmul_parts import Part, part_of
from openppu_sim.kernels.matmul_plan import MatmulPlan, UnitPlan, plan_matmul
from openppu_sim.kernels.matmul_tiling import Load, Product, Schedule, Span, Store
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command

__all__ = ["MatmulJob", "MatmulPlan", "Operand", "matmul_programs", "plan_matmul"]

SEED_STEPS = (0x9E37_79B9, 0x85EB_CA6B)
"""Odd numbers, by which rows and columns move a seed."""


def matmul_programs(
    chip: ChipConfig,
    job: MatmulJob,
    plan: MatmulPlan | None = None,
    *,
    units: Iterable[int] | None = None,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
    record: bool = False,
) -> Queues:
    """The programs of the queues, by name: loads, products and stores of each compute unit overlap.

    They use five semaphores of each unit (`openppu_sim.kernels.compute_units`), which are 0 before and after.

    Parameters
    ----------
    plan : MatmulPlan, optional
        What each unit does of a product like this one, wherever it lies; by default the best plan.
    units : iterable of int, optional
        Compute units that may take part; by default all, or those of the plan.
    wait : tuple of (int, int), optional
        Load nothing before this semaphore has this value.
    signal : tuple of (int, int), optional
        Raise this one when all is in memory.
    record : bool
        Let each command of an engine write a record.

    Raises
    ------
    UserError
        As of `plan_matmul`, or if a semaphore is one of the units' own.
    """
    if plan is None:
        plan = plan_matmul(chip, job, units=units)
    elif units is not None:
        raise UserError("matmul: the plan says which units take part; give units to plan_matmul")
    elif not plan.is_of(job):
        raise UserError("matmul: the plan is of another product; give the one that plan_matmul makes of this job")
    else:
        job.check(chip)
    those = chosen(chip, [each.unit for each in plan.units], wait, signal, needed=STORED)
    queues: Queues = {queue(chip, unit, engine): [] for unit in those for engine in ("load", "matmul", "store")}
    begin(chip, those, queues, wait)
    for each in plan.units:
        _unit(chip, job, each, queues)
    end(chip, those, queues, signal, idle="vector")
    if record:
        record_all(queues)
    return queues


def _unit(chip: ChipConfig, whole: MatmulJob, plan: UnitPlan, queues: Queues) -> None:
    """Put a unit's commands into its queues."""
    part, made = part_of(whole, plan.part.rows, plan.part.columns), plan.schedule
    job = part.job
    loads, products, stores = (queues[queue(chip, plan.unit, engine)] for engine in ("load", "matmul", "store"))
    own = semaphore(chip, plan.unit, 0)
    loads += load_commands(job, made, own)
    loaded = stored = 0
    for product in made.products:
        if product.stores > stored:
            products.append(Command(name="NOTHING", wait=(own + STORED, product.stores - stored)))
            stored = product.stores
        products.append(product_command(part, made, product, own, more(own + LOADED, product.loads, loaded)))
        loaded = max(loaded, product.loads)
        if product.last:
            products.append(Command(name="NOTHING", signal=(own + READY, 1)))
    stores += [_store(job, made, store, own) for store in made.stores]
    # What nobody has waited for.
    if len(made.stores) > stored:
        products.append(Command(name="NOTHING", wait=(own + STORED, len(made.stores) - stored)))


def more(semaphore: int, needed: int, had: int) -> tuple[int, int] | None:
    """What to wait for, if so many have not been waited for yet."""
    return (semaphore, needed - had) if needed > had else None


def _at(matrix: Operand, rows: Span, columns: Span, element: int) -> int:
    return matrix.address + rows.first * matrix.stride + columns.first * element


def load_commands(job: MatmulJob, made: Schedule, own: int) -> Iterator[Command]:
    """What the products need, and at the end what nobody else waits for; ``own`` is the first of the unit's
    semaphores."""
    ended = 0
    for load in made.loads:
        yield _load(job, made, load, own, more(own + FREE, load.after, ended))
        ended = max(ended, load.after)
    if len(made.products) > ended:
        yield Command(name="NOTHING", wait=(own + FREE, len(made.products) - ended))


def _load(job: MatmulJob, made: Schedule, load: Load, own: int, wait: tuple[int, int] | None) -> Command:
    """Of a part of A, B or C."""
    if load.matrix == "c":
        assert job.c is not None
        memory, element, strides = job.c, SUM_BYTES, (0, 0)
    else:
        matrix, stride = (job.a, made.a_stride) if load.matrix == "a" else (job.b, made.b_stride)
        element = job.element_bytes
        memory, strides = _at(matrix, load.rows, load.columns, element), (matrix.stride, stride)
    return copy_command(
        "LOAD",
        memory=memory,
        scratchpad=load.place,
        row=load.columns.count * element,
        rows=load.rows.count,
        strides=strides,
        wait=wait,
        signal=(own + LOADED, 1),
    )


def product_command(part: Part, made: Schedule, product: Product, own: int, wait: tuple[int, int] | None) -> Command:
    """Of a product; ``own`` is the first of the unit's semaphores."""
    job = part.job
    last = product.last
    addend = Addend.ACCUMULATORS if not product.first else Addend.ZERO if job.c is None else Addend.SCRATCHPAD
    result = Result.NONE if not last else Result.CONVERTED if job.result_format else Result.SUMS
    added = addend is Addend.SCRATCHPAD
    fields = {
        "m": product.rows.count,
        "n": product.columns.count,
        "k": product.depth.count,
        "format": FORMATS[job.format].code,
        "transpose_a": int(job.transpose_a),
        "transpose_b": int(job.transpose_b),
        "addend": int(addend),
        "accumulator": product.accumulator,
        "result": int(result),
        "result_format": FORMATS[job.result_format].code if job.result_format else 0,
        "relu": job.relu and last,
        "saturate": int(job.saturate and result is Result.CONVERTED),
        "stochastic": int(job.seed is not None and result is Result.CONVERTED),
        "zero_point": job.zero_point,
        "scale": job.scale if job.seed is None else _seed(job.seed, part, product),
        "a_address": product.a,
        "a_stride": made.a_stride,
        "b_address": product.b,
        "b_stride": made.b_stride,
        "c_address": made.loads[0].place + SUM_BYTES * product.columns.first if added else 0,
        "c_stride": 0,
        "d_address": product.d if last else 0,
        "d_stride": made.d_stride if last else 0,
    }
    return Command(name="MATMUL", fields=fields, wait=wait, signal=(own + FREE, 1))


def _seed(seed: int, part: Part, product: Product) -> int:
    """Of a product's results, which are numbered from its own first row and column."""
    row, column = part.rows.start + product.rows.first, part.columns.start + product.columns.first
    return (seed ^ row * SEED_STEPS[0] ^ column * SEED_STEPS[1]) & 0xFFFF_FFFF


def _store(job: MatmulJob, made: Schedule, store: Store, own: int) -> Command:
    return copy_command(
        "STORE",
        memory=_at(job.d, store.rows, store.columns, job.result_bytes),
        scratchpad=store.place,
        row=store.columns.count * job.result_bytes,
        rows=store.rows.count,
        strides=(job.d.stride, made.d_stride),
        wait=(own + READY, 1),
        signal=(own + STORED, 1),
    )
