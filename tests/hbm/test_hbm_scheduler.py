"""Both schedulers on their row bus: every command legal, every access made once, in order, every clock accounted."""

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from openppu.hbm.accounts import IDLE_CAUSES, QUEUES
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Page, Refresh, Settings
from scheduler_pair import Run, run_pair

CONFIG = ChannelConfig(height=4, reads=8, writes=8)
CLOCKS = 3000
ENTRIES = 40


def traffic(seed: int, *, banks: int, rows: int, writes: float, masked: float, most: int = 8) -> list[dict[str, Any]]:
    """Entries of random places among so many banks and rows."""
    chance = random.Random(seed)
    entries = []
    for _ in range(ENTRIES):
        first = chance.randrange(8)
        write = chance.random() < writes
        place = {
            "column": 8 * chance.randrange(2) + first,
            "bank": chance.randrange(banks) * 5 % 16,
            "row": chance.randrange(rows),
        }
        last = chance.randrange(min(most, 8 - first))
        entries.append(
            {
                "write": write,
                "masked": write and chance.random() < masked,
                "place": place,
                "last": last,
                "port": 0,
                "slot": chance.randrange(64),
            }
        )
    return entries


def check(run: Run, entries: list[list[dict[str, Any]]], where: str) -> None:
    """All that must hold after a run that served all entries."""
    assert run.checker.total == 0, f"{where}\n{run.violations()}"
    for pc in range(2):
        assert len([1 for _, taken_by, _ in run.taken if taken_by == pc]) == len(entries[pc]), (
            f"{where}: PC {pc} is stuck"
        )
        # Of each column, the order of reads and writes is that of the entries.
        wanted, seen = defaultdict(str), defaultdict(str)
        for _, taken_by, entry in run.taken:
            if taken_by == pc:
                place = entry["place"]
                for column in range(place["column"], place["column"] + entry["last"] + 1):
                    kind = ("RW" if entry["masked"] else "W") if entry["write"] else "R"
                    wanted[place["bank"], place["row"], column] += kind
        for _, slot, write, bank, row, column in run.accesses:
            if slot == pc:
                seen[bank, row, column] += "W" if write else "R"
        assert seen == wanted, f"{where}: PC {pc} made other accesses than its entries ask for"
        counters = run.counters[pc]
        busy = counters["reads"] + counters["writes"]
        assert busy == sum(map(len, wanted.values())), f"{where}: PC {pc}: {counters}"
        assert busy == sum(counters[name] for name in ("row_hits", "row_misses", "row_conflicts")), (
            f"{where}: {counters}"
        )
        # Each entry waits for a clock at least, and all have left.
        queued = [counters[name] for name in QUEUES]
        count = [sum(entry["write"] == write for entry in entries[pc]) for write in (False, True)]
        count[0] += sum(entry["masked"] for entry in entries[pc])
        assert all(a >= b for a, b in zip(queued, count, strict=True)), f"{where}: {queued} of {count} entries"
        assert run.queued[pc] == queued, f"{where}: PC {pc}: an entry is counted that has left"
        idle = sum(counters[name] for name in IDLE_CAUSES)
        assert busy + idle == counters["clocks"], f"{where}: PC {pc}: {counters}"


@pytest.mark.parametrize(
    ("name", "settings", "kind"),
    [
        ("few rows", {}, {"banks": 3, "rows": 2, "writes": 0.5, "masked": 0.3}),
        ("one bank, open pages", {"page": Page.OPEN}, {"banks": 1, "rows": 3, "writes": 0.3, "masked": 0.5, "most": 2}),
        ("many banks, closed pages", {"page": Page.CLOSED}, {"banks": 16, "rows": 64, "writes": 0.4, "masked": 0.0}),
        ("whole refresh", {"refresh": Refresh.ALL_BANK}, {"banks": 8, "rows": 2, "writes": 0.5, "masked": 0.1}),
    ],
)
def test_commands_are_legal_and_every_access_is_made_once_in_order(
    name: str, settings: dict[str, Any], kind: dict[str, Any], build_root: Path
) -> None:
    seed = 1
    entries = [traffic(seed + 10 * pc, **kind) for pc in range(2)]
    values = Settings(write_high=6, write_low=2, age_limit=200, **settings)
    run = run_pair(CONFIG, values, entries, clocks=CLOCKS, seed=seed, build_root=build_root)
    check(run, entries, f"{name}, seed {seed}")


def entry(*, write: bool, bank: int, row: int, column: int = 0) -> dict[str, Any]:
    """A whole granule."""
    place = {"column": column, "bank": bank, "row": row}
    return {"write": write, "masked": False, "place": place, "last": 7, "port": 0, "slot": 0}


@pytest.mark.parametrize(("write", "bank"), [(False, 0), (True, 0), (True, 1)])
def test_an_old_entry_is_served_though_younger_ones_would_be_quicker(write: bool, bank: int, build_root: Path) -> None:
    limit, slack = 100, 80
    others = [entry(write=False, bank=0, row=0, column=8 * (place % 4)) for place in range(40)]
    entries = [[*others[:6], entry(write=write, bank=bank, row=1), *others[6:]], []]
    settings = Settings(write_high=6, write_low=0, age_limit=limit, page=Page.OPEN, refresh_enable=False)
    run = run_pair(CONFIG, settings, entries, clocks=CLOCKS, seed=0, build_root=build_root)
    where = f"write {write}, bank {bank}"
    check(run, entries, where)
    taken = next(clock for clock, _, entry in run.taken if entry["place"]["row"] == 1)
    served = [clock for clock, _, _, of, row, _ in run.accesses if (of, row) == (bank, 1)]
    assert len(served) == 8, where
    assert served[-1] - taken <= limit + slack, f"{where}: {served[-1] - taken} clocks"
    assert served[-1] - taken >= limit // 2, f"{where}: {served[-1] - taken} clocks: nothing was quicker"


def test_writes_of_one_granule_go_one_after_the_other_without_a_pause(build_root: Path) -> None:
    """But those with bytes to merge one at a time, and a read waits for all."""
    chance = random.Random(1)
    columns = [chance.randrange(8) for _ in range(24)]
    writes = [entry(write=True, bank=0, row=1, column=column) | {"last": 0} for column in columns]
    merging = writes[-1] | {"masked": True}
    entries = [[*writes, merging, writes[0], entry(write=False, bank=0, row=1)], []]
    run = run_pair(CONFIG, Settings(), entries, clocks=CLOCKS, seed=0, build_root=build_root)
    check(run, entries, "one granule")
    stores = [(clock, column) for clock, _, write, _, _, column in run.accesses if write]
    assert [column for _, column in stores] == [*columns, columns[-1], columns[0]]
    # tCCDL is two clocks.
    assert stores[23][0] - stores[0][0] <= 2 * 24 + 4, stores
    assert min(clock for clock, _, write, _, _, _ in run.accesses[-8:] if not write) > stores[-1][0]
