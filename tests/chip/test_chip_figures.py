"""What the chip's benchmark measures with: products on a chip of preset `tiny`, slow memory, rows of a file."""

from itertools import pairwise

import pytest
from amaranth.sim import Simulator
from openppu.config import load
from openppu.hbm.status import PowerUp
from openppu_verif.chip import figures
from openppu_verif.chip.limited_chip import LimitedChip, Pace
from openppu_verif.chip.native import Session
from openppu_verif.chip.product_runs import ProductBench, make_job

TINY = load("tiny")


@pytest.mark.parametrize("rings_on_chip", [False, True])
def test_products_are_counted(build_root, rings_on_chip):
    with Session(TINY, build_root) as session:
        bench = ProductBench(session, TINY, rings_on_chip=rings_on_chip, log2=4)
        for shape, fmt in (((12, 40, 20), "int8"), ((9, 24, 16), "bf16")):
            done = bench.run(make_job(*shape, fmt), record=True)
            times = [time for record in done.records for time in (record.begun, record.ended)]
            assert done.plan.bound < max(times) - min(times) <= done.cycles
            assert done.cycles < 2 * done.plan.cycles


def moves(interval: int, wanted, cycles: int = 200):
    """Which of two streams moved in each cycle, if they want to as ``wanted`` says and the other side is ready."""
    pace = Pace(interval)
    found = []

    async def bench(ctx):
        for cycle in range(cycles):
            ctx.set(pace.wants, wanted(cycle))
            opens = ctx.get(pace.opens) & wanted(cycle)
            ctx.set(pace.moved, opens != 0)
            found.append(opens)
            await ctx.tick()

    simulator = Simulator(pace)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("interval", [2, 8])
def test_slow_memory_moves_a_word_each_interval(interval):
    for wanted in (1, 2, 3):
        found = moves(interval, lambda cycle, wanted=wanted: wanted)
        times = [cycle for cycle, moved in enumerate(found) if moved]
        assert {after - before for before, after in pairwise(times)} == {interval}
        of = [found[time] for time in times]
        assert of == [wanted] * len(of) if wanted != 3 else set(pairwise(of)) == {(1, 2), (2, 1)}


def test_slow_memory_has_one_port():
    with pytest.raises(ValueError, match="one port of one channel"):
        LimitedChip(load("demo"), 8, start=PowerUp(), reset_clocks=8)


def test_a_row_that_is_not_there_is_told(capsys, tmp_path):
    with pytest.raises(figures.UserError, match=r"^no row of the benchmark contains 'nothing'$"):
        figures.run(tmp_path, ["nothing"])


def test_rows_have_names_and_goals():
    names = [each.name for each in figures.PRODUCTS]
    assert len(names) == len(set(names)) == 12
    assert {each.chip for each in figures.PRODUCTS} == set(figures.CHIPS)
    for changes in figures.CHIPS.values():
        load("demo", list(changes))
