"""Random runs of channel and controller: nothing lost, nothing wrong, no rule broken, and nearly everything tried."""

from pathlib import Path

import pytest
from openppu_verif.hbm.coverage import GOAL
from openppu_verif.hbm.soak import CONFIGS, Tally, soak

LEAST_COVERED = 0.9
LEAST_PAIRS = 0.95
"""Of the ordered pairs of commands."""

MOST_MISSING = 3


def of_group(tally: Tally, group: str) -> float:
    """The share of a group's bins that were hit."""
    _, _, rows = tally.coverage.report()
    return next(hit / size for name, hit, size, _ in rows if name == group)  # type: ignore[operator]


def test_random_runs_reach_nearly_all_cases(build_root: Path) -> None:
    tally = soak(CONFIGS["small"], build_root, runs=range(40), clocks=5000)
    assert tally.read + tally.written > 50_000
    assert len(tally.missing()) <= MOST_MISSING, tally.missing()
    share, uncovered, _ = tally.coverage.report()
    assert share >= LEAST_COVERED, uncovered
    assert of_group(tally, "command pair") >= LEAST_PAIRS, uncovered


def test_random_runs_of_a_whole_controller_and_its_software(build_root: Path) -> None:
    tally = soak(CONFIGS["whole"], build_root, runs=range(40), clocks=5000, name="whole")
    assert len(tally.missing()) <= MOST_MISSING, tally.missing()
    share, uncovered, _ = tally.coverage.report()
    assert share >= LEAST_COVERED, uncovered
    for group, least in (("command pair", LEAST_PAIRS), ("software", 1.0), ("fault", 0.7), ("lost command", 0.8)):
        assert of_group(tally, group) >= least, uncovered


def test_random_runs_with_wrong_symbols_and_a_scrubber_return_nothing_wrong(build_root: Path) -> None:
    tally = soak(CONFIGS["symbol"], build_root, runs=range(16), clocks=4000, name="symbol")
    assert len([name for name in tally.wanted if not tally.cases[name]]) <= 1, tally.cases


def test_an_empty_tally_lacks_everything() -> None:
    assert len(Tally().missing()) > 40


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_five_million_random_clocks_reach_all_cases(name: str, build_root: Path) -> None:
    tally = soak(CONFIGS[name], build_root, runs=range(1000, 1250), name=name)
    assert tally.clocks > 5_000_000
    assert not tally.missing()
    share, uncovered, _ = tally.coverage.report()
    assert share >= GOAL, uncovered
