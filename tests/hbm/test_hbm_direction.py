"""When the data bus turns round."""

from itertools import groupby
from typing import Any

from amaranth.sim import Simulator
from openppu.hbm.direction import TURN, Direction
from openppu.hbm.settings import Settings

HIGH, LOW = 20, 4
READS, WRITES = 1, 2


def follow(*steps: tuple[dict[str, int], str]) -> None:
    """Set inputs, and after so many clocks expect what ``target`` and ``writing`` are: a letter each, R or W."""
    direction = Direction()

    async def bench(ctx: Any) -> None:
        ctx.set(direction.settings, Settings(write_high=HIGH, write_low=LOW).values())
        for number, (inputs, wanted) in enumerate(steps):
            for name, value in inputs.items():
                ctx.set(getattr(direction, name), value)
            await ctx.tick().repeat(2)
            found = "".join("RW"[ctx.get(value)] for value in (direction.target, direction.writing))
            assert found == wanted, f"step {number}, {inputs}: {found} instead of {wanted}"

    simulator = Simulator(direction)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


def test_batches_go_from_the_high_mark_to_the_low_one() -> None:
    busy = {"reads": 1, "writes": 1, "hits": READS | WRITES, "many_hits": READS | WRITES}
    follow(
        ({**busy, "level": HIGH - 1}, "RR"),
        ({"level": HIGH}, "WW"),
        ({"level": LOW + 1}, "WW"),
        ({"level": LOW}, "RR"),
        ({"full": 1}, "WW"),
    )


def test_writes_go_when_no_read_waits_and_reads_when_no_write_does() -> None:
    follow(
        ({"writes": 1, "level": 1}, "WW"),
        ({"reads": 1, "writes": 0, "level": 0}, "RR"),
        ({"writes": 1, "level": 1}, "RR"),
        ({"reads": 0}, "WW"),
    )


def test_bus_follows_the_target_when_its_own_rows_are_used_up_or_many_others_are_open() -> None:
    full = {"reads": 1, "writes": 1, "level": HIGH}
    follow(
        ({**full, "hits": READS}, "WR"),
        ({"hits": READS | WRITES}, "WR"),
        ({"many_hits": WRITES}, "WW"),
        ({"level": 0, "many_hits": WRITES}, "RW"),
        ({"hits": READS}, "RR"),
        ({"level": HIGH, "hits": READS, "many_hits": 0}, "WR"),
        ({"hits": 0}, "WW"),
    )


def test_urgent_work_turns_it_and_keeps_it() -> None:
    busy = {"reads": 1, "writes": 1, "level": LOW + 1, "hits": READS | WRITES}
    follow(
        ({**busy, "urgent": WRITES}, "WW"),
        ({"level": LOW}, "WW"),
        ({"urgent": WRITES | READS}, "WW"),
        ({"urgent": READS}, "RR"),
        ({"level": HIGH}, "RR"),
        ({"urgent": 0, "many_hits": WRITES}, "WW"),
    )


def test_both_urgent_take_turns() -> None:
    busy = {"reads": 1, "writes": 1, "level": 1, "hits": READS | WRITES, "urgent": READS | WRITES}
    direction = Direction()
    targets = []

    async def bench(ctx: Any) -> None:
        ctx.set(direction.settings, Settings().values())
        for name, value in {**busy, "head_leaves": READS | WRITES}.items():
            ctx.set(getattr(direction, name), value)
        for _ in range(6 * TURN):
            targets.append(ctx.get(direction.target))
            await ctx.tick()

    simulator = Simulator(direction)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert [len(list(run)) for _, run in groupby(targets)][:4] == 4 * [TURN + 1], targets
