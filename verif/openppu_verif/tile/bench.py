"""The tile's testbench: runs a case on the tile and holds it against the reference and the cycle model."""

import os
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from openppu.config import TileConfig
from openppu_sim.cycles.tile import Cause, CycleReport, simulate
from openppu_sim.lowering.tile import Addend
from openppu_sim.simulator.cocotb_runner import parameters

from openppu_verif.tile.coverage import Coverage
from openppu_verif.tile.environment import Environment, Observation
from openppu_verif.tile.scoreboard import Expected, accumulator_rows, expect
from openppu_verif.tile.stimulus import Case

MARGIN = 200
"""Cycles that a run may go on after the predicted end, to show what it does instead."""


class TileBench:
    """A tile out of reset, its environment, and what is known of its accumulators; used as ``async with``.

    It reads two of the run's `parameters`: ``tile``, the fields of the `TileConfig`, and ``coverage``, a folder for
    what was hit (nothing is written without it).

    Parameters
    ----------
    dut : cocotb handle
        The emitted tile.
    """

    def __init__(self, dut: Any) -> None:
        given = parameters()
        self.config = TileConfig(**given["tile"])
        self.seed = int(os.environ["COCOTB_RANDOM_SEED"])
        self.coverage = Coverage()
        self._folder: str | None = given.get("coverage")
        self.environment = Environment(dut, self.config, self.seed)
        self.accumulators = np.zeros((self.config.accumulators, self.config.columns), np.uint32)
        self.known = np.zeros(self.config.accumulators, bool)

    async def __aenter__(self) -> Self:
        await self.environment.power_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._folder:
            self.coverage.write(Path(self._folder))

    def rng(self, *key: int) -> np.random.Generator:
        """Random numbers that follow from the run's seed and a key."""
        return np.random.default_rng([self.seed, *key])

    async def reset(self) -> None:
        """Reset the tile for one cycle; its accumulators keep values that nothing may rely on."""
        await self.environment.reset()
        self.known[:] = False

    async def run(self, case: Case) -> Observation:
        """Run a case on the idle tile; every bit, every cycle and every counter must be as predicted.

        Raises
        ------
        AssertionError
            With the first difference, and the case's label.
        """
        predicted = simulate(case.workload.commands, self.config, case.stalls, memory_latency=case.memory_latency)
        expected = expect(case.workload, self.config, self.accumulators)
        self._mark_known(case)
        late = max(len(np.asarray(getattr(case.stalls, field.name))) for field in fields(case.stalls))
        observation = await self.environment.run(
            case.workload,
            case.stalls,
            memory_latency=case.memory_latency,
            most_cycles=predicted.busy_cycles + late + MARGIN,
        )
        problems = compare(observation, expected, predicted)
        assert not problems, f"{case.label}: " + "; ".join(problems)
        self.accumulators = expected.accumulators
        self.coverage.sample(case, observation, self.config)
        return observation

    async def interrupt(self, case: Case, cycle: int) -> Observation:
        """Run a case up to a cycle, all of it as predicted so far, and reset the tile there."""
        predicted = simulate(case.workload.commands, self.config, case.stalls, memory_latency=case.memory_latency)
        expected = expect(case.workload, self.config, self.accumulators)
        observation = await self.environment.run(
            case.workload, case.stalls, memory_latency=case.memory_latency, most_cycles=cycle, stop_at=cycle
        )
        problems = compare_start(observation, expected, predicted)
        assert not problems, f"{case.label}, up to cycle {cycle}: " + "; ".join(problems)
        self.coverage.sample_reset(observation)
        await self.reset()
        counters = {name: value for name, value in self.environment.read_counters().items() if value}
        assert not counters, f"{case.label}: after the reset in cycle {cycle} the counters say {counters}"
        return observation

    def _mark_known(self, case: Case) -> None:
        for command in case.workload.commands:
            if not command.is_refused(self.config):
                rows = accumulator_rows(command, self.config)
                if command.addend == Addend.ACCUMULATOR and not self.known[rows].all():
                    raise ValueError(f"{case.label}: adds to accumulators that nothing was written to since the reset")
                self.known[rows] = True


def compare(observation: Observation, expected: Expected, predicted: CycleReport) -> list[str]:
    """A line for each way in which a run is not as it must be; the most telling first."""
    problems = _compare_values(observation, expected)
    problems += _first_difference(observation.timeline, predicted.timeline)
    for name, count in observation.left.items():
        problems.append(f"{name}: {count} not taken")
    if observation.cycles != predicted.cycles:
        problems.append(f"{observation.cycles} cycles, the model says {predicted.cycles}")
    counts = predicted.by_cause() | {
        "commands": predicted.commands - predicted.refused,
        "refused": predicted.refused,
        "results": predicted.results,
    }
    for name, count in counts.items():
        if observation.counters[name] != count:
            problems.append(f"counter {name} counted {observation.counters[name]}, the model {count}")
    return problems


def compare_start(observation: Observation, expected: Expected, predicted: CycleReport) -> list[str]:
    """The same for a run that was stopped: what there is of it."""
    count, requests = len(observation.results), len(observation.activation_requests)
    weights = len(observation.weight_requests)
    shortened = Expected(
        activation_requests=expected.activation_requests[:requests],
        weight_requests=expected.weight_requests[:weights],
        results=expected.results[:count],
        last=expected.last[:count],
        accumulators=expected.accumulators,
    )
    problems = _compare_values(observation, shortened)
    return problems + _first_difference(observation.timeline, predicted.timeline[: observation.timeline.size])


def _compare_values(observation: Observation, expected: Expected) -> list[str]:
    problems = []
    for name in ("activation_requests", "weight_requests", "last"):
        seen, wanted = getattr(observation, name), getattr(expected, name)
        if not np.array_equal(seen, wanted):
            same = min(len(seen), len(wanted))
            place = int(np.argmax(np.append(seen[:same] != wanted[:same], True)))
            problems.append(f"{name}: {_at(seen, place)} at {place} of {len(seen)}, not {_at(wanted, place)}")
    if len(observation.results) != len(expected.results):
        problems.append(f"{len(observation.results)} rows of results, not {len(expected.results)}")
    same = min(len(observation.results), len(expected.results))
    wrong = np.argwhere(observation.results[:same] != expected.results[:same])
    if wrong.size:
        row, column = wrong[0]
        seen, wanted = observation.results[row, column], expected.results[row, column]
        problems.append(
            f"{len(wrong)} elements wrong; the first, row {row} column {column}, is {seen:#010x}, not {wanted:#010x}"
        )
    return problems


def _first_difference(seen: np.ndarray, predicted: np.ndarray) -> list[str]:
    if np.array_equal(seen, predicted):
        return []
    same = min(seen.size, predicted.size)
    cycle = int(np.argmax(np.append(seen[:same] != predicted[:same], True)))
    return [f"cycle {cycle} went to {_cause(seen, cycle)}, the model says {_cause(predicted, cycle)}"]


def _cause(timeline: np.ndarray, cycle: int) -> str:
    if cycle >= timeline.size:
        return "nothing (the run is over)"
    return Cause(timeline[cycle]).name.lower() if timeline[cycle] in tuple(Cause) else f"code {timeline[cycle]}"


def _at(values: np.ndarray, place: int) -> str:
    return str(values[place]) if place < len(values) else "nothing"
