"""The vector unit's Verilog at native speed: kernels in every bit and cycle, random commands, stalls, resets."""

from pathlib import Path

import numpy as np
import pytest
from openppu.command.error import Error
from openppu_sim.cycles.vector import VectorCycles
from openppu_sim.reference.vector import VectorReference
from openppu_sim.simulator.vector import Stalls, build_vector, run
from openppu_verif.vector.soak import soak
from vector_cases import CASES, CHIP, Case, cross_entropy, layer_norm, rms_norm, softmax

pytestmark = pytest.mark.slow  # the model takes a minute or two to build


@pytest.fixture(scope="module")
def model(build_root) -> Path:
    return build_vector(CHIP, build_root)


def check(model: Path, case: Case, *, exact: bool = True, **how) -> None:
    """A case ends well, with the reference's scratchpad, in the cycles of the model."""
    commands = case.plan.commands
    outcome = run(model, CHIP, commands, case.memory, **how)
    unit = VectorReference(CHIP, case.memory.copy())
    assert {end.error for end in outcome.ends} == set(unit.do_all(commands)) == {Error.OKAY}
    assert np.flatnonzero(outcome.memory != unit.memory).size == 0
    case.check(outcome.memory)
    if exact:
        model_of = VectorCycles(CHIP)
        predicted = model_of.predict(commands, case.memory)
        assert outcome.causes["COMPUTE"] == model_of.rows
        assert {name.lower(): count for name, count in outcome.causes.items()} == model_of.account.counts(
            outcome.cycles
        )
        assert [(end.taken, end.finished) for end in outcome.ends] == predicted


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_equals_the_reference_and_takes_the_cycles_of_the_model(model, name):
    check(model, CASES[name]())


@pytest.mark.parametrize("latency", [1, 7])
def test_the_model_holds_at_other_latencies(model, latency):
    case = cross_entropy()
    outcome = run(model, CHIP, case.plan.commands, case.memory, latency=latency)
    predicted = VectorCycles(CHIP, latency=latency).predict(case.plan.commands, case.memory)
    assert [(end.taken, end.finished) for end in outcome.ends] == predicted
    case.check(outcome.memory)


@pytest.mark.parametrize("seed", range(3))
def test_streams_that_wait_change_nothing_but_time(model, seed):
    stalls = Stalls(offers=30_000, accepts=20_000, reads=30_000, writes=9_000 + 20_000 * seed, seed=seed)
    for case in (softmax(), rms_norm()):
        check(model, case, exact=False, stalls=stalls)


def test_a_reset_in_mid_flight_leaves_nothing_behind(model):
    for at in range(90, 1500, 47):
        check(model, layer_norm(), reset_at=at)


def test_random_commands_equal_the_reference(model):
    ends = soak(CHIP, model, range(40))
    assert ends.keys() >= {"OKAY", "FIELD", "FORMAT", "ALIGNMENT", "BOUNDS", "OPCODE", "MEMORY"}


@pytest.mark.parametrize("make", [softmax, rms_norm])
def test_a_thousand_rows_take_little_more_than_their_operations(model, make):
    case = make(1024, 576, "bf16")
    outcome = run(model, CHIP, case.plan.commands, case.memory)
    case.check(outcome.memory)
    assert outcome.ends[-1].finished + 1 == VectorCycles(CHIP).predict(case.plan.commands, case.memory)[-1][1] + 1
    assert case.plan.bound >= 0.95 * (outcome.ends[-1].finished + 1)
