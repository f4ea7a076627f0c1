"""Runs commands on the matmul engine in Amaranth's simulator: nothing to build, for short runs."""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth import ClockDomain, Module
from amaranth.sim import Simulator
from openppu.config import ChipConfig
from openppu.matmul.engine import MatmulEngine
from openppu_sim.cycles.tile import Cause
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.matmul import Ending, MatmulCommand

from openppu_verif.matmul.native import PORTS, EngineRun, Surroundings


def simulate(
    chip: ChipConfig, commands: Sequence[MatmulCommand], memory: np.ndarray, around: Surroundings | None = None
) -> EngineRun:
    """What `NativeEngine.run` gives, but for ``reset_at``, which is not looked at.

    Raises
    ------
    SimulationError
        If it does not end.
    """
    around = around or Surroundings()
    engine = MatmulEngine(chip)
    bench = _Bench(engine, chip, commands, memory, around)
    m = Module()
    m.domains.sync = ClockDomain()
    m.submodules.engine = engine
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench.run)
    simulator.run()
    if len(bench.ends) < len(commands):
        raise SimulationError(f"{len(bench.ends)} of {len(commands)} commands ended in {around.most} cycles")
    return EngineRun(
        errors=tuple(Ending(error) for _, error in bench.ends),
        taken=tuple(bench.takes),
        finished=tuple(cycle for cycle, _ in bench.ends),
        memory=bench.memory,
        touched=bench.touched,
        causes={cause.name.lower(): bench.causes[cause] for cause in Cause},
        accesses=bench.accesses,
        seconds=0.0,
    )


class _Bench:
    def __init__(self, engine: Any, chip: ChipConfig, commands: Any, memory: np.ndarray, around: Surroundings) -> None:
        self.engine, self.around = engine, around
        self.commands = deque(commands)
        self.word_bytes = chip.scratchpad.word_bytes
        self.memory = memory.astype(np.uint8).copy()
        self.touched = np.zeros(memory.size // self.word_bytes, np.uint8)
        self.accesses = dict.fromkeys(PORTS, 0)
        self.answers: dict[str, deque[tuple[int, int, bool]]] = {name: deque() for name in PORTS}
        self.takes: list[int] = []
        self.ends: list[tuple[int, int]] = []
        self.causes = dict.fromkeys(Cause, 0)
        self.chance = random.Random(around.seed)
        self.rates = dict.fromkeys((*PORTS, "commands", "finished"), 1.0) | dict(around.rates or {})

    async def run(self, ctx: Any) -> None:
        engine, count = self.engine, len(self.commands)
        ctx.set(engine.scratchpad_bytes, self.memory.size)
        offered = False
        for now in range(min(self.around.most, 100_000)):
            offered = offered or (bool(self.commands) and self._goes("commands"))
            ctx.set(engine.commands.valid, offered)
            if offered:
                ctx.set(engine.commands.payload.as_value(), self.commands[0].encode())
            takes_end = self._goes("finished")
            ctx.set(engine.finished.ready, takes_end)
            ready = {name: self._goes(name) for name in PORTS}
            for name in PORTS:
                self._answer(ctx, name, now, ready[name])
            if offered and ctx.get(engine.commands.ready):
                self.takes.append(now)
                self.commands.popleft()
                offered = False
            if takes_end and ctx.get(engine.finished.valid):
                self.ends.append((now, ctx.get(engine.finished.payload.as_value())))
            for name in PORTS:
                if ready[name] and ctx.get(getattr(engine, name).requests.valid):
                    self._access(ctx, name, now)
            if self.takes:
                self.causes[Cause(ctx.get(engine.cause.as_value()))] += 1
            if len(self.ends) == count:
                return
            await ctx.tick()

    def _goes(self, name: str) -> bool:
        return self.rates[name] >= 1 or self.chance.random() < self.rates[name]

    def _answer(self, ctx: Any, name: str, now: int, ready: bool) -> None:
        port = getattr(self.engine, name)
        ctx.set(port.requests.ready, ready)
        answers = self.answers[name]
        comes = bool(answers) and answers[0][0] == now
        ctx.set(port.results.valid, comes)
        if comes:
            _, word, error = answers.popleft()
            ctx.set(port.results.payload.data, word)
            ctx.set(port.results.payload.error, error)

    def _access(self, ctx: Any, name: str, now: int) -> None:
        request = getattr(self.engine, name).requests.payload
        address = ctx.get(request.address)
        place = np.s_[address * self.word_bytes : (address + 1) * self.word_bytes]
        self.accesses[name] += 1
        self.touched[address] |= 1 << PORTS.index(name)
        if ctx.get(request.write) != (name == "results"):
            raise SimulationError(f"{name}: a write on a port that reads, or the other way round")
        if name == "results":
            data = np.frombuffer(ctx.get(request.data).to_bytes(self.word_bytes, "little"), np.uint8)
            mask = ctx.get(request.mask)
            written = np.array([mask >> byte & 1 for byte in range(self.word_bytes)], bool)
            self.memory[place] = np.where(written, data, self.memory[place])
        else:
            word = int.from_bytes(self.memory[place].tobytes(), "little")
            bad = address in self.around.bad_words
            self.answers[name].append((now + self.around.latency, word, bad))
