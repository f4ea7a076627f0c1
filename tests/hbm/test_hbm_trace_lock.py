"""The runs of the mutation check, on the channel as it is: all is right, and every output does what was locked."""

from dataclasses import replace
from pathlib import Path

import pytest
from openppu_sim.errors import SimulationError
from openppu_verif.hbm.native import Measurement, build_channel
from openppu_verif.hbm.regression import CHANNEL, Run, miscoded, miscounted, play, runs
from openppu_verif.hbm.trace_lock import COMMAND, difference, load

PARTS = {"commands", "words", "ports", "counters", "flags"}
REACHED = ("retries", "victims", "turnarounds", "row_conflicts", "hold", "refresh", "bank_group")


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    """The model."""
    return build_channel(CHANNEL, build_root)


@pytest.fixture(scope="module")
def measured(executable: Path) -> dict[str, Measurement]:
    """All runs."""
    return {each.label: play(executable, each) for each in runs()}


def test_every_output_does_in_each_clock_what_was_written_down(measured: dict[str, Measurement]) -> None:
    locked = load()
    assert locked.keys() == measured.keys(), f"if this is wanted: {COMMAND}"
    found = {label: text for label, each in measured.items() if (text := difference(label, each, locked))}
    assert not found, f"if this is wanted: {COMMAND}"


def test_the_runs_reach_what_they_are_for(measured: dict[str, Measurement]) -> None:
    counted = {name: sum(pc[name] for each in measured.values() for pc in each.counters) for name in REACHED}
    assert all(counted.values()), counted
    power = {name: sum(each.power[name] for each in measured.values()) for name in measured["sleep"].power}
    assert all(power.values()), power
    assert measured["update"].updates >= 1
    assert measured["too hot"].turned_away > 10
    assert sum(each.refused for each in measured.values()) > 10
    assert min(measured[label].error_beats for label in ("worse bits", "lost strobes")) > 1
    assert all(measured["parity"].lost_commands.get(name) for name in ("ACT", "RD", "WR", "PRE", "REFSB"))
    commands = {name: sum(each.commands[name] for each in measured.values()) for name in measured["busy"].commands}
    assert all(commands.values()), commands


def test_a_difference_is_told_by_the_outputs_that_differ(executable: Path, measured: dict[str, Measurement]) -> None:
    run = next(each for each in runs() if each.label == "impatient")
    locked = load()
    assert play(executable, run).digests == measured["impatient"].digests
    assert measured["impatient"].digests.keys() == PARTS
    patient = play(executable, replace(run, settings=replace(run.settings, age_limit=400)))
    assert "commands" in str(difference("impatient", patient, locked))
    assert difference("other", patient, locked) == "this run is not in the file"


def test_wrong_counters_are_told(executable: Path, measured: dict[str, Measurement]) -> None:
    assert miscounted(measured["busy"]) is None
    counters = [dict(each) for each in measured["busy"].counters]
    counters[0]["hold"] += 1
    assert "with their use" in str(miscounted(replace(measured["busy"], counters=counters)))
    counters[0]["hold"] -= 1
    counters[1]["writes"] += 2
    assert "writes on the bus, the controller counted" in str(miscounted(replace(measured["busy"], counters=counters)))


def test_words_that_were_wrong_are_told(executable: Path, measured: dict[str, Measurement]) -> None:
    assert miscoded(measured["busy"]) is None
    run = next(each for each in runs() if each.label == "busy")
    flips = [(100 + 9 * place, "flip_reads", [place % 2, 0, 1, place]) for place in range(20)]
    wrong = play(executable, replace(run, events=flips))
    assert "0 words with wrong check bits in memory, " in str(miscoded(wrong))
    assert "3 words with wrong" in str(miscoded(replace(measured["busy"], unclean=3)))


def test_a_run_that_goes_wrong_is_told(executable: Path) -> None:
    run: Run = next(each for each in runs() if each.label == "lost strobes")
    with pytest.raises(SimulationError, match="answers were errors"):
        play(executable, replace(run, errors=False))
