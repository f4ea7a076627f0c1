"""A queue in memory: order, room, and one cycle of latency while it is empty."""

import random
from typing import Any

import pytest
from openppu.link.word_queue import WordQueue
from openppu_verif.ends import run


@pytest.mark.parametrize("depth", [2, 5, 8])
@pytest.mark.parametrize("seed", range(3))
def test_items_come_out_in_order(depth: int, seed: int) -> None:
    chance = random.Random(seed)
    dut = WordQueue(16, depth=depth)
    inside: list[tuple[int, int]] = []
    count, levels = 0, set()
    put_rate = take_rate = 0.5

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal count, put_rate, take_rate
        if cycle % 50 == 0:
            put_rate, take_rate = chance.choice([0.1, 0.9, 1.0]), chance.choice([0.1, 0.9, 1.0])
        put, take = chance.random() < put_rate, chance.random() < take_rate
        ctx.set(dut.i.valid, put)
        ctx.set(dut.i.payload, cycle)
        ctx.set(dut.o.ready, take)
        assert ctx.get(dut.level) == len(inside)
        levels.add(len(inside))
        offered = ctx.get(dut.o.valid)
        assert offered == bool(inside) or inside[0][1] == cycle - 1, "an item waits for a cycle at most"
        if offered:
            assert ctx.get(dut.o.payload) == inside[0][0]
        if put and ctx.get(dut.i.ready):
            inside.append((cycle, cycle))
            count += 1
        elif put:
            assert len(inside) >= depth
        if offered and take:
            inside.pop(0)
            if inside:
                inside[0] = inside[0][0], cycle
        return cycle == 1500

    run(dut, step, most=1501)
    assert count > 300
    assert levels == set(range(depth + 2))


def test_an_item_each_cycle() -> None:
    dut = WordQueue(16, depth=4)

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, cycle)
        ctx.set(dut.o.ready, 1)
        assert ctx.get(dut.i.ready)
        assert ctx.get(dut.o.valid) == (cycle > 0)
        assert cycle == 0 or ctx.get(dut.o.payload) == cycle - 1
        return cycle == 100

    run(dut, step, most=101)


def test_a_queue_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="WordQueue depth = 1: give at least 2"):
        WordQueue(16, depth=1)
