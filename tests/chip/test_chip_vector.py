"""Jobs of the vector unit on a whole chip's RTL: every byte of their results equals the reference backend's."""

import pytest
from openppu.config import load
from openppu_sim.device.device import Device
from openppu_verif.vector.job_cases import LARGE, SMALL, Memory, run

TINY = load("tiny")
CASES = {**SMALL, "column_sum_in_pieces": LARGE["column_sum_wide"]}


@pytest.fixture(scope="module")
def chips(build_root):
    """A chip and its reference, which all tests here use, one after the other."""
    with Device(TINY, "rtl", build_root=build_root) as device, Device(TINY, "reference") as reference:
        yield device, reference
        assert device.backend.hardware.problems == 0, "rules of the memory devices were broken"


@pytest.mark.parametrize("name", CASES)
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
