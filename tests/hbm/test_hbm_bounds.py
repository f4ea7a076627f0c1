"""How long refreshes wait at most: what the bounds say of the devices, and that the RTL comes near, never beyond."""

import random
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from openppu.hbm.bounds import (
    act_gap,
    all_banks_keep_up,
    all_banks_wait,
    due,
    entry_wait,
    entry_wait_beside_refreshes,
    next_wait,
    oldest_wait,
    open_wait,
    refresh_disturbs,
    refresh_wait,
    rests,
    served_wait,
    single_bank_keeps_up,
)
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, HEIGHTS, device, organisation
from openppu.hbm.pseudo_channel import PseudoChannel
from openppu.hbm.row_bus import RowArbiter
from openppu.hbm.settings import Settings
from openppu_verif.formal.probe import Probe

TIMING = device("HBM2E_3200").timing


@pytest.mark.parametrize("name", DEVICES)
def test_one_bank_at_a_time_keeps_up_on_stacks_of_four_and_eight(name: str) -> None:
    timing = device(name).timing
    assert single_bank_keeps_up(timing, banks=organisation(4).banks, rate=2)
    assert single_bank_keeps_up(timing, banks=organisation(8).banks)
    assert single_bank_keeps_up(timing, banks=organisation(12).banks) == name.startswith("HBM2E")
    assert not single_bank_keeps_up(timing, banks=organisation(8).banks, rate=4)


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("name", DEVICES)
def test_all_banks_at_a_time_keep_up_on_every_stack_however_hot(name: str, height: int) -> None:
    timing = device(name).timing
    assert all_banks_keep_up(timing, banks=organisation(height).banks, rate=4)
    assert not all_banks_keep_up(replace(timing, tREFI=timing.tRFC + 1), banks=organisation(height).banks, rate=4)


def test_bounds_follow_the_timing() -> None:
    assert all_banks_wait(TIMING) == 280 + 3 + 38 + 3
    assert refresh_wait(TIMING) == 27 + 5 + 1 + 12 + 7 + 2 + 1
    assert rests(TIMING) == 128
    assert due(TIMING, banks=32) == 97
    assert due(TIMING, banks=32, rate=Fraction(1, 4)) == 390
    assert [act_gap(replace(TIMING, tRRDS=clocks, tRRDL=12)) for clocks in range(1, 11)] == [
        0,
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        3,
    ]


@dataclass
class Longest:
    """The longest waits of a run, in clocks: for a refresh; for an access of the oldest entry, if that is aged."""

    refresh: int = 0
    oldest: int = 0


def full_load(config: ChannelConfig, settings: Settings, *, clocks: int) -> Longest:
    """Both pseudo-channels of a row bus, each loaded with reads of one access, all in other rows."""
    chance = random.Random(3)
    m = Module()
    probes = [Probe(PseudoChannel(config)) for _ in range(2)]
    pcs = [probe.part("") for probe in probes]
    parts = [(probe.part("refresh"), probe.part("reads")) for probe in probes]
    m.submodules.bus = bus = RowArbiter(config.organisation)
    for index, pc in enumerate(pcs):
        m.submodules[f"pc_{index}"] = probes[index].fragment
        m.d.comb += [pc.pc.eq(index), bus.requests[index].eq(pc.row_request), pc.row_grant.eq(bus.grants[index])]
    longest = Longest()

    async def bench(ctx: Any) -> None:
        waits, ages = [0, 0], [0, 0]
        for pc in pcs:
            ctx.set(pc.settings, settings.values())
            ctx.set(pc.temperature, 0b110)
            ctx.set(pc.enable, 1)
            ctx.set(pc.entries.valid, 1)
        for _ in range(clocks):
            for index, (pc, (timer, queue)) in enumerate(zip(pcs, parts, strict=True)):
                place = {"bank": chance.randrange(config.organisation.banks), "row": chance.randrange(64), "column": 0}
                ctx.set(pc.entries.payload, {"place": place, "last": 0})
                chosen = ctx.get(timer.blocked)
                rested = not chosen & ctx.get(timer.states).refreshing
                waits[index] = waits[index] + rested if chosen else 0
                longest.refresh = max(longest.refresh, waits[index])
                if ctx.get(timer.granted) and ctx.get(timer.command) == RowCommand.REFSB:
                    waits[index] = 0
                ages[index] = ages[index] + 1 if ctx.get(queue.head_aged) else 0
                longest.oldest = max(longest.oldest, ages[index])
                if ctx.get(queue.head_leaves):
                    ages[index] = 0
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return longest


def test_the_wait_of_an_entry_is_the_sum_of_its_parts() -> None:
    assert open_wait(TIMING) == 1 + 12 + 2 + 1
    assert open_wait(replace(TIMING, tCCDR=9)) == 1 + 12 + 5 + 1
    assert oldest_wait(TIMING) == 27 + 5 + 1 + 38 + 4 + 13 + 8 + 1 + open_wait(TIMING)
    assert next_wait(TIMING) == 3
    served = served_wait(TIMING)
    assert served == 113 + 7 * 3
    assert entry_wait(TIMING, entries=64, age_limit=2000) == 2000 + 8 * (9 * (2000 + served) + 1) + 64 * served
    assert entry_wait(TIMING, entries=9, age_limit=16) == 16 + 2 * (9 * (16 + served) + 1) + 9 * served


def test_refreshes_add_their_share_to_the_wait_of_an_entry() -> None:
    queue = {"entries": 64, "age_limit": 2000}
    assert refresh_disturbs(TIMING) == 6 + 7 + 3 + 2 * (7 + 8 + 1)
    calm, oldest = entry_wait(TIMING, **queue), 8 * 9 + 64
    anew = refresh_wait(TIMING) + rests(TIMING) + 16 + oldest_wait(TIMING)
    wait = entry_wait_beside_refreshes(TIMING, banks=32, **queue)
    assert wait is not None
    # As many refreshes as become due in this time, and those that may be owed; each bank's is every 32nd.
    refreshes = Fraction(wait, due(TIMING, banks=32)) + 8 * 32 + 2
    most = calm + refreshes * refresh_disturbs(TIMING) + (2 * oldest + 1 + (refreshes - 2) / 32) * anew
    assert wait - 1 <= most <= wait
    assert entry_wait_beside_refreshes(TIMING, banks=32, rate=2, **queue) is None
    of_all = all_banks_wait(TIMING) + TIMING.tRFC // 2 + oldest_wait(TIMING)
    wait = entry_wait_beside_refreshes(TIMING, banks=32, all_banks=True, **queue)
    assert wait is not None
    assert wait - 1 <= calm + (Fraction(wait, TIMING.tREFI // 2) + 8 + 2) * of_all <= wait


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("name", DEVICES)
def test_there_is_a_bound_beside_refreshes(name: str, height: int) -> None:
    queue: dict[str, Any] = {"entries": 64, "age_limit": 2000, "banks": organisation(height).banks}
    timing = device(name).timing
    assert (entry_wait_beside_refreshes(timing, **queue) is None) == (name.startswith("HBM2_") and height > 4)
    cold, hot = (entry_wait_beside_refreshes(timing, rate=rate, **queue) for rate in (Fraction(1, 4), 4))
    assert cold is not None
    assert hot is None
    for rate in (1, 2, 4):
        assert entry_wait_beside_refreshes(timing, all_banks=True, rate=rate, **queue) is not None


def test_the_oldest_entry_under_full_load_waits_long_but_no_longer_than_the_bound() -> None:
    config = ChannelConfig(height=4, reads=16, writes=8, slots=8)
    longest = full_load(config, Settings(timing=TIMING, age_limit=4, refresh_enable=False), clocks=400).oldest
    assert oldest_wait(TIMING) // 3 <= longest <= oldest_wait(TIMING)


@pytest.mark.parametrize(
    ("interval", "clocks", "share"),
    [(1000, 500, Fraction(1, 2)), pytest.param(TIMING.tREFI, 1500, Fraction(2, 3), marks=pytest.mark.slow)],
)
def test_refreshes_under_full_load_wait_long_but_no_longer_than_the_bound(
    interval: int, clocks: int, share: Fraction
) -> None:
    # The shorter interval owes more refreshes than can be done, so they soon wait for no bank that nobody needs.
    timing = replace(TIMING, tREFI=interval)
    config = ChannelConfig(height=4, reads=16, writes=8, slots=8)
    longest = full_load(config, Settings(timing=timing), clocks=clocks).refresh
    assert refresh_wait(timing) * share - 1 <= longest <= refresh_wait(timing)
