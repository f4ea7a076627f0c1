"""From reset to the first command: the pins' order and waits, and the training."""

from itertools import pairwise
from typing import Any

from amaranth.sim import Simulator
from openppu.hbm.mode_registers import MODE_REGISTERS
from openppu.hbm.settings import Settings
from openppu.hbm.startup import Startup

CLOCKS, TRAINING = 5, 9


def test_startup_waits_trains_and_sets_every_mode_register_once() -> None:
    startup = Startup(clocks=CLOCKS)
    settings = Settings(modes=tuple(range(200, 216)))
    times: dict[str, int] = {}
    modes: list[tuple[int, int, int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(startup.settings, settings.values())
        for clock in range(1000):
            for name in ("reset_n", "cke", "init_start", "enable"):
                if ctx.get(getattr(startup, name)):
                    times.setdefault(name, clock)
            if ctx.get(startup.mrs):
                modes.append((clock, ctx.get(startup.register), ctx.get(startup.operand)))
            ctx.set(startup.init_complete, clock >= times.get("init_start", clock) + TRAINING)
            if "enable" in times:
                break
            await ctx.tick()

    simulator = Simulator(startup)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert times["reset_n"] >= CLOCKS
    assert times["cke"] - times["reset_n"] >= CLOCKS
    assert times["init_start"] - times["cke"] >= CLOCKS
    assert modes[0][0] - times["init_start"] >= TRAINING
    assert [each[1:] for each in modes] == [(register, 200 + register) for register in range(MODE_REGISTERS)]
    clocks = [clock for clock, _, _ in modes] + [times["enable"]]
    assert min(2 * (b - a) for a, b in pairwise(clocks)) >= settings.timing.tMRD
