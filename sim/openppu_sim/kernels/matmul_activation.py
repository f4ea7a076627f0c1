"""Products of matrices in memory with a function of each sum, f(A x B + c), which is taken from the accumulators.

The matmul engine adds up tile by tile, as `openppu_sim.kernels.matmul` cuts them; the vector unit takes the sums of one
tile from the accumulators while those of the next are added up in their other half.
"""

from collections.abc import ItemsView
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32, FORMATS
from openppu.vector.command import ACCUMULATORS
from openppu.vector.instruction import INSTRUCTION_BYTES

from openppu_sim.checks import some, whole
from openppu_sim.errors import UserError
from openppu_sim.kernels.compute_units import LOADED, READY, STORED, Queues, check_others, linked, queue
from openppu_sim.kernels.copy_command import copy_command
from openppu_sim.kernels.matmul import MatmulJob, load_commands, more, product_command
from openppu_sim.kernels.matmul_plan import plan_matmul
from openppu_sim.kernels.matmul_tiling import Span, Store, up
from openppu_sim.kernels.vector.assembly import image
from openppu_sim.kernels.vector.commands import LoadProgram
from openppu_sim.kernels.vector.elementwise import function
from openppu_sim.kernels.vector.matrix import Matrix
from openppu_sim.kernels.vector.memory import program_range, vector_command
from openppu_sim.kernels.vector.parts import FUNCTIONS
from openppu_sim.kernels.vector.plan import Plan, Unit
from openppu_sim.lowering.matmul import Result
from openppu_sim.program.command import Command

SUMMED, TAKEN, CODED = 4, 5, 6
"""Semaphores, beside a product's: a tile's sums are there; the vector unit has taken them; its program is loaded."""

LEAST = 8
"""Accumulators that each half of them has, at least: as many as a tile has at least."""


@dataclass
class ActivationPrograms:
    """What goes into the queues, by name, and what they expect in memory: the vector unit's program.

    Parameters
    ----------
    code_at : int
        Address of ``code``.
    code : ndarray of uint8
    queues : dict
        The commands of each queue, by its name.
    """

    code_at: int
    code: NDArray[np.uint8]
    queues: Queues

    def items(self) -> ItemsView[str, list[Command]]:
        """Each queue with its program."""
        return self.queues.items()


def activation_programs(
    chip: ChipConfig,
    job: MatmulJob,
    name: str,
    *,
    code_at: int,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
) -> ActivationPrograms:
    """The programs of the queues of compute unit 0; they use the first seven semaphores, which are 0 before and after.

    Parameters
    ----------
    chip : ChipConfig
    job : MatmulJob
        Of a float format, and without what is done to sums otherwise.
    name : str
        Of the function, such as ``gelu``: one of `openppu_sim.kernels.vector.parts.FUNCTIONS`.
    code_at : int
        Address in memory where `ActivationPrograms.code` will be.
    wait : tuple of (int, int), optional
        Load nothing before this semaphore has this value.
    signal : tuple of (int, int), optional
        Raise this one when all is in memory.

    Raises
    ------
    UserError
        If the chip or the job is not for it, the function unknown, the program not in memory or where the result is,
        or a semaphore one of the first seven.
    """
    _check(chip, job, name)
    check_others((wait, signal), range(CODED + 1), "a product with a function uses")
    code = image(_on_vector_unit(chip, job, name, 0, 0, 1).program)
    code_at = whole("code_at", code_at, 0)
    job.check(chip, program_range(name, code_at, code))
    left_alone = up(len(code), chip.scratchpad.word_bytes)
    half = chip.tile.accumulators // 2
    plan = plan_matmul(chip.replace(accumulators=half), job, units=[0], left_alone=left_alone).units[0]
    made = plan.schedule
    programs_at = chip.scratchpad.capacity - left_alone
    fetch = copy_command("LOAD", memory=code_at, scratchpad=programs_at, row=len(code), signal=(CODED, 1))
    loads = [] if wait is None else [Command(name="NOTHING", wait=wait)]
    loads += [fetch, *load_commands(job, made, 0)]
    multiplies, computes, stores = [], [], []

    loaded = stored = group = 0
    tiles: list[int] = []
    """Of each group of tiles that are summed up together, how many there are."""
    program = LoadProgram(source=programs_at, count=len(code) // INSTRUCTION_BYTES)
    computes.append(replace(vector_command(program), wait=(CODED, 1)))
    for product in made.products:
        if product.first and product.accumulator == 0:
            group = len(tiles)
            tiles.append(0)
            if group >= 2:
                multiplies.append(Command(name="NOTHING", wait=(TAKEN, tiles[group - 2])))
        place = group % 2 * half + product.accumulator
        multiply = product_command(plan.part, made, product, 0, more(LOADED, product.loads, loaded))
        loaded = max(loaded, product.loads)
        fields = {**multiply.fields, "accumulator": place}
        if product.last:
            fields |= {"result": int(Result.KEPT), "result_format": 0, "saturate": 0, "d_address": 0, "d_stride": 0}
        multiplies.append(replace(multiply, fields=fields))
        if not product.last:
            continue
        tiles[group] += 1
        multiplies.append(Command(name="NOTHING", signal=(SUMMED, 1)))
        rows = product.rows.count * -(-product.columns.count // chip.tile.columns)
        runs = [vector_command(each) for each in _on_vector_unit(chip, job, name, place, product.d, rows).runs]
        if product.stores > stored:
            computes.append(Command(name="NOTHING", wait=(STORED, product.stores - stored)))
            stored = product.stores
        computes += [*linked(runs, (SUMMED, 1), (READY, 1)), Command(name="NOTHING", signal=(TAKEN, 1))]
    for store in made.stores:
        stores += _store(chip, job, store)
    if signal is not None:
        stores.append(Command(name="NOTHING", signal=signal))
    # What nobody has waited for.
    multiplies.append(Command(name="NOTHING", wait=(TAKEN, sum(tiles[-2:]))))
    if len(made.stores) > stored:
        computes.append(Command(name="NOTHING", wait=(STORED, len(made.stores) - stored)))
    queues = (loads, multiplies, computes, stores)
    names = (queue(chip, 0, engine) for engine in ("load", "matmul", "vector", "store"))
    return ActivationPrograms(code_at, code, dict(zip(names, queues, strict=True)))


def _check(chip: ChipConfig, job: MatmulJob, name: str) -> None:
    if name not in FUNCTIONS:
        raise UserError(f"function {name!r}: give one of {some(list(FUNCTIONS))}")
    if not FORMATS[job.format].is_float or job.result_format == "int8":
        raise UserError(f"matmul format {job.format}, result {job.result_format}: a function is of floats, to floats")
    if job.relu or job.saturate or job.seed is not None:
        raise UserError("matmul relu, saturate, seed: the vector unit makes results of these sums; give none of them")
    if (job.result_format or "") not in ("", *chip.vector.formats):
        raise UserError(
            f"matmul result_format {job.result_format}: the vector unit has {', '.join(chip.vector.formats)}"
        )
    if chip.command.semaphores <= CODED:
        raise UserError(f"command.semaphores = {chip.command.semaphores}: a product with a function needs {CODED + 1}")
    lanes = Unit(chip=chip).lanes
    if chip.tile.columns != lanes:
        have = f"tile.columns = {chip.tile.columns}"
        raise UserError(f"{have}: a product with a function needs as many as the vector unit has lanes, {lanes}")
    if chip.tile.accumulators < 2 * LEAST:
        raise UserError(f"tile.accumulators = {chip.tile.accumulators}: a product with a function needs {2 * LEAST}")


def _on_vector_unit(chip: ChipConfig, job: MatmulJob, name: str, accumulator: int, place: int, rows: int) -> Plan:
    """The function of rows of accumulators, each to a row of the lanes' results."""
    unit, columns = Unit(chip=chip), chip.tile.columns
    word = chip.scratchpad.word_bytes
    sums = Matrix(base=ACCUMULATORS + word * accumulator, rows=rows, columns=columns, pitch=word)
    pitch = columns * job.result_bytes
    result_format = job.result_format or BINARY32.name
    return function(unit, name, sums, Matrix(base=place, rows=rows, columns=columns, pitch=pitch, format=result_format))


def _store(chip: ChipConfig, job: MatmulJob, store: Store) -> list[Command]:
    """Blocks of the tile's columns, which lie one behind the other, to their places in D."""
    columns, size, rows = chip.tile.columns, job.result_bytes, store.rows.count
    pitch = columns * size
    whole, rest = divmod(store.columns.count, columns)
    parts = [(0, whole, columns)] if whole else []
    parts += [(whole, 1, rest)] if rest else []
    commands = []
    for first, blocks, width in parts:
        at = Span(store.columns.first + first * columns, width)
        copy = copy_command(
            "STORE",
            memory=job.d.address + store.rows.first * job.d.stride + at.first * size,
            scratchpad=store.place + first * rows * pitch,
            row=at.count * size,
            rows=rows,
            strides=(job.d.stride, pitch),
        )
        over_blocks = {"count_1": blocks, "memory_stride_1": columns * size, "scratchpad_stride_1": rows * pitch}
        commands.append(replace(copy, fields={**copy.fields, **over_blocks}))
    return linked(commands, (READY, 1), (STORED, 1))
