"""Products with a function of each sum: right to the bit, whatever is cut, and what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest
from ml_dtypes import bfloat16
from openppu.config import ChipConfig, load
from openppu.formats.spec import FORMATS
from openppu_sim.device.device import Device
from openppu_sim.errors import UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.matmul_activation import activation_programs
from openppu_sim.kernels.vector import jobs as vector_jobs
from openppu_sim.kernels.vector.memory import Array, vector_programs
from openppu_sim.reference.formats import from_binary32
from openppu_sim.reference.functions import evaluate
from openppu_sim.reference.matmul import matmul as exact

CHIP = load("tiny", ["tile.columns=8"])
BF16 = FORMATS["bf16"]
A, B, C, D, CODE = 0x10_0000, 0x18_0000, 0x20_0000, 0x24_0000, 0x8000
FUSED, APART = 103_299, 164_135
SHAPES = {"one tile": (5, 9, 8), "ragged": (21, 37, 11), "many tiles": (40, 30, 52), "one row": (1, 64, 70)}


def job_of(m: int, k: int, n: int, **more) -> MatmulJob:
    places = dict(a=Operand(address=A, stride=2 * k), b=Operand(address=B, stride=2 * n))
    d = Operand(address=D, stride=(2 if more.get("result_format", "bf16") else 4) * n)
    return MatmulJob(**{**dict(m=m, n=n, k=k, format="bf16", **places, d=d, c=C, result_format="bf16"), **more})


def run(chip: ChipConfig, job: MatmulJob, name: str, backend: str, build_root=None) -> tuple[np.ndarray, int]:
    """The result of random matrices, equal to the reference's, and the clocks it took."""
    rng = np.random.default_rng(job.m + job.k + job.n)
    a, b = (rng.standard_normal(shape).astype(bfloat16) for shape in ((job.m, job.k), (job.k, job.n)))
    bias = rng.standard_normal(job.n).astype(np.float32)
    programs = activation_programs(chip, job, name, code_at=CODE)
    with Device(chip, backend, **({"build_root": build_root} if build_root else {})) as device:
        for address, data in ((A, a), (B, b), (C, bias), (CODE, programs.code)):
            device.write(address, data)
        begin = device.cycles
        for queue, program in programs.items():
            device.submit(queue, program)
        device.wait(1_000_000)
        cycles = device.cycles - begin
        assert [device.semaphore(number) for number in range(7)] == [0] * 7
        got = device.read(D, (job.m, job.n), np.uint16 if job.result_format else np.uint32)
    start = np.broadcast_to(bias.view(np.uint32), got.shape).copy() if job.c is not None else None
    found = evaluate(name, exact(a.view(np.uint16), b.view(np.uint16), start, BF16))
    assert (got == (from_binary32(found, BF16, saturate=False) if job.result_format else found)).all()
    return got, cycles


@pytest.mark.parametrize("backend", ["reference", "model"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_element_is_the_function_of_its_sum(shape, backend):
    run(CHIP, job_of(*shape), "gelu", backend)


@pytest.mark.parametrize("name", ["silu", "sigmoid", "tanh"])
def test_other_functions_with_and_without_a_bias_to_32_bits(name):
    run(CHIP, job_of(9, 20, 13, c=None, result_format=None), name, "reference")


def test_it_waits_for_a_semaphore_and_raises_another_one():
    programs = activation_programs(CHIP, job_of(5, 9, 8), "exp", code_at=CODE, wait=(14, 1), signal=(15, 1))
    with Device(CHIP, "reference") as device:
        device.write(CODE, programs.code)
        for queue, program in programs.items():
            device.submit(queue, program)
        device.signal(14)
        device.wait()
        assert [device.semaphore(number) for number in (14, 15)] == [0, 1]


@pytest.mark.slow
def test_the_rtl_gives_the_same_in_the_clocks_of_the_model(build_root):
    job = job_of(*SHAPES["many tiles"])
    assert run(CHIP, job, "gelu", "rtl", build_root)[1] == run(CHIP, job, "gelu", "model")[1]


@pytest.mark.slow
def test_it_takes_less_time_than_through_memory():
    """The clocks of docs/kernels.md."""
    chip, job = load("demo"), job_of(128, 512, 64)
    assert run(chip, job, "gelu", "model")[1] == FUSED
    sums, result = (
        Array(address=address, rows=job.m, columns=job.n, format=name)
        for address, name in ((0x30_0000, "binary32"), (D, "bf16"))
    )
    apart = replace(job, d=Operand(address=sums.address, stride=4 * job.n), result_format=None)
    follows = vector_programs(chip, vector_jobs.function("gelu", sums, result), code_at=CODE, wait=(20, 1))
    with Device(chip, "model") as device:
        device.write(CODE, follows.code)
        begin = device.cycles
        for programs in (matmul_programs(chip, apart, signal=(20, 1)), follows):
            for queue, program in programs.items():
                device.submit(queue, program)
        device.wait(1_000_000)
        assert device.cycles - begin == APART


@pytest.mark.parametrize(
    ("chip", "changes", "name", "words"),
    [
        (CHIP, {}, "step", "'step'"),
        (CHIP, {"relu": True}, "gelu", "relu"),
        (CHIP, {"result_format": "int8"}, "gelu", "int8"),
        (load("tiny"), {}, "gelu", "tile.columns = 4"),
        (load("tiny", ["tile.columns=8", "tile.accumulators=8"]), {}, "gelu", "tile.accumulators = 8"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(chip, changes, name, words):
    with pytest.raises(UserError, match=words) as told:
        activation_programs(chip, replace(job_of(4, 4, 8), **changes), name, code_at=CODE)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"wait": (4, 1)}, "semaphore 4: a product with a function uses 0, 1, 2, 3, 4, 5, 6; give another one"),
        ({"signal": (0, 1)}, "semaphore 0: a product"),
        ({"signal": 8}, "semaphore 8: give its number and a value"),
        ({"code_at": -1}, "code_at = -1: give at least 0"),
        ({"code_at": CHIP.hbm.capacity}, "gelu: its program: bytes 0x40000000 to "),
        ({"code_at": D}, "matmul d lies on gelu: its program, from byte 0x240000 on"),
    ],
)
def test_semaphores_and_places_that_are_taken_are_refused(more, words):
    with pytest.raises(UserError, match=words):
        activation_programs(CHIP, job_of(4, 4, 8), "gelu", **{"code_at": CODE, **more})
