"""The benchmark of the cluster's model: its rows are complete, and say how far it is from ASTRA-sim."""

from pathlib import Path

import pytest
from openppu_sim.bench import cluster
from openppu_sim.cycles.link import astra
from openppu_sim.errors import SimulationError
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json


def test_the_rows_are_complete_and_meet_their_goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CHIPS", 64)
    rows = cluster.run(tmp_path)
    benchmark_json("cluster", rows, folder=tmp_path)
    names = [row["name"] for row in rows]
    for row in (*astra.ROWS, *astra.TWO_LEVEL_ROWS):
        assert row.name in names
    goals = {row["name"]: meets_goal(row) for row in rows if "goal" in row}
    assert len(goals) == 3
    assert all(goals.values())
    by_name = {row["name"]: row for row in rows}
    failed = by_name["allreduce direct, then halving-doubling, 10,000 chips, 64 MiB"]
    assert (failed["error"], failed["peer"]) == (None, "ASTRA-sim: no result")
    assert by_name["64 chips, direct, then ring: memory"]["value"] > 10
    headers, lines = table(cluster, rows)
    assert headers == ["name", "error", "value", "unit", "goal", "peer", "met"]
    assert len(lines) == len(rows)


def test_a_model_that_fails_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ALONE", "raise SystemExit('no')")
    with pytest.raises(SimulationError, match="the model of 10,000 chips failed"):
        cluster.cost()
