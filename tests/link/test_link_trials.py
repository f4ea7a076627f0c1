"""The runs that the mutation check asks, on a port as it is; and that they ask for enough."""

from dataclasses import replace
from pathlib import Path

import pytest
from openppu.config import load
from openppu_verif.link.native import DARK, Faults, build_port
from openppu_verif.link.trial import Trial, play
from openppu_verif.link.trials import trials

NARROW = load("tiny").link
TRIALS = {trial.label: trial for trial in trials(NARROW)}


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_port(NARROW, build_root)


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_each_run_comes_to_what_it_must(slow: bool, executable: Path) -> None:
    found = {label: play(executable, NARROW, trial) for label, trial in TRIALS.items() if trial.slow is slow}
    assert {label: complaint for label, complaint in found.items() if complaint} == {}
    assert len(found) > 60


def changed(label: str, **arguments: object) -> Trial:
    trial = TRIALS[label]
    return replace(trial, arguments={**trial.arguments, **arguments})


@pytest.mark.parametrize(
    ("label", "change", "complaint"),
    [
        ("stream", {"faults": (Faults(bit_errors=1e-5), Faults())}, "payload|clean lanes"),
        ("latency", {"faults": (Faults(bit_errors=1e-4), Faults())}, "latency"),
        ("crossed", {"lanes": None}, "lanes"),
        ("lane 0 of b dies", {"events": [(3_000, "life", ["a", 0, DARK])]}, "widths"),
        ("retrain of a", {"events": []}, "trainings"),
        ("sleep of a", {"events": []}, "did not sleep"),
        ("hot reset of a", {"events": []}, "resets"),
        ("no signal", {"events": []}, "ACTIVE"),
        ("lane 0 of a is forbidden", {"pins": []}, "ACTIVE"),
        ("test sequence PRBS31, wrong bits", {"faults": (Faults(), Faults(bit_errors=1e-3))}, "errors"),
        ("far loopback of b", {"pins": [("a", "control", 1)]}, "DISABLED"),
    ],
)
def test_what_is_not_so_is_told(label: str, change: dict[str, object], complaint: str, executable: Path) -> None:
    found = play(executable, NARROW, changed(label, **change))
    assert found is not None
    assert any(word in found for word in complaint.split("|")), found
