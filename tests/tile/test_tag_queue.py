"""The queue of tags behaves cycle for cycle as Amaranth's own queue, and foretells its head."""

import gc
import random

import pytest
from amaranth import Module
from amaranth.lib import fifo
from amaranth.sim import Simulator
from openppu.tile.tag_queue import TagQueue

WIDTH = 5
CYCLES = 400


@pytest.mark.parametrize("depth", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", [1, 2])
def test_queue_equals_amaranths_and_foretells_its_head(depth: int, seed: int) -> None:
    chance = random.Random(seed)
    m = Module()
    m.submodules.queue = queue = TagQueue(WIDTH, depth=depth)
    m.submodules.model = model = fifo.SyncFIFO(width=WIDTH, depth=depth)
    levels = set()

    async def bench(ctx):  # type: ignore[no-untyped-def]
        foretold = None
        for cycle in range(CYCLES):
            # For a while more is put than taken, then the other way round.
            filling = cycle // 50 % 2
            item, put, take = chance.randrange(1 << WIDTH), chance.random() < 0.4 + 0.5 * filling, chance.random()
            take = take < 0.9 - 0.5 * filling
            for payload, valid, ready in (
                (queue.i.payload, queue.i.valid, queue.o.ready),
                (model.w_data, model.w_en, model.r_en),
            ):
                ctx.set(payload, item)
                ctx.set(valid, put)
                ctx.set(ready, take)
            where = f"depth {depth}, seed {seed}, cycle {cycle}"
            assert ctx.get(queue.i.ready) == ctx.get(model.w_rdy), where
            assert ctx.get(queue.o.valid) == ctx.get(model.r_rdy), where
            if ctx.get(queue.o.valid):
                assert ctx.get(queue.o.payload) == ctx.get(model.r_data) == foretold, where
            kept = ctx.get(queue.o.valid) and not take
            after = queue.following if ctx.get(queue.several) else queue.i.payload
            foretold = ctx.get(queue.o.payload if kept else after)
            levels.add(ctx.get(model.level))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert levels == set(range(depth + 1)), f"depth {depth}, seed {seed}: only levels {sorted(levels)} occurred"


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_depth_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth = 1"):
        TagQueue(WIDTH, depth=1)
    gc.collect()  # it complains when it goes: here, where that is expected
