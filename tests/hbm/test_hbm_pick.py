"""Choosing among the bits of a mask, for every mask of a few bits."""

from typing import Any

import pytest
from amaranth import Const, Module, Signal
from amaranth.sim import Simulator
from openppu.hbm.pick import at_least, gather, oldest, one_hot

WIDTH = 6


def values(expression: Any) -> list[int]:
    """What an expression of a mask is, for every mask."""
    mask, result = Signal(WIDTH), Signal(16)
    m = Module()
    m.d.comb += result.eq(expression(mask))
    found = []

    async def bench(ctx: Any) -> None:
        for value in range(1 << WIDTH):
            ctx.set(mask, value)
            found.append(ctx.get(result))

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def test_oldest_is_the_lowest_bit() -> None:
    assert values(oldest) == [value & -value for value in range(1 << WIDTH)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, WIDTH])
def test_at_least_counts_bits(count: int) -> None:
    assert values(lambda mask: at_least(count, mask)) == [value.bit_count() >= count for value in range(1 << WIDTH)]


def test_gather_takes_the_value_of_the_chosen_bit() -> None:
    items = [3, 1, 4, 1, 5, 9]
    found = values(lambda mask: gather(oldest(mask), [Const(item, 4) for item in items]))
    assert found == [0, *(items[(value & -value).bit_length() - 1] for value in range(1, 1 << WIDTH))]


def test_one_hot_sets_the_bit_at_a_place() -> None:
    assert values(lambda mask: one_hot(mask[:3], 8)) == [1 << (value & 7) for value in range(1 << WIDTH)]
