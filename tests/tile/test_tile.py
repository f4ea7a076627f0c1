"""The tile on its emitted Verilog. Every run asserts every bit, cycle, cause and counter (``docs/verification.md``)."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from openppu_sim.report.table import print_table
from openppu_sim.simulator.toolchain import find_icarus
from openppu_verif.tile.coverage import merge, report
from tile_runs import RUNS, Run, Runner

COVERED = 0.95
"""Share of the bins that must be hit."""


def runs(module: str) -> pytest.MarkDecorator:
    """The runs of a testbench module."""
    chosen = [run for run in RUNS if run.module == module]
    return pytest.mark.parametrize("run", chosen, ids=[f"{run.configuration}-{run.sim}" for run in chosen])


@runs("test_directed")
def test_every_feature_works_by_itself(run: Run, do_run: Runner) -> None:
    do_run(run)


@runs("test_rates")
def test_documented_rates_and_latencies_hold(run: Run, do_run: Runner) -> None:
    do_run(run)


@runs("test_random")
def test_random_commands_under_random_stalls_are_exact(run: Run, do_run: Runner) -> None:
    do_run(run)


@runs("test_reset")
def test_a_reset_in_the_middle_of_anything_leaves_a_tile_that_works(run: Run, do_run: Runner) -> None:
    do_run(run)


def test_results_have_the_same_bits_on_every_tile(do_run: Runner) -> None:
    seen = defaultdict(dict)
    for run in RUNS:
        if run.module == "test_problem":
            with np.load(do_run(run) / "results.npz") as results:
                for place, problem in enumerate(run.parameters["problems"]):
                    seen[problem][run.configuration] = results[str(place)]
    for problem, results in seen.items():
        assert len(results) >= 2, f"{problem} ran on {', '.join(results)} alone"
        first, *others = results
        for other in others:
            assert np.array_equal(results[first], results[other]), f"{problem} differs between {first} and {other}"


def test_functional_coverage_reaches_95_percent(do_run: Runner, build_root: Path) -> None:
    places = [do_run(run) for run in RUNS if run.sim != "icarus" or find_icarus() is not None]
    hits = merge(path for place in places for path in place.glob("coverage/*.json"))
    share, missing, rows = report(hits)
    print_table(["group", "hit", "bins", "%"], rows)
    summary = {
        "schema": 1,
        "covered": share,
        "missing": ["/".join(words) for words in missing],
        "hits": {"/".join(words): count for words, count in sorted(hits.items())},
    }
    path = build_root / "coverage" / "tile.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="ascii")
    lines = "\n".join(" / ".join(words) for words in missing)
    assert share >= COVERED, f"{100 * share:.1f} % of the bins were hit; {path} has all. Missing:\n{lines}"
