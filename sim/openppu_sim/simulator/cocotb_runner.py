"""Run a cocotb testbench on Verilator or Icarus.

cocotb's own runners are adapted here and nowhere else: its Verilator runner looks for ``verilator`` on ``PATH`` and
makes every signal public, which costs most of the speed; its Icarus runner asks for SystemVerilog, while ours
is Verilog-2005.
"""

import contextlib
import inspect
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cocotb_tools import runner as cocotb_tools_runner

from openppu_sim import progress
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.simulator.model_cache import content_key, keep_only, make_once
from openppu_sim.simulator.toolchain import JOBS, find_icarus, find_toolchain
from openppu_sim.simulator.verilator import first_complaint

SIMULATORS = ("verilator", "icarus")
PARAMETERS = "OPENPPU_PARAMETERS"
TIMESCALE = ("1ns", "1ps")


@dataclass(frozen=True)
class TestResult:
    """One cocotb test: its name, whether it is ``passed``, ``failed`` or ``skipped``, and why it failed."""

    name: str
    status: str
    message: str = ""


class WheelVerilator(cocotb_tools_runner.Verilator):
    """cocotb's Verilator runner with the project's Verilator, and with only the ports of the top public."""

    def _simulator_in_path_build_only(self) -> None:
        self.tools = find_toolchain()
        self.executable = str(self.tools.verilator.path)

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        for name in set(os.environ) - set(self.tools.environment()):
            del self.env[name]
        self.env["LC_ALL"] = "C"
        verilate = [argument for argument in verilate if argument != "--public-flat-rw"]
        make = ["make", "-j", str(JOBS), *make[3:], "OPT_FAST=-O2", *self.tools.make_settings()]
        return [verilate, make]


class PlainIcarus(cocotb_tools_runner.Icarus):
    """cocotb's Icarus runner for Verilog-2005 sources, where ``always @*`` runs at time 0."""

    def _create_iverilog_dump_file(self) -> None:
        # cocotb's needs SystemVerilog strings; a bare file name lands in the run's folder.
        dump = f'initial begin $dumpfile("{self.hdl_toplevel}.fst"); $dumpvars(0, {self.hdl_toplevel}); end'
        self.iverilog_dump_file.write_text(f"module cocotb_iverilog_dump;\n{dump}\nendmodule\n", encoding="ascii")

    def _build_command(self) -> list[list[str]]:
        commands: list[list[str]] = super()._build_command()
        return [["-g2005" if word == "-g2012" else word for word in command] for command in commands]


RUNNERS: dict[str, type[cocotb_tools_runner.Runner]] = {"verilator": WheelVerilator, "icarus": PlainIcarus}


def simulate(
    verilog: Path,
    *,
    top: str,
    test_module: str,
    build_root: Path,
    sim: str = "verilator",
    parameters: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    testcase: str | None = None,
    seed: int | None = None,
    waves: bool = False,
    control: str = "",
) -> list[TestResult]:
    """Build the model unless it is there, run the cocotb tests of a module on it, and return what they said.

    Parameters
    ----------
    verilog : Path
        One self-contained Verilog file.
    top : str
        Its top module.
    test_module : str
        Python module with the cocotb tests, importable from here.
    build_root : Path
        Folder for models and runs.
    sim : {"verilator", "icarus"}
        The simulator.
    parameters : mapping, optional
        Anything JSON can say; the testbench reads it with `parameters`.
    env : mapping, optional
        More environment variables for the testbench.
    testcase : str, optional
        The one test to run; all of the module otherwise.
    seed : int, optional
        Seed of the testbench's random numbers, 1 by default. The environment variable ``OPENPPU_SEED`` wins.
    waves : bool
        Keep the run's folder, with a wave file in it. The environment variable ``WAVES`` (0 or 1) wins.
    control : str
        More lines for the Verilator control file.

    Returns
    -------
    list of TestResult
        All passed or skipped.

    Raises
    ------
    SimulationError
        If a test fails, none ran, or the simulator ends early; the message holds simulator, seed, parameters and
        the command that repeats the run.
    UserError
        If a tool is missing, or the model cannot be built.
    """
    if sim not in SIMULATORS:
        raise UserError(f"simulator {sim!r}: give one of {', '.join(SIMULATORS)}")
    seed = int(os.environ.get("OPENPPU_SEED", "1" if seed is None else f"{seed}"))
    waves = os.environ.get("WAVES", f"{int(waves)}") not in ("", "0")
    model = _model(verilog, top, sim, build_root, waves, control)

    runs = build_root.absolute() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    run = Path(tempfile.mkdtemp(prefix=f"{test_module.rsplit('.', 1)[-1]}-{sim}-", dir=runs))
    results_file, log = run / "results.xml", run / "simulation.log"
    runner = RUNNERS[sim]()
    extra = {**(env or {}), PARAMETERS: json.dumps(dict(parameters or {})), "WAVES": f"{int(waves)}"}
    with contextlib.suppress(RuntimeError, SystemExit):  # the results say which test failed
        runner.test(
            test_module,
            top,
            hdl_toplevel_lang="verilog",
            testcase=testcase,
            seed=seed,
            build_dir=model,
            test_dir=run,
            results_xml=str(results_file),
            log_file=log,
            waves=waves,
            extra_env=extra,
        )

    results = read_results(results_file) if results_file.is_file() else []
    failed = [result for result in results if result.status == "failed"]
    if failed or not any(result.status == "passed" for result in results):
        command = _command(test_module, seed)
        raise SimulationError(
            _report(failed, results, sim=sim, seed=seed, parameters=parameters, run=run, again=command)
        )
    if waves:
        print(f"waves: {run / ('dump.vcd' if sim == 'verilator' else top + '.fst')}", file=sys.stderr)
    else:
        shutil.rmtree(run)
    return results


def parameters() -> dict[str, Any]:
    """What `simulate` was given as ``parameters``; for use inside a testbench."""
    values: dict[str, Any] = json.loads(os.environ.get(PARAMETERS, "{}"))
    return values


def top_ports(verilog: str, top: str) -> list[str]:
    """Names of a module's ports, from the text of a Verilog file.

    Raises
    ------
    UserError
        If there is no such module.
    """
    header = re.search(rf"^\s*module\s+{re.escape(top)}\b[^;]*?\(([^()]*)\)\s*;", verilog, re.MULTILINE)
    if header is None:
        raise UserError(f"the Verilog has no module {top!r} with a list of ports")
    return [port.split()[-1] for port in header[1].split(",") if port.strip()]


def read_results(path: Path) -> list[TestResult]:
    """The tests in a JUnit file that cocotb wrote."""
    results = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped") is not None
        status = "skipped" if skipped else "passed" if bad is None else "failed"
        message = "" if bad is None else bad.get("error_msg") or bad.get("message") or (bad.text or "")
        results.append(TestResult(case.get("name", ""), status, message.strip()))
    return results


def _model(verilog: Path, top: str, sim: str, build_root: Path, waves: bool, control: str) -> Path:
    """The folder of the built model."""
    try:
        text = verilog.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{verilog}: cannot be read: {error.strerror}") from None
    ports = top_ports(text, top)
    control_lines = ["`verilator_config", *(f'public_flat_rw -module "{top}" -var "{port}"' for port in ports), control]
    if sim == "icarus":
        icarus = find_icarus()
        if icarus is None:
            raise UserError("Icarus Verilog is missing; install it with `apt-get install iverilog`, or use verilator")
        tools = icarus.version
    else:
        tools = find_toolchain().key
    adapted = inspect.getsource(RUNNERS[sim])
    key = content_key(text, top, tools, f"{waves}", *control_lines, adapted, sys.prefix, f"{TIMESCALE}")
    models = build_root.absolute() / "models"
    name = f"{top}-{sim}-{key}"
    log = models / f"{name}.log"

    def make(folder: Path) -> None:
        source, control_file = folder / "design.v", folder / "control.vlt"
        source.write_text(text, encoding="utf-8")
        control_file.write_text("\n".join(control_lines) + "\n", encoding="utf-8")
        try:
            RUNNERS[sim]().build(
                sources=[source] if sim == "icarus" else [control_file, source],
                hdl_toplevel=top,
                build_dir=folder,
                always=True,
                waves=waves,
                timescale=TIMESCALE,
                build_args=[] if sim == "icarus" else ["-Wno-fatal"],
                log_file=log,
            )
        except RuntimeError:
            raise UserError(f"{sim} cannot build {top}: {first_complaint(log)}; whole log in {log}") from None
        keep_only(folder, ["design.v", "control.vlt", top, "sim.vvp"])

    if (models / name).is_dir():
        return models / name
    with progress.step(f"building the {sim} model of {top}"):
        return make_once(models, name, make)


def _command(test_module: str, seed: int) -> str:
    """The line that repeats this run."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
    words = [sys.executable, "-m", "pytest", test] if test else [sys.executable, *sys.argv]
    return f"OPENPPU_SEED={seed} WAVES=1 {shlex.join(words)}"


def _report(
    failed: list[TestResult],
    results: list[TestResult],
    *,
    sim: str,
    seed: int,
    parameters: Mapping[str, Any] | None,
    run: Path,
    again: str,
) -> str:
    what = f"{len(failed)} of {len(results)} tests failed" if failed else "no test passed" if results else "no results"
    lines = [f"{what} on {sim}, seed {seed}, parameters {json.dumps(dict(parameters or {}))}"]
    lines += [f"  {result.name}: {result.message[:2000]}" for result in failed]
    log = run / "simulation.log"
    if not results and log.is_file():
        lines += ["  " + line for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]]
    return "\n".join([*lines, f"log: {log}", f"repeat: {again}"])
