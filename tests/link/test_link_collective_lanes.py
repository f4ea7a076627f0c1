"""A lane of a reduction against the reference: binary32, int32, rounding to bf16."""

from typing import Any

import numpy as np
import pytest
from openppu.formats.spec import BF16, BINARY32
from openppu.link.collective.lane_tree import LaneTree
from openppu_sim.reference.arithmetic import add32
from openppu_sim.reference.corners import corner_operands
from openppu_sim.reference.formats import from_binary32
from openppu_verif.ends import run

COUNT = 400


def operands(rng: np.random.Generator, count: int) -> np.ndarray:
    """Any bits, near ones, corners."""
    near = rng.integers(0, 1 << 32, (count, COUNT), dtype=np.uint32) & np.uint32(0x83FFFFFF) | np.uint32(0x3C000000)
    corners = rng.choice(corner_operands(BINARY32).astype(np.uint32), (count, COUNT))
    kinds = rng.integers(0, 3, (count, COUNT))
    return np.select(
        [kinds == 0, kinds == 1], [near, corners], rng.integers(0, 1 << 32, (count, COUNT), dtype=np.uint32)
    )


@pytest.mark.parametrize("count", [2, 4])
def test_a_lane_adds_as_a_tree(count: int) -> None:
    rng = np.random.default_rng(count)
    dut = LaneTree(count)
    values = operands(rng, count).astype(np.uint32)
    integer, narrow = rng.integers(0, 2, COUNT), rng.integers(0, 2, COUNT)
    level, whole = list(values), list(values)
    while len(level) > 1:
        level = [add32(level[place], level[place + 1]) for place in range(0, len(level), 2)]
        whole = [whole[place] + whole[place + 1] for place in range(0, len(whole), 2)]
    total = np.where(integer, whole[0], level[0])
    half = np.where(integer, total >> np.uint32(16), from_binary32(total, BF16).astype(np.uint32))
    expected = np.where(narrow, half, total)

    def step(ctx: Any, cycle: int) -> bool:
        if cycle < COUNT:
            for place in range(count):
                ctx.set(dut.operands[place], int(values[place][cycle]))
            ctx.set(dut.int32, int(integer[cycle]))
            ctx.set(dut.narrow, int(narrow[cycle]))
        place = cycle - dut.latency
        if place >= 0:
            assert ctx.get(dut.total) == expected[place], f"sum {place}: {[hex(value) for value in values[:, place]]}"
        return place == COUNT - 1

    run(dut, step, most=COUNT + dut.latency)


def test_other_counts_of_operands_are_refused() -> None:
    with pytest.raises(ValueError, match="operands = 3"):
        LaneTree(3)
