"""One testbench runs unchanged on both simulators; a failure says how to repeat it."""

import hashlib
import inspect
import os
import re
import shutil
from pathlib import Path

import pytest
from cocotb_tools import runner as cocotb_tools_runner
from counter import write_counter
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.simulator.cocotb_runner import TestResult as Result
from openppu_sim.simulator.cocotb_runner import simulate, top_ports


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> Path:
    """The counter's Verilog."""
    return write_counter(tmp_path_factory.mktemp("counter"))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """The runs must not follow what the user set for others."""
    for name in ("WAVES", "OPENPPU_SEED", "COCOTB_RANDOM_SEED"):
        monkeypatch.delenv(name, raising=False)


def run(design: Path, build_root: Path, sim: str, **changes) -> list[Result]:
    """Simulate the counter."""
    arguments = {"test_module": "bench_counter", "parameters": {"cycles": 50}, **changes}
    return simulate(design, top="counter", sim=sim, build_root=build_root, **arguments)


def test_the_same_testbench_passes_on_both_simulators(design, build_root, sim):
    assert run(design, build_root, sim) == [
        Result("counts_enabled_cycles", "passed"),
        Result("logic_without_events_settles", "passed"),
        Result("fails_when_told", "passed"),
        Result("is_skipped", "skipped"),
    ]


def test_a_model_is_built_once(design, build_root, sim, monkeypatch):
    run(design, build_root, sim)
    monkeypatch.setattr("openppu_sim.simulator.cocotb_runner.make_once", lambda *arguments: pytest.fail("built again"))
    run(design, build_root, sim, seed=3)


def failure(design: Path, build_root: Path, sim: str, **changes) -> tuple[str, str]:
    """The message and the log of a run that fails; its folder is deleted."""
    with pytest.raises(SimulationError) as error:
        run(design, build_root, sim, **changes)
    log = Path(re.search(r"log: (.*)", str(error.value))[1])
    text = log.read_text()
    shutil.rmtree(log.parent)
    return str(error.value), text


def test_a_failure_says_how_to_repeat_it(design, build_root, sim):
    bad = {"cycles": 5, "constant": 3}
    message, log = failure(design, build_root, sim, seed=9, parameters=bad, env={"SAY": "told to"})
    assert f'1 of 4 tests failed on {sim}, seed 9, parameters {{"cycles": 5, "constant": 3}}' in message
    assert "fails_when_told: told to" in message
    assert re.search(r"repeat: OPENPPU_SEED=9 WAVES=1 \S+ -m pytest \S*::test_a_failure_says_how_to_repeat_it", message)
    assert "told to" in log


def test_the_environment_s_seed_wins(design, build_root, monkeypatch):
    monkeypatch.setenv("OPENPPU_SEED", "77")
    message, log = failure(design, build_root, "verilator", seed=9, parameters={"cycles": 5, "constant": 3})
    assert "seed 77," in message
    assert "77" in log


def test_a_testbench_that_cannot_start_shows_the_end_of_its_log(design, build_root, sim):
    message, _ = failure(design, build_root, sim, test_module="no_such_bench")
    assert f"no results on {sim}" in message
    assert "No module named 'no_such_bench'" in message


def test_one_test_may_be_chosen(design, build_root, sim):
    results = run(design, build_root, sim, testcase="logic_without_events_settles")
    assert [result.name for result in results if result.status == "passed"] == ["logic_without_events_settles"]


def test_naming_no_test_is_a_failure(design, build_root, sim):
    message, _ = failure(design, build_root, sim, testcase="no_such_test")
    assert message.startswith(("no test passed", "no results"))


@pytest.mark.parametrize("by_environment", [False, True])
def test_waves_are_written_on_request(design, build_root, sim, by_environment, monkeypatch, capsys):
    if by_environment:
        monkeypatch.setenv("WAVES", "1")
    run(design, build_root, sim, waves=not by_environment)
    path = Path(re.search(r"waves: (.*)", capsys.readouterr().err)[1])
    assert path.stat().st_size > 500
    if sim == "verilator":
        assert "constant" in path.read_text()
    shutil.rmtree(path.parent)


def test_only_the_ports_are_public(design, build_root):
    run(design, build_root, "verilator")
    for path in (build_root / "models").glob("counter-verilator-*/control.vlt"):
        control = path.read_text()
        named = re.findall(r'-var "(\w+)"', control)
        assert sorted(named) == ["clk", "constant", "count", "enable", "rst", "select"]
        assert "*" not in control


def test_ports_are_read_from_both_styles_of_header():
    assert top_ports("module a(x);\nendmodule\nmodule ab(clk, \\y.z , q);\n", "ab") == ["clk", "\\y.z", "q"]
    assert top_ports("module ab #(parameter N = 3) (input clk,\n output reg [3:0] q);\n", "ab") == ["clk", "q"]
    with pytest.raises(UserError, match="no module 'b'"):
        top_ports("module ab(clk);\n", "b")


def test_bad_arguments_are_one_line(design, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="simulator 'modelsim': give one of verilator, icarus"):
        run(design, tmp_path, "modelsim")
    with pytest.raises(UserError, match=r"gone\.v: cannot be read: No such file"):
        run(tmp_path / "gone.v", tmp_path, "icarus")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="Icarus Verilog is missing; install it with `apt-get install iverilog`"):
        run(design, tmp_path, "icarus")
    with pytest.raises(UserError, match="perl is missing"):
        run(design, tmp_path, "verilator")


def test_what_the_simulator_rejects_is_one_line_with_the_log(tmp_path, sim):
    path = tmp_path / "counter.v"
    path.write_text("module counter(clk);\n  input clk;\n  nonsense\nendmodule\n")
    with pytest.raises(UserError, match=f"{sim} cannot build counter: .*error.*whole log in") as error:
        run(path, tmp_path / "build", sim)
    assert "\n" not in str(error.value)


ADAPTED = {
    cocotb_tools_runner.Verilator._build_command: "9018d8c0447b",
    cocotb_tools_runner.Verilator._simulator_in_path_build_only: "827e9b1dc7c8",
    cocotb_tools_runner.Verilator._test_command: "d02234804f73",
    cocotb_tools_runner.Icarus._build_command: "b5aca1cc95b3",
    cocotb_tools_runner.Icarus._create_iverilog_dump_file: "1605a3c79667",
    cocotb_tools_runner.Icarus._waves_file: "dae695fefb5c",
    cocotb_tools_runner.Runner.test: "bcaeae26eb6f",
    cocotb_tools_runner.Runner.build: "dea20a1cc884",
}


@pytest.mark.parametrize(("method", "known"), ADAPTED.items(), ids=lambda value: getattr(value, "__qualname__", ""))
def test_cocotb_s_private_methods_are_the_ones_we_adapted(method, known):
    found = hashlib.sha256(inspect.getsource(method).encode()).hexdigest()[:12]
    assert found == known, f"{method.__qualname__} changed: check simulator/cocotb_runner.py, then record {found}"


def test_our_verilator_commands_differ_from_cocotb_s_as_meant(tmp_path, design, monkeypatch):
    from openppu_sim.simulator.cocotb_runner import WheelVerilator

    commands: list[list[str]] = []
    monkeypatch.setattr(WheelVerilator, "_execute", lambda self, cmds, cwd: commands.extend(cmds))
    monkeypatch.setenv("MAKEFLAGS", "-n")
    runner = WheelVerilator()
    runner.build(sources=[design], hdl_toplevel="counter", build_dir=tmp_path)
    verilate, make = commands
    assert "--vpi" in verilate
    assert "--public-flat-rw" not in verilate
    assert make[:3] == ["make", "-j", "2"]
    assert make[3:7] == ["-C", str(tmp_path), "-f", "Vtop.mk"]
    assert "MAKEFLAGS" not in runner.env
    assert "PATH" in runner.env
    assert os.environ["MAKEFLAGS"] == "-n"
