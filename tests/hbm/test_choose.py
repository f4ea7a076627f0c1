"""Turns are fair, and slots are never given out twice."""

import random

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from openppu.common.choose import RoundRobin, lowest
from openppu.hbm.slots import Slots
from openppu_verif.ends import Take, run

# A component that refuses its parameters is never used.
pytestmark = pytest.mark.filterwarnings("ignore:.*created but never used")


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_the_lowest_set_bit_is_found(width: int) -> None:
    m = Module()
    bits = Signal(width)
    index = lowest(m, bits, name="index")

    async def bench(ctx):  # type: ignore[no-untyped-def]
        for value in range(1, 1 << width):
            ctx.set(bits, value)
            assert ctx.get(index) == (value & -value).bit_length() - 1, f"width {width}, bits {value:b}"

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("width", [1, 2, 3, 5, 16])
def test_turns_go_round(width: int) -> None:
    dut = RoundRobin(width)
    chance = random.Random(width)
    last = width - 1

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        nonlocal last
        requests = chance.getrandbits(width) if cycle % 3 else (1 << width) - 1
        served = chance.random() < 0.7
        ctx.set(dut.requests, requests)
        ctx.set(dut.served, served)
        assert ctx.get(dut.valid) == (requests != 0)
        if requests:
            order = [(last + 1 + place) % width for place in range(width)]
            expected = next(place for place in order if requests >> place & 1)
            assert ctx.get(dut.pick) == expected, f"width {width}, cycle {cycle}: {requests:b} after {last}"
            if served:
                last = expected
        return cycle == 300

    run(dut, step, most=301)


def test_turns_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match="width = 0"):
        RoundRobin(0)


@pytest.mark.parametrize("count", [1, 2, 8, 11])
def test_slots_are_given_out_once_and_come_back(count: int) -> None:
    dut = Slots(count)
    chance = random.Random(count)
    take = Take(dut.free, chance, 0.6)
    held: list[int] = []
    seen = set()
    levels = set()

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        take.rate = 0.9 if cycle // 40 % 2 else 0.2
        give = bool(held) and chance.random() < (0.2 if cycle // 40 % 2 else 0.9)
        back = held.pop(chance.randrange(len(held))) if give else chance.randrange(count)
        ctx.set(dut.released, give)
        ctx.set(dut.slot, back)
        take.drive(ctx)
        slot = take.sample(ctx)
        if slot is not None:
            assert slot not in [*held, *([back] if give else [])], f"count {count}, cycle {cycle}: {slot} twice"
            held.append(slot)
            seen.add(slot)
        levels.add(len(held))
        return cycle == 600

    run(dut, step, most=601)
    assert seen == set(range(count))
    assert count in levels


def test_slots_come_one_a_cycle() -> None:
    dut = Slots(8)
    taken: list[int] = []

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        # Each goes back three cycles after it was taken.
        ctx.set(dut.released, len(taken) >= 4)
        ctx.set(dut.slot, taken[-4] if len(taken) >= 4 else 0)
        ctx.set(dut.free.ready, 1)
        if cycle:
            assert ctx.get(dut.free.valid), f"none in cycle {cycle}"
            taken.append(ctx.get(dut.free.payload))
        return cycle == 100

    run(dut, step, most=101)
