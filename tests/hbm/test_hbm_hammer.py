"""Row-hammer protection: tables that miss no hammered row, and neighbours that are refreshed in time."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.config import ChannelConfig
from openppu.hbm.hammer_table import HammerTable, least_threshold
from openppu.hbm.settings import Page, Refresh, Settings
from openppu_sim.errors import SimulationError
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run

THRESHOLD = 12


def count(table: HammerTable, rows: Iterator[int], *, acts: int, window: int) -> list[tuple[int, int]]:
    """Activate rows as soon as they may be; the numbers and rows of the activations at which a row was found.

    A row that is found is served, without activations, and no row may come to the threshold unseen. ``window`` counts
    activations.
    """
    found: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        ctx.set(table.threshold, THRESHOLD)
        counts: Counter[int] = Counter()
        for number in range(acts):
            while ctx.get(table.busy):
                await ctx.tick()
            row = next(rows)
            ctx.set(table.row, row)
            ctx.set(table.act, 1)
            ctx.set(table.clear, number % window == window - 1)
            await ctx.tick()
            ctx.set(table.act, 0)
            ctx.set(table.clear, 0)
            counts[row] += 1
            for _ in range(table.words + 2):
                assert ctx.get(table.busy)
                assert not ctx.get(table.overflow), "the table is large enough"
                await ctx.tick()
            if ctx.get(table.found):
                assert ctx.get(table.waits)
                assert ctx.get(table.aggressor) == row
                found.append((number, row))
                ctx.set(table.served, 1)
                await ctx.tick()
                ctx.set(table.served, 0)
                assert not ctx.get(table.waits)
                while ctx.get(table.found):
                    await ctx.tick()
                counts[row] = 0
            assert counts[row] < THRESHOLD, f"activation {number}: row {row} was not found"
            if number % window == window - 1:
                counts.clear()

    simulator = Simulator(table)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("entries", [8, 32])
def test_few_rows_are_found_exactly_at_the_threshold(entries: int) -> None:
    rows = [7 * n for n in range(entries)]
    table = HammerTable(entries=entries, rows=1024)
    found = count(table, iter(rows * 100), acts=2 * entries * THRESHOLD, window=1 << 20)
    at = [entries * (THRESHOLD * turn + THRESHOLD - 1) + n for turn in range(2) for n in range(entries)]
    assert found == list(zip(at, 2 * rows, strict=True))


def patterns(seed: int) -> Iterator[int]:
    """A few rows often, in turns or at random, among more than the table holds."""
    chance = random.Random(seed)
    while True:
        rows = chance.sample(range(64), chance.choice((1, 2, 8, 9, 10, 16)))
        share = chance.choice((0.1, 0.5, 1.0))
        for turn in range(chance.choice((10, 100))):
            yield rows[turn % len(rows)] if chance.random() < share else chance.randrange(64)


@pytest.mark.parametrize("seed", range(2))
def test_no_row_comes_to_the_threshold_unseen(seed: int) -> None:
    entries, window = 8, 96
    timing = Settings().timing
    timing = replace(timing, tREFI=window * timing.tRC)
    assert least_threshold(entries, 1, timing) <= THRESHOLD
    found = count(HammerTable(entries=entries, rows=64), patterns(seed), acts=1200, window=window)
    assert len(found) > 10, f"seed {seed}"


def test_too_small_a_table_says_so() -> None:
    timing = Settings().timing
    window = next(window for window in range(1, 100) if least_threshold(8, window, timing) > THRESHOLD)
    acts = window * timing.tREFI // timing.tRC
    with pytest.raises(AssertionError, match="large enough"):
        count(HammerTable(entries=8, rows=64), iter(list(range(9)) * acts), acts=acts, window=1 << 20)


def test_rows_that_are_due_while_another_is_served_come_next() -> None:
    table = HammerTable(entries=8, rows=64)
    order: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(table.threshold, THRESHOLD)

        async def rest() -> None:
            await ctx.tick()
            while ctx.get(table.busy):
                await ctx.tick()

        for row, times in ((3, THRESHOLD), (5, THRESHOLD), (6, THRESHOLD - 1), (9, THRESHOLD + 2)):
            for _ in range(times):
                await rest()
                ctx.set(table.row, row)
                ctx.set(table.act, 1)
                await ctx.tick()
                ctx.set(table.act, 0)
        ctx.set(table.clear, 1)
        await ctx.tick()
        ctx.set(table.clear, 0)
        for _ in range(4):
            await rest()
            await rest()
            if ctx.get(table.waits):
                order.append(ctx.get(table.aggressor))
                ctx.set(table.served, 1)
                await ctx.tick()
                ctx.set(table.served, 0)

    simulator = Simulator(table)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert order[0] == 3
    assert sorted(order[1:]) == [5, 9]


CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8, hammer_entries=8)
SETTINGS = Settings(write_high=6, write_low=1, page=Page.OPEN, hammer_window=4, hammer_threshold=40)
ROW = 1024
"""Accesses from a row to the next of the same bank."""


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_channel(CONFIG, build_root)


def hammer(executable: Path, *, apart: int, rows: int, config: ChannelConfig = CONFIG, **changed: Any) -> Measurement:
    """Two ports read some rows of a bank in turns, so that each access opens one."""
    reads = Pattern(
        order="stride", base=ROW * 1000, stride=ROW * apart, size=ROW * apart * rows, lengths=(1, 1), outstanding=2
    )
    settings = replace(SETTINGS, **changed)
    return run(executable, config, [reads] * 2, settings=settings, warmup=0, clocks=40_000, watch_rows=True)


@pytest.mark.parametrize(("apart", "rows"), [(64, 2), (2, 2), (1, 2), (2, 3)], ids=["single", "double", "next", "many"])
@pytest.mark.parametrize("reach", [1, 2])
def test_neighbours_of_hammered_rows_are_refreshed_in_time(apart: int, rows: int, reach: int, executable: Path) -> None:
    measured = hammer(executable, apart=apart, rows=rows, hammer_reach=reach)
    measured.check()
    assert measured.most_neighbour_acts > SETTINGS.hammer_threshold // 2, "it was no hammering"
    assert measured.counters[0]["victims"] >= 2 * reach
    assert measured.counters[1]["victims"] == 0


def test_they_are_among_refreshes_of_all_banks_as_well(executable: Path) -> None:
    measured = hammer(executable, apart=2, rows=2, refresh=Refresh.ALL_BANK)
    measured.check()
    assert measured.counters[0]["victims"] > 0
    assert measured.commands["REF"] > 10


def test_hammering_without_protection_is_caught(build_root: Path) -> None:
    config = replace(CONFIG, hammer_entries=0)
    unprotected = build_channel(config, build_root)
    for apart in (64, 2):
        measured = hammer(unprotected, config=config, apart=apart, rows=2)
        with pytest.raises(SimulationError, match=r"85 activations since row \d+ had one, 84 allowed"):
            measured.check()


def test_a_table_too_small_for_the_settings_is_reported(executable: Path) -> None:
    with pytest.raises(SimulationError, match="too few hammer_entries"):
        hammer(executable, apart=2, rows=9, hammer_window=16, hammer_threshold=8).check()
