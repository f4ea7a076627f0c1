"""Jobs of the vector unit through the queues of a device: what they come to beside numpy's double precision."""

from dataclasses import replace

import numpy as np
import pytest
from openppu.config import load
from openppu.vector.operation import Operation as Op
from openppu_sim.device.device import Device
from openppu_sim.errors import UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, vector_programs
from openppu_sim.kernels.vector.parts import FUNCTIONS
from openppu_verif.vector.job_cases import LARGE, SMALL, Memory, function, near, run

TINY = load("tiny")


@pytest.fixture
def memory():
    """Of a tiny chip on the reference backend."""
    with Device(TINY, "reference") as device:
        yield Memory(device)


@pytest.mark.parametrize("name", SMALL)
def test_a_job_comes_to_what_it_should(memory, name):
    case = SMALL[name](memory)
    run(memory, case)
    case.check()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_comes_to_what_it_should(memory, name):
    case = function(memory, name, 5, 21)
    run(memory, case)
    case.check()


QUICK = ("add_wide", "multiply_row", "maximum_column", "column_sum_wide", "softmax", "sgd")
PIECES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LARGE]


@pytest.mark.parametrize("name", PIECES)
def test_a_job_in_pieces_comes_to_what_it_should(memory, name):
    case = LARGE[name](memory)
    programs = vector_programs(TINY, case.job, code_at=0)
    assert sum(each.name == "VECTOR_RUN" for each in programs.queues["vector"]) > 1
    run(memory, case)
    case.check()


def test_how_a_job_is_cut_can_be_printed(project_root):
    x = Array(address=0x10_0000, rows=100, columns=75)
    result = Array(address=0x20_0000, rows=100, columns=75, format="bf16")
    told = str(vector_programs(TINY, jobs.softmax(x, result), code_at=0x1_0000))
    assert told in (project_root / "docs" / "kernels.md").read_text(encoding="utf-8")
    assert told.startswith("softmax: 7 pieces of 16 x 75 at most")


def test_semaphores_are_zero_again_and_others_are_waited_for_and_raised(memory):
    case = SMALL["add"](memory)
    programs = vector_programs(TINY, case.job, code_at=0x1_0000, wait=(4, 2), signal=(5, 1), record=True)
    assert programs.queues["load"][0].wait == (4, 2)
    assert programs.queues["store"][-1].signal == (5, 1)
    assert {each.record for each in programs.queues["vector"]} == {True}
    run(memory, case)
    assert not any(memory.device.semaphore(number) for number in range(TINY.command.semaphores))


def test_an_activation_follows_a_product_without_the_host(memory):
    """GELU of a product and a bias: the vector unit waits until the product is in memory."""
    a, b, bias = memory.normal(20, 12, "bf16"), memory.normal(12, 17, "bf16"), memory.normal(1, 17)
    product, result = memory.array(20, 17), memory.array(20, 17, fmt="bf16")
    places = {name: Operand(address=x.address, stride=x.pitch) for name, x in (("a", a), ("b", b), ("d", product))}
    job = MatmulJob(m=20, n=17, k=12, format="bf16", **places)
    activation = vector_programs(
        TINY, jobs.bias_activation("gelu", product, bias, result), code_at=0x1_0000, wait=(4, 1)
    )
    memory.device.write(activation.code_at, activation.code)
    for programs in (matmul_programs(TINY, job, signal=(4, 1)), activation):
        for queue, program in programs.items():
            memory.device.submit(queue, program)
    memory.device.wait()
    d = memory.floats(a) @ memory.floats(b) + memory.floats(bias)
    near(memory, result, d * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (d + 0.044715 * d**3))), 2**-8)


X, Y = Array(address=0, rows=8, columns=16), Array(address=4096, rows=8, columns=15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jobs.function("cube", X, X), "function 'cube': give one of identity, relu"),
        (lambda: jobs.function("exp", X, Y), "exp: a matrix of 8 x 15 beside one of 8 x 16"),
        (lambda: jobs.binary(Op.ADD, X, Y, X), "add: a matrix of 8 x 15 beside one of 8 x 16"),
        (lambda: jobs.rms_norm(X, Y, X), "rms_norm: a matrix of 8 x 15: give one row of 16"),
        (lambda: jobs.row_sum(X, Y), "row_sum: give one row of 8, with an element for each row"),
        (lambda: jobs.rope(X, Y, Y, X), "rope: cosines of 8 x 15 for 8 x 16"),
        (lambda: jobs.bias_activation("cube", X, X, X), "function 'cube': give one of identity, relu"),
        (lambda: jobs.round_stochastically(X, X, seed=1), "a result of binary32: give one of bf16"),
        (lambda: jobs.round_stochastically(X, X, seed="a"), "round_stochastically seed = 'a': give a whole number"),
    ],
)
def test_jobs_that_cannot_be_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_whole_number_may_be_a_scale():
    result = Array(address=4096, rows=8, columns=16, format="int8")
    made = [vector_programs(TINY, jobs.requantise(X, result, scale=scale), code_at=8192) for scale in (2, 2.0)]
    assert made[0].queues == made[1].queues


def test_a_row_that_does_not_fit_is_refused():
    wide = Array(address=0, rows=2, columns=9_000)
    with pytest.raises(UserError, match="softmax: a row of 9000 does not fit a scratchpad of 32768 bytes"):
        vector_programs(TINY, jobs.softmax(wide, wide), code_at=1 << 24)


def test_a_program_that_the_unit_cannot_keep_is_refused():
    few = load("tiny", ["vector.program_words=64"])
    with pytest.raises(UserError, match=r"instructions; vector\.program_words = 64: give more"):
        vector_programs(few, jobs.function("gelu", IN_MEMORY, IN_MEMORY), code_at=1 << 24)


IN_MEMORY = Array(address=0x10_0000, rows=64, columns=16)


@pytest.mark.parametrize(
    ("job", "code_at", "message"),
    [
        (
            jobs.softmax(IN_MEMORY, replace(IN_MEMORY, format="bf16")),
            0,
            "softmax: a result lies on softmax: a matrix, from byte 0x100000",
        ),
        (
            jobs.function("silu", IN_MEMORY, replace(IN_MEMORY, address=IN_MEMORY.address + 64)),
            0,
            "from byte 0x100040 on; move one",
        ),
        (
            jobs.bias_activation(
                "silu", IN_MEMORY, replace(IN_MEMORY, address=0, rows=1), replace(IN_MEMORY, address=0)
            ),
            1 << 24,
            "from byte 0x0 on",
        ),
        (
            jobs.row_max(IN_MEMORY, *[Array(address=0, rows=1, columns=64)] * 2),
            1 << 24,
            "a result lies on row_max: a result",
        ),
        (
            jobs.softmax(IN_MEMORY, IN_MEMORY),
            IN_MEMORY.address + 64,
            "a result lies on softmax: its program, from byte 0x100040 on",
        ),
        (jobs.softmax(IN_MEMORY, IN_MEMORY), -1, "code_at = -1: give at least 0"),
        (jobs.softmax(IN_MEMORY, IN_MEMORY), TINY.hbm.capacity - 8, "softmax: its program: bytes 0x3ffffff8 to 0x"),
    ],
)
def test_a_result_lies_on_nothing_but_what_it_replaces(job, code_at, message):
    with pytest.raises(UserError, match=message):
        vector_programs(TINY, job, code_at=code_at)


def test_larger_chips_take_larger_pieces():
    x = Array(address=0, rows=256, columns=576, format="bf16")
    counts = {}
    for preset in ("tiny", "demo", "ppu810e"):
        programs = vector_programs(load(preset), jobs.softmax(x, x), code_at=1 << 24, units=[0])
        counts[preset] = len(programs.pieces[0])
    assert counts["tiny"] > counts["demo"] > counts["ppu810e"] >= 1
