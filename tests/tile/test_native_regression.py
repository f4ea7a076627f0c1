"""The scenarios of the mutation check, on the tile as it is: every bit, cycle, cause and counter, in a few seconds."""

from pathlib import Path

import numpy as np
import pytest
from openppu.config import ChipConfig, load
from openppu_sim.cycles.tile import Cause
from openppu_sim.simulator.tile import NativeRun, build_tile, run
from openppu_verif.tile.mutation import MUTATED_TILE
from openppu_verif.tile.regression import Scenario, difference, play, predict, scenarios

TILES = {
    "all-3x2": MUTATED_TILE,
    "int8-2x3": ("tile.rows=2", "tile.columns=3", "tile.formats=int8", "tile.latency=1", "tile.accumulators=16",
                 "tile.outstanding=2", "tile.address_bits=8"),
}  # fmt: skip


@pytest.fixture(scope="module", params=TILES.values(), ids=TILES)
def chip(request: pytest.FixtureRequest) -> ChipConfig:
    """Each tile."""
    return load("tiny", request.param)


def test_each_scenario_comes_to_what_is_predicted(chip: ChipConfig, build_root: Path) -> None:
    executable = build_tile(chip, build_root)
    problems = {}
    resets = 0
    for scenario in scenarios(chip.tile):
        problem = play(executable, chip.tile, scenario, predict(scenario.case, chip.tile))
        resets += scenario.reset_at is not None
        if problem:
            problems[scenario.label] = problem
    assert not problems
    assert resets > 0


def test_each_kind_of_difference_is_seen(build_root: Path) -> None:
    chip = load("tiny", MUTATED_TILE)
    scenario = next(iter(scenarios(chip.tile)))
    prediction = predict(scenario.case, chip.tile)
    outcome = _run(build_tile(chip, build_root), chip, scenario)
    assert difference(outcome, prediction) is None
    changes: dict[str, tuple[str, object]] = {
        "elements wrong": ("rows", outcome.rows ^ np.uint32(1)),
        "`last` wrong": ("last", ~outcome.last),
        "cycles, the model says": ("cycles", outcome.cycles + 1),
        "cycle 0 went to": ("timeline", np.full_like(outcome.timeline, Cause.IDLE)),
        "counter compute counted": ("counters", outcome.counters | {"compute": 0}),
    }
    for told, (name, value) in changes.items():
        right = getattr(outcome, name)
        object.__setattr__(outcome, name, value)
        assert told in str(difference(outcome, prediction))
        object.__setattr__(outcome, name, right)


def _run(executable: Path, chip: ChipConfig, scenario: Scenario) -> NativeRun:
    case = scenario.case
    return run(executable, chip.tile, case.workload, stalls=case.stalls, memory_latency=case.memory_latency)
