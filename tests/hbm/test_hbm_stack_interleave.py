"""Addresses go to stacks and channels as the model has it, each to a place of its own."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from openppu.config import load
from openppu.hbm.config import ChannelConfig
from openppu.hbm.stack_interleave import StackInterleave, split_stacks
from openppu_sim.cycles.hbm.address import Interleave
from openppu_verif.ends import Put, Take, run

ACCESS = 32
FULL = ChannelConfig().accesses
Place = tuple[int, int, int]
"""Stack, channel, address in accesses."""


def places(dut: StackInterleave, addresses: Sequence[int], *, seed: int = 0, rate: float = 1.0) -> list[Any]:
    """What comes out for each address, in order; tags are checked."""
    chance = random.Random(seed)
    put, take = Put(dut.addresses, chance, rate), Take(dut.places, chance, rate)
    put.waiting.extend({"address": a, "tag": n % (1 << dut.tag_bits)} for n, a in enumerate(addresses))
    found: list[Any] = []

    def step(ctx: Any, cycle: int) -> bool:
        for end in (put, take):
            end.drive(ctx)
        put.sample(ctx)
        if (place := take.sample(ctx)) is not None:
            assert place.tag == len(found) % (1 << dut.tag_bits), f"seed {seed}"
            found.append(place)
        return len(found) == len(addresses)

    run(dut, step, most=20 * len(addresses) + 40)
    return found


def expected(dut: StackInterleave, addresses: Sequence[int]) -> list[Place]:
    """The model's places."""
    channel, local = Interleave(dut.stacks * dut.channels).locate(np.array(addresses, np.int64) * ACCESS)
    rows = zip(channel.tolist(), local.tolist(), strict=True)
    return [(c // dut.channels, c % dut.channels, at // ACCESS) for c, at in rows]


def address_of(dut: StackInterleave, place: Place) -> int:
    """The address that has a place: the rule of the page, backwards."""
    odd, power = split_stacks(dut.stacks)
    bits = power + dut.channels.bit_length() - 1
    unit, offset = divmod(place[2], 8)
    number = place[0] * dut.channels + place[1]
    low, third = number % (1 << bits), number >> bits
    if dut.stacks * dut.channels > 1:
        unit ^= sum(unit >> bit & 1 for bit in range(5, 40, 5)) & 1
    for at in range(0, 40, max(1, bits)):
        low ^= unit >> at & ((1 << bits) - 1)
    upper = unit * odd + (third - unit) % odd
    return ((upper << bits) + low) * 8 + offset


@pytest.mark.parametrize("stacks", range(1, 9))
@pytest.mark.parametrize("channels", [1, 4])
def test_every_address_of_a_small_memory_has_a_place_of_its_own(stacks: int, channels: int) -> None:
    accesses = 8 * 38
    dut = StackInterleave(stacks=stacks, channels=channels, accesses=accesses, tag_bits=4)
    units = range(0, stacks * channels * accesses, 8)
    got = [(int(p.stack), int(p.channel), int(p.address)) for p in places(dut, units)]
    assert got == expected(dut, units)
    everything = {(s, c, a) for s in range(stacks) for c in range(channels) for a in range(0, accesses, 8)}
    assert set(got) == everything
    assert len(got) == len(everything)


@settings(max_examples=25)
@given(st.integers(1, 8), st.sampled_from((1, 2, 4, 8)), st.sampled_from((4, 8, 12)), st.data())
def test_places_in_a_large_memory_are_the_models_and_lead_back(
    stacks: int, channels: int, height: int, data: st.DataObject
) -> None:
    accesses = ChannelConfig(height=height).accesses
    dut = StackInterleave(stacks=stacks, channels=channels, accesses=accesses, tag_bits=3)
    whole = stacks * channels * accesses
    addresses = [*data.draw(st.lists(st.integers(0, whole - 1), min_size=1, max_size=20)), 0, whole - 1]
    rate = data.draw(st.sampled_from((0.4, 1.0)))
    got = places(dut, addresses, rate=rate)
    found = [(int(p.stack), int(p.channel), int(p.address)) for p in got]
    assert found == expected(dut, addresses)
    assert [address_of(dut, place) for place in found] == addresses
    assert not any(p.beyond for p in got)


@pytest.mark.parametrize("stacks", [3, 6, 7])
def test_what_is_beyond_the_capacity_is_told(stacks: int) -> None:
    dut = StackInterleave(stacks=stacks, channels=8, accesses=FULL)
    whole = stacks * 8 * FULL
    got = places(dut, [whole - 1, whole, (1 << (whole - 1).bit_length()) - 1, 0])
    assert [p.beyond for p in got] == [0, 1, 1, 0]


@pytest.mark.parametrize("stacks", [1, 2, 5, 6])
def test_an_address_goes_each_clock_and_takes_what_is_said(stacks: int) -> None:
    dut = StackInterleave(stacks=stacks, channels=8, accesses=FULL)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.places.ready, 1)
        ctx.set(dut.addresses.valid, 1)
        for clock in range(20):
            assert ctx.get(dut.addresses.ready)
            if ctx.get(dut.places.valid):
                seen.append(clock)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == list(range(dut.latency, 20))


def test_96_gib_are_all_reached() -> None:
    hbm = load("ppu810e").hbm
    dut = StackInterleave(stacks=hbm.stacks, channels=hbm.channels, accesses=hbm.channel.accesses)
    last = (96 << 30) // ACCESS - 1
    for place in places(dut, [last, last // 3, 0]):
        assert not place.beyond
    assert places(dut, [last + 1])[0].beyond


@pytest.mark.parametrize("sizes", [(0, 1, 16), (9, 1, 16), (3, 3, 16), (3, 1, 8), (3, 1, 0)])
def test_other_sizes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"give 1 to 8 stacks, 1, 2, 4 or 8 channels, and a multiple of 16 accesses"):
        StackInterleave(stacks=sizes[0], channels=sizes[1], accesses=sizes[2])
