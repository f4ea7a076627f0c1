"""The counters of a pseudo-channel: each clock has one cause, and queues are summed as they fill and empty."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.accounts import EVENTS, IDLE_CAUSES, QUEUES, Accounts

CLOCKS = 300


@pytest.mark.parametrize("seed", range(3))
def test_counters_count_what_the_clocks_had(seed: int) -> None:
    dut, chance = Accounts(), random.Random(seed)
    expected = dict.fromkeys(("clocks", *EVENTS, *IDLE_CAUSES, *QUEUES), 0)
    levels = dict.fromkeys(QUEUES, 0)

    async def bench(ctx: Any) -> None:
        for _ in range(CLOCKS):
            events = {name: int(chance.random() < 0.3) for name in EVENTS}
            causes = {name: int(chance.random() < 0.2) for name in IDLE_CAUSES}
            arrives = {name: int(levels[name] < 128 and chance.random() < 0.6) for name in QUEUES}
            leaves = {name: int(levels[name] > 0 and chance.random() < 0.5) for name in QUEUES}
            for member, values in ((dut.events, events), (dut.causes, causes)):
                ctx.set(member, values)
            ctx.set(dut.arrives, arrives)
            ctx.set(dut.leaves, leaves)
            await ctx.tick()
            expected["clocks"] += 1
            for name in EVENTS:
                expected[name] += events[name]
            if not (events["reads"] or events["writes"]):
                expected[next((name for name in IDLE_CAUSES if causes[name]), IDLE_CAUSES[-1])] += 1
            for name in QUEUES:
                expected[name] += levels[name]
                levels[name] += arrives[name] - leaves[name]
            counters = ctx.get(dut.counters)
            assert {name: counters[name] for name in expected} == expected, f"{seed=}"

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert max(levels.values()) > 10, f"{seed=}: the queues hardly fill"
