"""The log counts every record, keeps the first or the first that is worse, and forgets when told."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.config import ChannelConfig
from openppu.hbm.error_log import ErrorLog

CONFIG = ChannelConfig()
KINDS = ("corrected", "uncorrectable", "lost")


def simulate(dut: ErrorLog, bench: Any) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("seed", range(6))
def test_counts_and_the_record_that_is_kept(seed: int) -> None:
    dut, chance = ErrorLog(CONFIG), random.Random(seed)

    async def bench(ctx: Any) -> None:
        counts, kept = dict.fromkeys(KINDS, 0), None
        for clock in range(200):
            kind = chance.choices(range(4), (5, 1, 1, 1))[0]
            record = {"valid": chance.random() < 0.3, "syndromes": chance.getrandbits(32)}
            record |= {"place": {"row": chance.randrange(1 << 15), "bank": chance.randrange(32), "column": clock % 32}}
            record |= {"corrected": kind in (0, 3), "uncorrectable": kind in (1, 3), "lost": kind == 2}
            clear = chance.random() < 0.04
            ctx.set(dut.record, record)
            ctx.set(dut.clear, clear)
            await ctx.tick()
            if clear:
                counts, kept = dict.fromkeys(KINDS, 0), None
            if record["valid"]:
                for name in KINDS:
                    counts[name] += record[name]
                bad = record["uncorrectable"] or record["lost"]
                if kept is None or (bad and not (kept["uncorrectable"] or kept["lost"])):
                    kept = record
            where = f"seed {seed}, clock {clock}"
            log = ctx.get(dut.log)
            assert {name: log[name] for name in KINDS} == counts, where
            assert log.record.valid == (kept is not None), where
            if kept is not None:
                shown = {name: log.record[name] for name in ("syndromes", *KINDS)}
                assert shown == {name: kept[name] for name in shown}, where
                place = log.record.place
                assert {name: place[name] for name in ("row", "bank", "column")} == kept["place"], where

    simulate(dut, bench)


def test_a_full_count_stays() -> None:
    dut = ErrorLog(CONFIG)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.log.corrected, (1 << 32) - 2)
        ctx.set(dut.record, {"valid": 1, "corrected": 1})
        for expected in (-1, -1, -1):
            await ctx.tick()
            assert ctx.get(dut.log.corrected) == expected % (1 << 32)

    simulate(dut, bench)
