"""The record of a run, and the picture drawn from it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openppu_sim.errors import UserError
from openppu_sim.report.run import CAUSES, TileRun, count_causes, count_mismatches
from openppu_sim.report.timeline import COLOURS, cause_shares, plot_utilisation

TIMELINE = np.repeat([CAUSES.index(cause) for cause in ("fill", "compute", "drain")], [10, 80, 10]).astype(np.uint8)


def make_run(**changes: Any) -> TileRun:
    values: dict[str, Any] = dict(
        name="hidden",
        format="int8",
        m=10,
        k=8,
        n=8,
        cycles=100,
        predicted_cycles=100,
        bound_cycles=80,
        mismatches=0,
        result=np.zeros((10, 8), np.int32),
        causes={"fill": 10, "compute": 80, "drain": 10},
        timeline=TIMELINE,
    )
    return TileRun(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"result": np.zeros((8, 10), np.int32)}, r"shape is \(8, 10\), not \(10, 8\)"),
        ({"causes": {"sleep": 100}}, "unknown causes"),
        ({"causes": {"compute": 99}}, "add up to 99 of 100"),
        ({"timeline": TIMELINE[1:]}, "holds 99 of 100"),
        ({"timeline": TIMELINE + len(CAUSES)}, "timeline holds cause"),
        ({"causes": {"compute": 90, "drain": 10}}, "the timeline counts .* the causes say"),
        ({"cycles": 0}, "0 cycles"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_run(**changes)


def test_causes_are_counted_from_a_timeline() -> None:
    assert count_causes(TIMELINE) == {"compute": 80, "fill": 10, "drain": 10}


def test_figures_of_a_run() -> None:
    run = make_run()
    assert run.of_bound == 0.8
    assert run.utilisation(8, 8) == pytest.approx(0.1)
    assert run.failures() == []
    assert run.record() == {
        "name": "hidden",
        "format": "int8",
        "m": 10,
        "k": 8,
        "n": 8,
        "cycles": 100,
        "predicted_cycles": 100,
        "bound_cycles": 80,
        "mismatches": 0,
        "causes": {"fill": 10, "compute": 80, "drain": 10},
    }


def test_each_broken_promise_is_one_line() -> None:
    assert make_run(mismatches=3, predicted_cycles=99).failures() == [
        "hidden (int8, 10x8x8): 3 of 80 elements differ from the numpy reference",
        "hidden (int8, 10x8x8): the RTL took 100 cycles, the cycle model says 99",
    ]


def test_mismatches_are_counted_on_bits() -> None:
    zeros = np.array([[0.0, -0.0, np.nan, 1.0]], np.float32)
    assert count_mismatches(zeros, zeros.view(np.uint32)) == 0
    assert count_mismatches(zeros, np.array([[0.0, 0.0, np.nan, 1.0]], np.float32)) == 1
    with pytest.raises(ValueError, match="cannot compare"):
        count_mismatches(zeros, zeros.T)
    with pytest.raises(ValueError, match="cannot compare"):
        count_mismatches(zeros, zeros.astype(np.float64))


@pytest.mark.parametrize("steps", [1, 7, 10, 100, 1000])
def test_shares_keep_every_cycle(steps: int) -> None:
    edges, shares = cause_shares(make_run(), steps)
    assert len(edges) == min(steps, 100) + 1
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    cycles = shares @ np.diff(edges)
    np.testing.assert_allclose(cycles, np.bincount(TIMELINE, minlength=len(CAUSES)))


def test_a_run_without_a_timeline_shows_its_totals_or_nothing() -> None:
    totals = replace(make_run(), timeline=np.zeros(0, np.uint8))
    edges, shares = cause_shares(totals)
    assert edges.tolist() == [0, 100]
    assert shares[CAUSES.index("compute"), 0] == 0.8
    assert cause_shares(replace(totals, causes={}))[1].shape == (len(CAUSES), 0)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_picture_is_a_png(tmp_path: Path, count: int) -> None:
    bare = make_run(timeline=np.zeros(0, np.uint8), causes={})
    runs = [make_run(), replace(make_run(), timeline=np.zeros(0, np.uint8)), bare, make_run()]
    path = plot_utilisation(tmp_path / "new" / "u.png", runs[:count], title="test")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_unwritable_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*u\.png"):
        plot_utilisation(tmp_path / "file" / "u.png", [make_run()], title="test")


def test_every_cause_has_its_own_colour() -> None:
    assert tuple(COLOURS) == CAUSES
    assert len(set(COLOURS.values())) == len(CAUSES)
