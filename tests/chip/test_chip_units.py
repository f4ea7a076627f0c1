"""Kernels on a chip of two compute units: the RTL has the bits of the reference, whatever part each unit does."""

import numpy as np
import pytest
from openppu_sim.device.device import Device
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_verif.chip import scaling
from openppu_verif.chip.scaling import FIRST, RESULT, SECOND
from openppu_verif.vector.job_cases import SMALL, Memory, run

TWO = scaling.chip(2)


@pytest.fixture
def devices(build_root):
    with Device(TWO, "rtl", build_root=build_root) as rtl, Device(TWO, "reference") as reference:
        yield rtl, reference


@pytest.mark.parametrize(
    ("m", "k", "n", "fmt", "more"),
    [
        (16, 16, 16, "int8", {}),
        (21, 37, 11, "int8", {"result_format": "int8", "scale": 0x3B80_0000}),  # parts share words of memory
        (1, 40, 27, "bf16", {"result_format": "bf16"}),
        (19, 24, 13, "bf16", {"result_format": "bf16", "seed": 99}),
        (13, 24, 40, "bf16", {"transpose_a": True, "transpose_b": True, "relu": True}),
    ],
)
def test_a_product_equals_the_reference(devices, m, k, n, fmt, more):
    found = []
    size = 1 if fmt == "int8" else 2
    steps = {
        "a": (FIRST, (m if more.get("transpose_a") else k) * size),
        "b": (SECOND, (k if more.get("transpose_b") else n) * size),
        "d": (RESULT, n * (size if more.get("result_format") else 4)),
    }
    operands = {name: Operand(address=address, stride=stride) for name, (address, stride) in steps.items()}
    job = MatmulJob(m=m, n=n, k=k, format=fmt, **operands, **more)
    rng = np.random.default_rng(m)
    data = [rng.integers(0, 256, 4096, dtype=np.uint8) & 0xBF for _ in range(2)]
    for device, units in zip(devices, (None, [0]), strict=True):
        device.write(FIRST, data[0])
        device.write(SECOND, data[1])
        device.write(RESULT, np.full(4096, 0x5A, np.uint8))
        queues = matmul_programs(TWO, job, units=units)
        assert len(queues) == (6 if units is None else 3)
        for queue, program in queues.items():
            device.submit(queue, program)
        device.wait(100_000)
        found.append(device.read(RESULT, 4096, np.uint8))
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("name", ["softmax", "column_sum", "sgd", "cross_entropy"])
def test_a_job_equals_the_reference(devices, name):
    found = []
    for device, units in zip(devices, (None, [0]), strict=True):
        memory = Memory(device)
        case = SMALL[name](memory)
        run(memory, case, units)
        found.append([memory.bits(result) for result in case.results])
    assert all((a == b).all() for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("case", [scaling.product(24, 32, 24), scaling.softmax(40, 32)], ids=["product", "softmax"])
def test_two_units_end_sooner_than_one_and_signal_once(build_root, case):
    clocks = []
    for units in (1, 2):
        with Device(TWO, "rtl", build_root=build_root) as device:
            ran = scaling.run(device, case, units)
            assert [device.semaphore(each) for each in range(TWO.command.semaphores)].count(0) == 31
            assert device.semaphore(scaling.ENDED) == 1
        clocks.append(ran.clocks)
        assert "compute" in scaling.told(ran, units)
    assert clocks[0] > 1.3 * clocks[1]
