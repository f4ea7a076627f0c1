"""What passes between two clocks that drift against each other: whole words, none lost, none twice."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.link.crossing import ElasticBuffer, Snapshot


def simulate(component: Any, rx: Any, sync: Any, *, ratio: float) -> None:
    simulator = Simulator(component)
    simulator.add_clock(1e-9)
    simulator.add_clock(1e-9 * ratio, domain="rx", phase=0.37e-9)
    simulator.add_testbench(rx, background=True)
    simulator.add_testbench(sync)
    simulator.run()


@pytest.mark.parametrize("ratio", [0.99, 1.0, 1.01])
def test_words_pass_in_order_while_every_fiftieth_clock_brings_none(ratio: float) -> None:
    buffer = ElasticBuffer(32)
    chance = random.Random(1)
    put: list[int] = []
    got: list[int] = []

    async def rx(ctx: Any) -> None:
        for clock in range(1500):
            valid = clock % 50 != 0
            word = chance.getrandbits(32)
            ctx.set(buffer.put, word)
            ctx.set(buffer.put_valid, valid)
            assert not ctx.get(buffer.overflow)
            put.extend([word] * valid)
            await ctx.tick("rx")
        ctx.set(buffer.put_valid, 0)

    async def sync(ctx: Any) -> None:
        for _ in range(1600):
            if ctx.get(buffer.get_valid):
                got.append(ctx.get(buffer.get))
            await ctx.tick()

    simulate(buffer, rx, sync, ratio=ratio)
    assert len(put) > 1400
    assert got == put


def test_a_lane_clock_much_too_fast_is_told() -> None:
    buffer = ElasticBuffer(32)
    told: list[int] = []

    async def rx(ctx: Any) -> None:
        ctx.set(buffer.put_valid, 1)
        while True:
            told.append(ctx.get(buffer.overflow))
            await ctx.tick("rx")

    async def sync(ctx: Any) -> None:
        await ctx.tick().repeat(300)

    simulate(buffer, rx, sync, ratio=0.9)
    assert sum(told) > 10


@pytest.mark.parametrize("ratio", [0.5, 0.99, 1.0, 1.7])
def test_values_are_seen_whole_and_soon(ratio: float) -> None:
    crossing = Snapshot(64, source="rx", target="sync")
    values: list[int] = []

    async def rx(ctx: Any) -> None:
        # Both halves alike, another number each clock.
        for clock in range(400):
            ctx.set(crossing.value, clock << 32 | clock)
            values.append(clock)
            await ctx.tick("rx")

    async def sync(ctx: Any) -> None:
        before = 0
        for clock in range(int(380 * ratio)):
            seen = ctx.get(crossing.seen)
            assert seen >> 32 == seen & 0xFFFFFFFF
            assert seen & 0xFFFFFFFF >= before
            before = seen & 0xFFFFFFFF
            if clock > 30:
                assert len(values) - before < 24
                assert not ctx.get(crossing.stale)
            await ctx.tick()
        assert before > 300

    simulate(crossing, rx, sync, ratio=ratio)


def test_a_stopped_clock_is_told() -> None:
    crossing = Snapshot(8, source="rx", target="sync")

    async def rx(ctx: Any) -> None:
        pass

    async def sync(ctx: Any) -> None:
        await ctx.tick().repeat(100)
        assert ctx.get(crossing.stale)

    simulate(crossing, rx, sync, ratio=50)
