"""The host's side in cocotb, driven by cocotbext-axi: its corner on both simulators, and a whole chip."""

from pathlib import Path

import pytest
from openppu.config import load
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_sim.simulator.lint import lint
from openppu_sim.simulator.toolchain import find_icarus
from openppu_verif.chip.native import simulated
from openppu_verif.host.corner import HostCorner
from openppu_verif.native.model import control, module_ports


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corner") / "host_corner.v"
    emit(HostCorner(load("tiny")), top="host_corner", config=load("tiny")).write(path)
    return path


RUNS = [("icarus", 0.6, 15), *(pytest.param("verilator", rate, 300, marks=pytest.mark.slow) for rate in (1.0, 0.5))]


@pytest.mark.parametrize(("sim", "rate", "turns"), RUNS)
def test_registers_window_and_bell(sim: str, verilog: Path, build_root: Path, rate: float, turns: int) -> None:
    if sim == "icarus" and find_icarus() is None:
        pytest.skip("Icarus Verilog is not installed")
    results = simulate(
        verilog,
        top="host_corner",
        test_module="openppu_verif.host.test_host_corner",
        build_root=build_root,
        sim=sim,
        parameters={"rate": rate, "turns": turns},
    )
    assert len(results) == 3
    assert all(result.status == "passed" for result in results)


def test_the_corners_verilog_is_clean(verilog: Path) -> None:
    assert lint(verilog, "host_corner") == []


@pytest.mark.slow
def test_a_whole_chip_multiplies_for_a_host(tmp_path: Path, build_root: Path) -> None:
    path = tmp_path / "chip.v"
    chip = load("tiny")
    emit(simulated(chip), top="chip", config=chip).write(path)
    (result,) = simulate(
        path,
        top="chip",
        test_module="openppu_verif.host.test_host_chip",
        build_root=build_root,
        parameters={"rate": 0.7, "build_root": str(build_root)},
        control=control(module_ports(path.read_text()), "chip"),
    )
    assert result.status == "passed"
