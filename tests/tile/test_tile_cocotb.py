"""Matrix products through the cocotb testbench: what ``make sim`` and the user's own matrices go through."""

from pathlib import Path

import numpy as np
import pytest
from openppu.formats.spec import BF16, INT8
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.reference.matmul import matmul
from openppu_sim.simulator import tile_cocotb
from openppu_sim.simulator.toolchain import find_icarus
from openppu_verif.tile.stimulus import random_accumulators, random_operands
from tile_runs import configuration

TINY = configuration("tiny")
RNG = np.random.default_rng(1)


def test_a_product_comes_with_its_bits_cycles_and_causes(sim: str, build_root: Path) -> None:
    a, b = (random_operands(BF16, shape, RNG) for shape in ((5, 9), (9, 6)))
    c = random_accumulators(BF16, (5, 6), RNG)
    run = tile_cocotb.run_matmul("p", a, b, "bf16", config=TINY, waves=False, folder=build_root, c_bits=c, sim=sim)
    assert run.failures() == []
    assert np.array_equal(run.result, matmul(a, b, c, BF16))
    assert (run.name, run.format, run.shape) == ("p", "bf16", "5x9x6")
    assert sum(run.causes.values()) == run.timeline.size == run.cycles
    assert run.causes["compute"] == 5 * 3 * 2


@pytest.mark.skipif(find_icarus() is None, reason="Icarus Verilog is not installed")
def test_waves_are_kept_and_named(build_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = np.ones((1, 1), np.uint8)
    tile_cocotb.run_matmul("p", a, a, "int8", config=TINY, waves=True, folder=build_root, sim="icarus")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("waves: ")]
    assert Path(line.removeprefix("waves: ")).stat().st_size > 0


def test_a_tile_that_never_finishes_is_an_error(build_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_cocotb, "PATIENCE", -1000)  # gives up before the first result
    a, b = (random_operands(INT8, shape, RNG) for shape in ((4, 4), (4, 4)))
    with pytest.raises(SimulationError, match="0 of 4 result rows"):
        tile_cocotb.run_matmul("p", a, b, "int8", config=TINY, waves=False, folder=build_root)


def test_a_format_that_is_not_built_in_is_an_error(build_root: Path) -> None:
    a = np.ones((1, 1), np.uint16)
    with pytest.raises(UserError, match="format 'bf16' is not built in"):
        tile_cocotb.run_matmul("p", a, a, "bf16", config=configuration("int8-5x3"), waves=False, folder=build_root)
