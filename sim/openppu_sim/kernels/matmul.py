"""Products of matrices in memory, tile by tile through the scratchpad: the queues' programs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS

from openppu_sim.kernels.copy_command import copy_command
from openppu_sim.kernels.matmul_job import SEMAPHORES, SUM_BYTES, MatmulJob, Operand
from openppu_sim.kernels.matmul_plan import MatmulPlan, plan_matmul
from openppu_sim.kernels.matmul_tiling import Load, Product, Schedule, Span, Store
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command

__all__ = ["MatmulJob", "MatmulPlan", "Operand", "Programs", "matmul_programs", "plan_matmul"]

LOADED, ENDED, READY, STORED = range(SEMAPHORES)
"""Semaphores: loads that have ended; products; results that are there; stores that have ended."""

SEED_STEPS = (0x9E37_79B9, 0x85EB_CA6B)
"""Odd numbers, by which rows and columns move a seed."""


@dataclass
class Programs:
    """What goes into the queues, by name."""

    load: list[Command] = field(default_factory=list)
    matmul: list[Command] = field(default_factory=list)
    store: list[Command] = field(default_factory=list)

    def items(self) -> Iterator[tuple[str, list[Command]]]:
        """Each queue with its program."""
        yield from (("load", self.load), ("matmul", self.matmul), ("store", self.store))


def matmul_programs(
    chip: ChipConfig,
    job: MatmulJob,
    plan: MatmulPlan | None = None,
    *,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
    record: bool = False,
) -> Programs:
    """The programs of a compute unit's queues: loads, products and stores overlap.

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
    made = plan.schedule
    programs = Programs()
    if wait is not None:
        programs.load.append(Command(name="NOTHING", wait=wait))
    ended = 0
    for load in made.loads:
        programs.load.append(_load(job, made, load, _more(ENDED, load.after, ended)))
        ended = max(ended, load.after)
    loaded = stored = 0
    for product in made.products:
        if product.stores > stored:
            programs.matmul.append(Command(name="NOTHING", wait=(STORED, product.stores - stored)))
            stored = product.stores
        programs.matmul.append(_product(job, made, product, _more(LOADED, product.loads, loaded)))
        loaded = max(loaded, product.loads)
        if product.last:
            programs.matmul.append(Command(name="NOTHING", signal=(READY, 1)))
    programs.store += [_store(job, made, store) for store in made.stores]
    # What nobody has waited for.
    if len(made.products) > ended:
        programs.load.append(Command(name="NOTHING", wait=(ENDED, len(made.products) - ended)))
    if len(made.stores) > stored:
        programs.matmul.append(Command(name="NOTHING", wait=(STORED, len(made.stores) - stored)))
    if signal is not None:
        programs.store.append(Command(name="NOTHING", signal=signal))
    if record:
        for queue in (programs.load, programs.matmul, programs.store):
            queue[:] = [replace(each, record=each.name != "NOTHING") for each in queue]
    return programs


def _more(semaphore: int, needed: int, had: int) -> tuple[int, int] | None:
    return (semaphore, needed - had) if needed > had else None


def _at(matrix: Operand, rows: Span, columns: Span, element: int) -> int:
    return matrix.address + rows.first * matrix.stride + columns.first * element


def _load(job: MatmulJob, made: Schedule, load: Load, wait: tuple[int, int] | None) -> Command:
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
        signal=(LOADED, 1),
    )


def _product(job: MatmulJob, made: Schedule, product: Product, wait: tuple[int, int] | None) -> Command:
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
        "scale": job.scale if job.seed is None else _seed(job.seed, product),
        "a_address": product.a,
        "a_stride": made.a_stride,
        "b_address": product.b,
        "b_stride": made.b_stride,
        "c_address": made.loads[0].place + SUM_BYTES * product.columns.first if added else 0,
        "c_stride": 0,
        "d_address": product.d if last else 0,
        "d_stride": made.d_stride if last else 0,
    }
    return Command(name="MATMUL", fields=fields, wait=wait, signal=(ENDED, 1))


def _seed(seed: int, product: Product) -> int:
    """Of a product's results, which are numbered from its own first row and column."""
    return (seed ^ product.rows.first * SEED_STEPS[0] ^ product.columns.first * SEED_STEPS[1]) & 0xFFFF_FFFF


def _store(job: MatmulJob, made: Schedule, store: Store) -> Command:
    return copy_command(
        "STORE",
        memory=_at(job.d, store.rows, store.columns, job.result_bytes),
        scratchpad=store.place,
        row=store.columns.count * job.result_bytes,
        rows=store.rows.count,
        strides=(job.d.stride, made.d_stride),
        wait=(READY, 1),
        signal=(STORED, 1),
    )
