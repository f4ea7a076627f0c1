"""No entry starves: the traffic that keeps one off for longest, beside what `openppu.hbm.bounds` promises."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openppu.hbm.bounds import entry_wait, entry_wait_beside_refreshes, served_wait
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.device import Organisation, device, organisation
from openppu.hbm.settings import Page, Settings
from scheduler_pair import Run, run_pair

TIMING = device("HBM2E_3200").timing
OFF = 65535
"""As an age limit: nothing gets so old here."""


class FewBanks(ChannelConfig):
    """Four banks a pseudo-channel, so that it is built quickly."""

    @property
    def organisation(self) -> Organisation:
        """As no stack has."""
        return replace(organisation(4), banks_per_group=1)


class FewBanksOfTwoSids(ChannelConfig):
    """Four banks in each of two SIDs."""

    @property
    def organisation(self) -> Organisation:
        """As no stack has."""
        return replace(organisation(4), banks_per_group=1, sids=2)


SIZES = {"height": 4, "reads": 8, "writes": 8, "slots": 8}


def granule(*, write: bool, bank: int, row: int, column: int = 0) -> dict[str, Any]:
    """An entry of eight accesses."""
    place = {"column": 8 * column, "bank": bank, "row": row}
    return {"write": write, "masked": False, "place": place, "last": GRANULE - 1, "port": 0, "slot": 0}


def waits(run: Run, given: list[dict[str, Any]]) -> dict[tuple[int, int], int]:
    """Of each row that one entry alone is for, clocks from its arrival to its last access."""
    taken = {(e["place"]["bank"], e["place"]["row"]): clock for clock, _, e in run.taken}
    last = {(bank, row): clock for clock, _, _, bank, row, _ in run.accesses}
    places = [(e["place"]["bank"], e["place"]["row"]) for e in given]
    return {place: last[place] - taken[place] for place in places if places.count(place) == 1}


def played(given: list[dict[str, Any]], settings: Settings, config: ChannelConfig, build_root: Path) -> Run:
    """A run of one pseudo-channel, all of whose commands were legal."""
    run = run_pair(config, settings, [given, []], clocks=20_000, seed=0, build_root=build_root)
    assert run.checker.total == 0, run.violations()
    assert len(run.accesses) == GRANULE * len(given)
    return run


@pytest.mark.parametrize("write", [pytest.param(False, marks=pytest.mark.slow), True])
def test_accesses_to_another_sid_do_not_keep_one_off_for_ever(write: bool, build_root: Path) -> None:
    """They come every clock, and tCCDR is three."""
    limit = 60
    stream = [granule(write=write, bank=4 + number % 4, row=0, column=number // 4 % 4) for number in range(30)]
    given = [*stream[:6], granule(write=write, bank=0, row=1), *stream[6:]]
    timing = replace(TIMING, tCCDR=6)
    bound = limit + served_wait(timing)

    def wait(age_limit: int) -> int:
        settings = Settings(timing=timing, age_limit=age_limit, page=Page.OPEN, refresh_enable=False, write_low=0)
        return waits(played(given, settings, FewBanksOfTwoSids(**SIZES), build_root), given)[0, 1]

    assert limit // 2 < wait(limit) <= bound
    assert wait(OFF) > bound, "the stream kept nobody off"


def longest_wait_for_one_bank(settings: Settings, build_root: Path, *, entries: int) -> int:
    """Full queues of reads and writes, each entry for a row of its own of one bank, so that turns are all they have."""
    depth = SIZES["reads"]
    given = [granule(write=number % 2 == 0, bank=0, row=number) for number in range(entries)]
    settings = replace(settings, page=Page.OPEN, write_high=depth - 1, write_low=0)
    return max(waits(played(given, settings, FewBanks(**SIZES), build_root), given).values())


def test_entries_that_all_want_one_bank_wait_long_but_no_longer_than_the_bound(build_root: Path) -> None:
    settings = Settings(timing=TIMING, age_limit=16, refresh_enable=False)
    longest = longest_wait_for_one_bank(settings, build_root, entries=24)
    bound = entry_wait(TIMING, entries=SIZES["reads"], age_limit=16)
    assert bound * 0.3 <= longest <= bound


@pytest.mark.slow
def test_refreshes_of_that_bank_add_to_the_longest_wait_but_no_more_than_the_bound(build_root: Path) -> None:
    """It comes when four tREFI are owed; the bound counts with eight, so it is far off."""
    timing = replace(TIMING, tREFI=1200)
    longest = longest_wait_for_one_bank(Settings(timing=timing, age_limit=16), build_root, entries=80)
    calm = longest_wait_for_one_bank(
        Settings(timing=timing, age_limit=16, refresh_enable=False), build_root, entries=24
    )
    bound = entry_wait_beside_refreshes(timing, entries=SIZES["reads"], age_limit=16, banks=4)
    assert bound is not None
    assert calm + timing.tRFCSB // 2 < longest <= bound


def test_without_an_age_limit_reads_of_an_open_row_would_keep_a_write_off(build_root: Path) -> None:
    """For as long as they come; `test_hbm_scheduler` has the same traffic with a limit."""
    reads = [granule(write=False, bank=0, row=0, column=number % 4) for number in range(40)]
    given = [*reads[:4], granule(write=True, bank=0, row=1), *reads[4:]]
    settings = Settings(timing=TIMING, age_limit=OFF, page=Page.OPEN, refresh_enable=False, write_high=8)
    wait = waits(played(given, settings, FewBanks(**SIZES), build_root), given)[0, 1]
    assert wait > 100 + served_wait(TIMING)
