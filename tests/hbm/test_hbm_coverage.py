"""The functional coverage counts what a run has tried, and says what is missing."""

from collections.abc import Callable
from dataclasses import fields

import pytest
from openppu.hbm.accounts import EVENTS, IDLE_CAUSES
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu_verif.hbm.coverage import GROUPS, NEVER, HbmCoverage, all_bins
from openppu_verif.hbm.native import Event, Measurement, Pattern
from openppu_verif.hbm.scenarios import Scenario

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
LARGER = ChannelConfig(height=8, ecc="symbol", retry=True)


def measured(**values: object) -> Measurement:
    """A run that did nothing but what is given."""
    empty: dict[str, Callable[[], object]] = {"int": int, "float": float}
    nothing = {each.name: empty.get(str(each.type), dict)() for each in fields(Measurement)}
    counters = dict.fromkeys((*EVENTS, *IDLE_CAUSES), 0) | {"row_hits": 5}
    given = {"commands": dict.fromkeys(("REFSB", "REF", "PDE", "SRE"), 0), "owed": (-1.0, 20.0), "counters": [counters]}
    return Measurement(**(nothing | given | values))


def chosen(patterns: list[Pattern], events: list[Event], cases: list[str]) -> Scenario:
    """A run with the settings after reset."""
    return Scenario(settings=Settings(), patterns=patterns, events=events, cases=cases)


def test_nothing_is_covered_at_first() -> None:
    share, missing, rows = HbmCoverage(CONFIG).report()
    assert share == 0
    assert missing == all_bins(CONFIG)
    assert [row[0] for row in rows] == [*GROUPS, "command pair", "fault"]
    assert not NEVER & set(missing)
    assert len(set(missing)) == len(missing) > 350


def test_bins_depend_on_what_is_built() -> None:
    plain, larger = set(all_bins(CONFIG)), set(all_bins(LARGER, whole=True))
    assert {each[0] for each in larger} - {each[0] for each in plain} == {"lost command", "software"}
    assert ("command pair", "RD", "WRA", "other SID") in larger - plain
    assert ("fault", "byte lane", "poisoned") in larger - plain
    assert ("fault", "two bits", "poisoned") in plain - larger


def test_a_run_hits_what_it_did_and_nothing_else() -> None:
    coverage = HbmCoverage(CONFIG)
    pattern = Pattern(order="random", lengths=(1, 128), reads=0.0, stall=0.1)
    commands = {"REFSB": 3, "REF": 0, "PDE": 0, "SRE": 1}
    pairs = {"ACT, RD, same bank": 7, "PREA, SRE, next": 1}
    run = measured(at_limit={"tRC": 2, "tRP": 0}, commands=commands, refused=1, pairs=pairs, error_beats=2, unclean=1)
    coverage.sample(chosen([pattern], [(5, "temperature", [6])], ["temperature", "two bits"]), run)
    assert set(coverage.hits) == {
        ("rule at its limit", "tRC"),
        ("settings", "interleaved", "plain", "adaptive", "single_bank"),
        ("requests", "1 access", "random", "writes"),
        ("requests", "the longest", "random", "writes"),
        ("masks", "1 access", "whole words"),
        ("masks", "the longest", "whole words"),
        ("held back", "requests and words", "writes"),
        ("tags", "one", "any number"),
        ("row", "hits", "adaptive", "interleaved"),
        ("refresh", "single_bank", "3"),
        ("refresh", "single_bank", "6"),
        ("refreshes owed", "single_bank", "ahead"),
        ("refreshes owed", "single_bank", "postponed"),
        ("rest", "self_refresh", "adaptive"),
        ("refused", "beyond the capacity"),
        ("event", "temperature", "adaptive"),
        ("command pair", "ACT", "RD", "same bank"),
        ("command pair", "PREA", "SRE", "next"),
        ("fault", "two bits", "answered with error"),
        ("fault", "two bits", "poisoned"),
    }
    assert set(coverage.hits) <= set(all_bins(CONFIG))
    assert coverage.report()[0] == pytest.approx(len(coverage.hits) / len(all_bins(CONFIG)))
