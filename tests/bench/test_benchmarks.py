"""The benchmarks: what they run is right, their rows are complete, and the model alone already meets their goals."""

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from openppu.config import TileConfig
from openppu_sim.bench import benchmarks, gemm, simulation
from openppu_sim.cycles.scalesim import compare
from openppu_sim.cycles.tile_fast import predict
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json

SMALL = TileConfig(rows=4, columns=4, formats=("int8",), latency=1, accumulators=64)


def test_every_benchmark_can_be_run_and_says_what_it_measures() -> None:
    known = benchmarks()
    assert {"gemm", "simulation"} <= set(known)
    for module in known.values():
        assert callable(module.run)
        assert module.__doc__


def test_a_gemm_row_comes_from_the_rtl_and_is_complete(build_root: Path, tmp_path: Path) -> None:
    (one,) = compare([(5, 9, 11)], [SMALL])
    row = gemm._row(one, build_root)
    benchmark_json("gemm", [row], folder=tmp_path)
    assert {"m", "k", "n", "format", "source", "cycles", "bound_cycles", "scalesim_ws", "scalesim_os"} <= set(row)
    assert row["source"] == "rtl"
    assert row["cycles"] == one.cycles
    assert row["value"] == pytest.approx(100 * one.bound_cycles / one.cycles, abs=1e-3)


def test_gemm_fails_when_the_rtl_and_the_model_disagree(build_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = gemm.run_matmul

    def wrong(name: str, a: np.ndarray, b: np.ndarray, fmt: str, **options: object) -> object:
        result = right(name, a, b, fmt, **options)  # type: ignore[arg-type]
        object.__setattr__(result, "predicted_cycles", result.predicted_cycles + 1)
        return result

    monkeypatch.setattr(gemm, "run_matmul", wrong)
    (one,) = compare([(5, 9, 11)], [SMALL])
    with pytest.raises(SimulationError, match=r"the cycle model says .*repeat with `openppu bench gemm` \(seed 0\)"):
        gemm._row(one, build_root)


def test_the_model_meets_the_gemm_goals_and_beats_scalesim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "_measured", lambda one, build_root: one.cycles)
    rows = gemm.run(Path("nowhere"))
    assert len(rows) == 24
    assert {row["source"] for row in rows} == {"rtl", "model"}
    goals = [row for row in rows if "goal" in row]
    assert [row["goal"] for row in goals] == [97.0, 99.5, 97.0, 99.5]
    for row in goals:
        assert meets_goal(row), row
    for row in rows:
        allowance = (row["rows"] - 1) * (row["latency"] - 1)
        assert row["cycles"] <= row["scalesim_ws"] + allowance, row


@pytest.mark.parametrize("fmt", ["int8", "bf16"])
@pytest.mark.parametrize(("size", "cycles"), simulation.CYCLES.items())
def test_the_speed_is_measured_on_a_tile_that_is_always_busy(size: int, cycles: int, fmt: str) -> None:
    tile = simulation.busy_tile(size, fmt)
    workload = simulation.busy_workload(tile, cycles)
    report = predict(workload.commands, tile)
    assert report.rows == pytest.approx(cycles, rel=0.05)
    assert report.rows >= 0.99 * report.cycles
    assert len(np.unique(workload.activations)) > 100


def test_a_small_simulation_gives_complete_rows(
    build_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "fresh_folder", nullcontext)
    tile = TileConfig(rows=2, columns=2, formats=("int8",), latency=1, accumulators=8)
    rows = simulation.measure(tile, 4000, build_root)
    benchmark_json("simulation", rows, folder=tmp_path)
    speed, work, build, processor, memory = (row["value"] for row in rows)
    assert [row["unit"] for row in rows] == ["cycles/s", "multiply-accumulates/s", "s", "s", "MiB"]
    assert work == pytest.approx(4 * speed, rel=0.05)
    assert 0 < processor < 2.5 * build + 1
    assert 1 < memory < 50


def test_a_measured_build_starts_from_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCACHE_DISABLE", "before")
    with simulation.fresh_folder(tmp_path / "build") as folder, simulation.without_compiler_cache():
        assert folder.parent == tmp_path / "build"
        assert list(folder.iterdir()) == []
        assert os.environ["CCACHE_DISABLE"] == "1"
        (folder / "models").mkdir()
    assert list((tmp_path / "build").iterdir()) == []
    assert os.environ["CCACHE_DISABLE"] == "before"
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be written: .*; choose another"):
        simulation.fresh_folder(tmp_path / "file").__enter__()


ROWS = [
    {"name": "one", "value": 2.5, "unit": "s", "goal": 3, "better": "lower", "peer": "theirs"},
    {"name": "two", "value": 1000, "unit": "cycles/s", "goal": 2000, "better": "higher"},
    {"name": "three", "value": 1, "unit": "s", "better": "lower"},
]


def test_a_table_shows_goals_peers_and_what_is_met() -> None:
    headers, lines = table(simulation, ROWS)
    assert headers == ["name", "value", "unit", "goal", "peer", "met"]
    assert lines == [
        ["one", 2.5, "s", "<= 3", "theirs", "yes"],
        ["two", 1000, "cycles/s", ">= 2,000", None, "NO"],
        ["three", 1, "s", None, None, None],
    ]
    headers, _ = table(gemm, [{"name": "one", "value": 1, "unit": "s"}])
    assert headers == ["name", *gemm.COLUMNS, "value", "unit"]
