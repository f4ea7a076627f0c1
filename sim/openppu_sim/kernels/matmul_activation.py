"""Products of matrices in memory with a function of each sum, f(scale (A x B + c)), taken from the accumulators.

The matmul engine adds up tile by tile, as `openppu_sim.kernels.matmul` cuts them; the vector unit takes the sums of one
tile from the accumulators while those of the next are added up in others: each has half of them at most.
"""

from collections.abc import ItemsView, Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from numbers import Real
from struct import pack, unpack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32
from openppu.vector.command import ACCUMULATORS
from openppu.vector.instruction import INSTRUCTION_BYTES

from openppu_sim.checks import whole
from openppu_sim.errors import UserError
from openppu_sim.kernels.compute_units import (
    LOADED,
    READY,
    STORED,
    VECTOR_LOADED,
    Queues,
    begin,
    chosen,
    linked,
    queue,
    semaphore,
)
from openppu_sim.kernels.copy_command import copy_command
from openppu_sim.kernels.matmul import MatmulJob, load_commands, more, product_command
from openppu_sim.kernels.matmul_job import TakenJob
from openppu_sim.kernels.matmul_plan import MatmulPlan, UnitPlan, plan_matmul
from openppu_sim.kernels.matmul_tiling import Product, Span, Store, up
from openppu_sim.kernels.vector.assembly import image
from openppu_sim.kernels.vector.commands import LoadProgram, Run, word_of
from openppu_sim.kernels.vector.elementwise import on, scaled_function
from openppu_sim.kernels.vector.matrix import Matrix
from openppu_sim.kernels.vector.memory import program_range, vector_command
from openppu_sim.kernels.vector.parts import check_function, check_zero_point
from openppu_sim.kernels.vector.plan import Unit
from openppu_sim.lowering.matmul import Result
from openppu_sim.program.command import Command

LEAST = 8
"""Accumulators that each half of them has, at least: as many as a tile has at least."""

ALL_STORED = 1 << 15
"""What a unit's last store adds to its STORED: more than it has before, so that who waits for the end is not misled."""

ENGINES = ("load", "matmul", "vector", "store")


@dataclass
class ActivationPrograms:
    """What goes into the queues, by name, and what they expect in memory: the vector unit's program.

    Parameters
    ----------
    code_at : int
        Address of ``code``.
    code : ndarray of uint8
    plan : MatmulPlan
        What each compute unit does; printed.
    queues : dict
        The commands of each queue, by its name.
    """

    code_at: int
    code: NDArray[np.uint8]
    plan: MatmulPlan
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
    sum_scale: float | None = None,
    units: Iterable[int] | None = None,
    wait: tuple[int, int] | None = None,
    signal: tuple[int, int] | None = None,
) -> ActivationPrograms:
    """The programs of the queues, by name: f(sum_scale (A x B + c)) of each element.

    They use five semaphores of each unit (`openppu_sim.kernels.compute_units`), which are 0 before and after. The bits
    are those of the product's 32-bit sums, and then `openppu_sim.kernels.vector.jobs.scaled_function`.

    Parameters
    ----------
    chip : ChipConfig
    job : MatmulJob
        Of any format; its results are binary32, a float format of the vector unit, or int8 by its ``scale`` and
        ``zero_point``. What else is done to sums (``relu``, ``saturate``, ``seed``) it cannot have.
    name : str
        Of the function, such as ``gelu``: one of `openppu_sim.kernels.vector.parts.FUNCTIONS`.
    code_at : int
        Address in memory where `ActivationPrograms.code` will be.
    sum_scale : float, optional
        What sums are multiplied with, after those of int8 were rounded to binary32: the product of the operands'
        scales. By default they are not multiplied.
    units : iterable of int, optional
        Compute units that may take part; by default all.
    wait : tuple of (int, int), optional
        Load nothing before this semaphore has this value.
    signal : tuple of (int, int), optional
        Raise this one when all is in memory.

    Raises
    ------
    UserError
        If the chip or the job is not for it, the function unknown, the program not in memory or where the result is,
        there is no such unit, or semaphores are too few or not free.
    """
    _check(chip, job, name, sum_scale)
    vector = _VectorUnit(chip, job, name, sum_scale)
    code_at = whole("code_at", code_at, 0)
    taken = TakenJob(**vars(job), lanes=vector.lanes, row_cycles=vector.row_cycles)
    taken.check(chip, program_range(name, code_at, vector.code))
    halved = chip.replace(accumulators=chip.tile.accumulators // 2)
    plan = plan_matmul(halved, taken, units=units, left_alone=vector.code_bytes)
    those = chosen(chip, [each.unit for each in plan.units], wait, signal, needed=VECTOR_LOADED)
    queues: Queues = {queue(chip, unit, engine): [] for unit in those for engine in ENGINES}
    begin(chip, those, queues, wait)
    ends = [Command(name="NOTHING", signal=signal)] if signal else []
    for number, each in enumerate(plan.units):
        loads, multiplies, computes, stores = (queues[queue(chip, each.unit, engine)] for engine in ENGINES)
        own, all_stored = semaphore(chip, each.unit, 0), semaphore(chip, each.unit, STORED)
        loads += [vector.fetch(code_at, each.unit), *load_commands(each.part.job, each.schedule, own)]
        multiplied, left = _products(chip, each)
        multiplies += multiplied
        computes += vector.commands(each)
        for store in each.schedule.stores:
            stores += _store(chip, each, store, vector.pitch)
        if signal and number:
            # The first unit waits for it.
            stores[-1] = replace(stores[-1], signal=(all_stored, 1 + ALL_STORED))
            ends.insert(0, Command(name="NOTHING", wait=(all_stored, left + ALL_STORED)))
        else:
            multiplies.append(Command(name="NOTHING", wait=(all_stored, left)))
    queues[queue(chip, those[0], "store")] += ends
    return ActivationPrograms(code_at, vector.code, plan, queues)


def _check(chip: ChipConfig, job: MatmulJob, name: str, sum_scale: object) -> None:
    check_function(name)
    if job.relu or job.saturate or job.seed is not None:
        raise UserError("matmul relu, saturate, seed: the vector unit makes results of these sums; give none of them")
    finite = isinstance(sum_scale, Real) and abs(sum_scale) < inf  # type: ignore[operator]
    if sum_scale is not None and not finite:
        raise UserError(f"sum_scale = {sum_scale!r}: give a number")
    if job.result_format == "int8":
        if not 0 <= whole("matmul scale", job.scale) < 1 << 32:
            raise UserError(f"matmul scale = {job.scale}: give the 32 bits of a binary32")
        check_zero_point("matmul", job.zero_point)
    elif (job.scale, job.zero_point) != (word_of(1.0), 0):
        raise UserError("matmul scale, zero_point: of results in int8 alone; give sum_scale")
    if job.result_format not in (None, "int8", *chip.vector.formats):
        raise UserError(
            f"matmul result_format {job.result_format}: the vector unit has int8, {', '.join(chip.vector.formats)}"
        )
    if chip.tile.accumulators < 2 * LEAST:
        raise UserError(f"tile.accumulators = {chip.tile.accumulators}: a product with a function needs {2 * LEAST}")


class _VectorUnit:
    """What the vector unit does: the function of rows of accumulators, each to a row of the lanes' results."""

    def __init__(self, chip: ChipConfig, job: MatmulJob, name: str, sum_scale: float | None) -> None:
        self._chip, self._unit = chip, Unit(chip=chip)
        self._format = job.result_format or BINARY32.name
        self.lanes = self._unit.lanes
        self.pitch = self.lanes * job.result_bytes
        more: dict[str, Any] = {}
        if job.result_format == "int8":
            more = {"result_scale": unpack("<f", pack("<I", job.scale))[0], "zero_point": job.zero_point}
        integer = job.format == "int8"
        matrices = self._matrices(0, 0, 1)
        self._plan = scaled_function(self._unit, name, *matrices, integer=integer, scale=sum_scale, **more)
        self.code = image(self._plan.program)

    @property
    def row_cycles(self) -> int:
        """For a row of accumulators, at least."""
        return self._plan.operations // self._chip.tile.columns

    @property
    def code_bytes(self) -> int:
        """At the scratchpad's end."""
        return up(len(self.code), self._chip.scratchpad.word_bytes)

    @property
    def _code_place(self) -> int:
        return self._chip.scratchpad.capacity - self.code_bytes

    def fetch(self, code_at: int, unit: int) -> Command:
        """The load of the program to a unit's scratchpad."""
        loaded = semaphore(self._chip, unit, VECTOR_LOADED), 1
        return copy_command("LOAD", memory=code_at, scratchpad=self._code_place, row=len(self.code), signal=loaded)

    def commands(self, plan: UnitPlan) -> list[Command]:
        """The program, once it is loaded, and its runs, each when sums are there.

        One semaphore tells of both: the program is loaded before the operands of the first product.
        """
        chip = self._chip
        loaded, ready = ((semaphore(chip, plan.unit, which), 1) for which in (VECTOR_LOADED, READY))
        program = LoadProgram(source=self._code_place, count=len(self.code) // INSTRUCTION_BYTES)
        commands = [replace(vector_command(program), wait=loaded)]
        for product, accumulator, _ in _by_turns(chip, plan):
            if product.last:
                rows = product.rows.count * -(-product.columns.count // chip.tile.columns)
                commands += linked(self._runs(accumulator, product.d, rows), loaded, ready)
        return commands

    def _runs(self, accumulator: int, place: int, rows: int) -> list[Command]:
        """All runs have the same program and parameters."""
        parameters = next(each.parameters for each in self._plan.runs if isinstance(each, Run))
        made = on(replace(self._plan, runs=[]), *self._matrices(accumulator, place, rows), parameters)
        return [vector_command(each) for each in made.runs]

    def _matrices(self, accumulator: int, place: int, rows: int) -> tuple[Matrix, Matrix]:
        """Sums and results."""
        columns, word = self._chip.tile.columns, self._chip.scratchpad.word_bytes
        sums = Matrix(base=ACCUMULATORS + word * accumulator, rows=rows, columns=columns, pitch=word)
        return sums, Matrix(base=place, rows=rows, columns=columns, pitch=self.pitch, format=self._format)


def _by_turns(chip: ChipConfig, plan: UnitPlan) -> Iterator[tuple[Product, int, int]]:
    """Each product, its accumulator, and how many stores must have ended before.

    Products that are summed up together have a part of the accumulators, the next ones the next part, round and round:
    when results of those that had it before are stored, their sums have been taken.
    """
    tiling = plan.tiling
    size = tiling.group * tiling.rows * -(-tiling.columns // chip.tile.columns)
    parts = chip.tile.accumulators // size
    before: list[int] = []
    summed = 0
    for product in plan.schedule.products:
        if product.first and product.accumulator == 0:
            before.append(summed)
        together = len(before) - 1
        taken = before[together - parts + 1] if together >= parts else 0
        yield product, together % parts * size + product.accumulator, max(product.stores, taken)
        summed += product.last


def _products(chip: ChipConfig, plan: UnitPlan) -> tuple[list[Command], int]:
    """Of a unit's matmul queue, and the stores that it has not waited for."""
    own, made = semaphore(chip, plan.unit, 0), plan.schedule
    summed = semaphore(chip, plan.unit, VECTOR_LOADED), 1
    kept = {"result": int(Result.KEPT)}
    kept |= dict.fromkeys(("result_format", "d_address", "d_stride", "zero_point", "scale"), 0)
    commands = []
    loaded = stored = 0
    for product, accumulator, stores in _by_turns(chip, plan):
        if stores > stored:
            commands.append(Command(name="NOTHING", wait=(own + STORED, stores - stored)))
            stored = stores
        multiply = product_command(plan.part, made, product, own, more(own + LOADED, product.loads, loaded))
        loaded = max(loaded, product.loads)
        fields = {**multiply.fields, "accumulator": accumulator, **(kept if product.last else {})}
        commands.append(replace(multiply, fields=fields))
        if product.last:
            commands.append(Command(name="NOTHING", signal=summed))
    return commands, len(made.stores) - stored


def _store(chip: ChipConfig, plan: UnitPlan, store: Store, pitch: int) -> list[Command]:
    """Blocks of the tile's columns, which lie one behind the other in rows of the lanes, to their places in D."""
    d, size, columns, rows = plan.part.job.d, plan.part.job.result_bytes, chip.tile.columns, store.rows.count
    full, rest = divmod(store.columns.count, columns)
    parts = [(0, full, columns)] if full else []
    parts += [(full, 1, rest)] if rest else []
    commands = []
    for first, blocks, width in parts:
        at = Span(store.columns.first + first * columns, width)
        copy = copy_command(
            "STORE",
            memory=d.address + store.rows.first * d.stride + at.first * size,
            scratchpad=store.place + first * rows * pitch,
            row=at.count * size,
            rows=rows,
            strides=(d.stride, pitch),
        )
        over_blocks = {"count_1": blocks, "memory_stride_1": columns * size, "scratchpad_stride_1": rows * pitch}
        commands.append(replace(copy, fields={**copy.fields, **over_blocks}))
    ready, stored = ((semaphore(chip, plan.unit, which), 1) for which in (READY, STORED))
    return linked(commands, ready, stored)
