"""The functional coverage counts what a run has tried, and says what is missing."""

from collections.abc import Callable
from dataclasses import fields

import pytest
from openppu.hbm.accounts import EVENTS, IDLE_CAUSES
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu_verif.hbm.coverage import GROUPS, NEVER, HbmCoverage, all_bins
from openppu_verif.hbm.native import Measurement, Pattern

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)


def measured(**values: object) -> Measurement:
    """A run that did nothing but what is given."""
    empty: dict[str, Callable[[], object]] = {"int": int, "float": float}
    nothing = {each.name: empty.get(str(each.type), dict)() for each in fields(Measurement)}
    counters = dict.fromkeys((*EVENTS, *IDLE_CAUSES), 0) | {"row_hits": 5}
    given = {"commands": dict.fromkeys(("REFSB", "REF", "PDE", "SRE"), 0), "owed": (-1.0, 20.0), "counters": [counters]}
    return Measurement(**(nothing | given | values))


def test_nothing_is_covered_at_first() -> None:
    share, missing, rows = HbmCoverage().report()
    assert share == 0
    assert missing == all_bins()
    assert [row[0] for row in rows] == list(GROUPS)
    assert not NEVER & set(missing)
    assert len(set(missing)) == len(missing) > 150


def test_a_run_hits_what_it_did_and_nothing_else() -> None:
    coverage = HbmCoverage()
    pattern = Pattern(order="random", lengths=(1, 128), reads=0.0, stall=0.1)
    commands = {"REFSB": 3, "REF": 0, "PDE": 0, "SRE": 1}
    run = measured(at_limit={"tRC": 2, "tRP": 0}, commands=commands, refused=1)
    coverage.sample(CONFIG, Settings(), [pattern], [(5, "temperature", [6])], ["temperature"], run)
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
    }
    assert set(coverage.hits) <= set(all_bins())
    assert coverage.report()[0] == pytest.approx(len(coverage.hits) / len(all_bins()))
