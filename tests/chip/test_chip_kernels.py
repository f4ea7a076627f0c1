"""Kernels on a whole chip's RTL: every byte of their results equals the reference backend's."""

import numpy as np
import pytest
from ml_dtypes import bfloat16
from openppu.config import load
from openppu_sim.device.device import Device
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_verif.vector.job_cases import LARGE, SMALL, Memory, run

TINY = load("tiny")
CASES = {**SMALL, "column_sum_in_pieces": LARGE["column_sum_wide"]}
QUICK = (
    *("exp_bf16", "multiply_row", "maximum_column", "requantise", "relu_gradient", "sgd", "stochastic"),
    *("column_sum", "row_max", "softmax", "rms_norm", "cross_entropy"),
)
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]


@pytest.fixture(scope="module")
def chips(build_root):
    """A chip and its reference, which all tests here use, one after the other."""
    with Device(TINY, "rtl", build_root=build_root) as device, Device(TINY, "reference") as reference:
        yield device, reference
        assert device.backend.hardware.problems == 0, "rules of the memory devices were broken"


@pytest.mark.parametrize("name", NAMES)
def test_a_job_equals_the_reference(chips, name):
    found = []
    for device in chips:
        memory = Memory(device)
        case = CASES[name](memory)
        run(memory, case)
        case.check()
        found.append([memory.bits(result) for result in case.results])
    for got, expected in zip(*found, strict=True):
        assert (got == expected).all()


@pytest.mark.parametrize(("transpose_a", "transpose_b"), [(True, False), (False, True)])
def test_products_of_transposes_rounded_stochastically_equal_the_reference(chips, transpose_a, transpose_b):
    m, k, n = 21, 18, 14
    a, b = (np.random.default_rng(seed).standard_normal(k * size).astype(bfloat16) for seed, size in ((1, m), (2, n)))
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format="bf16",
        a=Operand(address=0x10_0000, stride=2 * (m if transpose_a else k)),
        b=Operand(address=0x20_0000, stride=2 * (k if transpose_b else n)),
        d=Operand(address=0x30_0000, stride=2 * n),
        transpose_a=transpose_a,
        transpose_b=transpose_b,
        result_format="bf16",
        seed=3,
    )
    found = []
    for device in chips:
        device.write(job.a.address, a)
        device.write(job.b.address, b)
        for queue, program in matmul_programs(TINY, job).items():
            device.submit(queue, program)
        device.wait(100_000)
        found.append(device.read(job.d.address, m * n, np.uint16))
    assert (found[0] == found[1]).all()
    product = (a.reshape(k, m).T if transpose_a else a.reshape(m, k)).astype(np.float64) @ (
        b.reshape(n, k).T if transpose_b else b.reshape(k, n)
    ).astype(np.float64)
    np.testing.assert_allclose(found[0].view(bfloat16).reshape(m, n).astype(np.float64), product, 2**-7, 1e-3)
