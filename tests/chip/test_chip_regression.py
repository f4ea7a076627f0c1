"""The runs that `make mutation MUTATE=chip` breaks the chip under, on the chip as it is."""

from pathlib import Path

import pytest
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_verif.chip import trace_lock
from openppu_verif.chip.regression import Case, cases, play

CASES = {case.label: case for case in cases()}
LONG = ("random 8 nothing",)


@pytest.mark.parametrize(
    "label", [pytest.param(label, marks=pytest.mark.slow) if label in LONG else label for label in CASES]
)
def test_the_chip_does_what_the_references_say_when_it_did_before(label: str, build_root: Path) -> None:
    case = CASES[label]
    played = play(case, build_root)
    assert played.problem is None
    changed = trace_lock.difference(case, played, trace_lock.load())
    assert changed is None, f"{changed}; if that is meant, write the lock anew: {trace_lock.COMMAND}"


def test_the_lock_has_every_case_and_no_other() -> None:
    assert set(trace_lock.load()) == set(CASES)


def test_what_takes_too_many_clocks_is_told(build_root: Path) -> None:
    def wait(backend: Driver) -> None:
        backend.hardware.run(2_000)

    played = play(Case(label="waits", run=wait, clocks=1_000), build_root)
    assert played.problem is not None
    assert "there is work left after 1000 clocks" in played.problem


def test_whatever_a_case_raises_is_told(build_root: Path) -> None:
    def fail(backend: Driver) -> None:
        raise SimulationError("no good")

    assert play(Case(label="fails", run=fail, clocks=10_000), build_root).problem == "SimulationError: no good"
