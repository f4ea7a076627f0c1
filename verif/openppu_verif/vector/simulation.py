"""The vector unit in Amaranth's own simulator, beside a model of the scratchpad: for short runs, without a build."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray
from openppu.command.error import Error
from openppu.config import ChipConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.vector.engine import VectorEngine
from openppu_sim.kernels.vector.commands import Command, encode
from openppu_sim.simulator.vector import ALWAYS, FREE, End, Stalls, VectorRun

MOST_CYCLES = 20_000


@dataclass(frozen=True, kw_only=True)
class Job:
    """Commands on a scratchpad of their own.

    Parameters
    ----------
    commands : sequence of Command
    memory : ndarray of uint8
    stalls : Stalls
    wrong : collection of int
        Numbers of words that are read with an error.
    accumulators : ndarray of uint32, optional
        What the tile's accumulators hold, rows x columns; without, zeros.
    """

    commands: Sequence[Command]
    memory: NDArray[np.uint8]
    stalls: Stalls = FREE
    wrong: Collection[int] = ()
    accumulators: NDArray[np.uint32] | None = None


def simulate(chip: ChipConfig, jobs: Sequence[Job]) -> list[VectorRun]:
    """What each job does, one after the other on one unit, which keeps its registers; each counts its own cycles.

    Raises
    ------
    RuntimeError
        If a job does not end.
    """
    unit = VectorEngine(chip)
    runs: list[VectorRun] = []

    async def bench(ctx: Any) -> None:
        for job in jobs:
            runs.append(await _Bench(unit, chip, job).run(ctx))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return runs


class _Bench:
    """A job under way."""

    def __init__(self, unit: VectorEngine, chip: ChipConfig, job: Job):
        self.unit = unit
        self.job = job
        self.word_bytes = chip.scratchpad.word_bytes
        self.memory = job.memory.copy()
        tile = chip.tile
        zeros = np.zeros((tile.accumulators, tile.columns), np.uint32)
        self.sums = zeros if job.accumulators is None else job.accumulators
        self.chance = random.Random(job.stalls.seed)
        self.cycle = 0
        self.results: list[list[tuple[int, int]]] = [[], []]
        """Of each port for reading: when a result is due, and its bits."""

    async def run(self, ctx: Any) -> VectorRun:
        unit, job, stalls = self.unit, self.job, self.job.stalls
        taken: list[int] = []
        ends: list[End] = []
        offering = False
        ctx.set(unit.scratchpad_bytes, job.memory.size)
        while len(ends) < len(job.commands):
            if self.cycle == MOST_CYCLES:
                raise RuntimeError(f"{len(ends)} of {len(job.commands)} commands ended in {MOST_CYCLES} cycles")
            offering = len(taken) < len(job.commands) and (offering or self._acts(stalls.offers))
            ctx.set(unit.commands.valid, offering)
            if offering:
                ctx.set(unit.commands.payload.as_value(), encode(job.commands[len(taken)]))
            ctx.set(unit.finished.ready, accepts := self._acts(stalls.accepts))
            for number, port in enumerate(unit.inputs):
                self._answer(ctx, number, port)
            for number, port in enumerate(unit.inputs):
                self._read(ctx, number, port)
            self._write(ctx)
            row = ctx.get(unit.accumulators.row) if ctx.get(unit.accumulators.read) else None
            if offering and ctx.get(unit.commands.ready):
                taken.append(self.cycle)
                offering = False
            if accepts and ctx.get(unit.finished.valid):
                error = Error(ctx.get(unit.finished.payload.error))
                ends.append(End(error=error, taken=taken[len(ends)], finished=self.cycle))
            await ctx.tick()
            self.cycle += 1
            if row is not None:
                ctx.set(unit.accumulators.sums.as_value(), int.from_bytes(self.sums[row].tobytes(), "little"))
        ctx.set(unit.commands.valid, 0)
        return VectorRun(ends=ends, memory=self.memory, cycles=self.cycle)

    def _acts(self, of_65536: int) -> bool:
        return of_65536 == ALWAYS or self.chance.randrange(ALWAYS) < of_65536

    def _answer(self, ctx: Any, number: int, port: Any) -> None:
        due = bool(self.results[number]) and self.results[number][0][0] == self.cycle
        ctx.set(port.results.valid, due)
        if due:
            ctx.set(port.results.payload.as_value(), self.results[number].pop(0)[1])

    def _read(self, ctx: Any, number: int, port: Any) -> None:
        ready = self._acts(self.job.stalls.reads)
        ctx.set(port.requests.ready, ready)
        if ready and ctx.get(port.requests.valid):
            assert not ctx.get(port.requests.payload.write)
            address = ctx.get(port.requests.payload.address)
            at = address * self.word_bytes
            assert at < self.memory.size, f"a read of word {address}, cycle {self.cycle}"
            word = int.from_bytes(self.memory[at : at + self.word_bytes].tobytes(), "little")
            wrong = address in self.job.wrong
            self.results[number].append((self.cycle + Scratchpad.LATENCY, word | wrong << 8 * self.word_bytes))

    def _write(self, ctx: Any) -> None:
        requests = self.unit.output.requests
        ready = self._acts(self.job.stalls.writes)
        ctx.set(requests.ready, ready)
        if ready and ctx.get(requests.valid):
            assert ctx.get(requests.payload.write)
            at = ctx.get(requests.payload.address) * self.word_bytes
            assert at < self.memory.size, f"a write of byte {at}, cycle {self.cycle}"
            data = ctx.get(requests.payload.data).to_bytes(self.word_bytes, "little")
            mask = ctx.get(requests.payload.mask)
            for byte in range(self.word_bytes):
                if mask >> byte & 1:
                    self.memory[at + byte] = data[byte]
