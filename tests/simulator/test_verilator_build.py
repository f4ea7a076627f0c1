"""One executable from Verilog and a C++ main: reused while its inputs stay, and clear when it cannot be built."""

import os
import subprocess
from pathlib import Path

import pytest
from counter import write_counter
from openppu_sim.errors import UserError
from openppu_sim.simulator.verilator import build

MAIN = """
#include <cstdio>
#include "Vtop.h"
#include "cycles.h"

int main() {
    VerilatedContext context;
    Vtop top{&context};
    top.enable = 1;
    for (int cycle = 0; cycle < CYCLES; ++cycle) {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    }
    std::printf("%d %d\\n", top.count, top.constant);
}
"""


@pytest.fixture
def sources(tmp_path) -> dict[str, Path]:
    """A design, its C++ main and a header."""
    (tmp_path / "main.cpp").write_text(MAIN)
    (tmp_path / "cycles.h").write_text("#define CYCLES 9\n")
    return {"design": write_counter(tmp_path), "main": tmp_path / "main.cpp", "header": tmp_path / "cycles.h"}


def make(sources, build_root: Path, **changes) -> Path:
    """Build the counter."""
    arguments = {"cpp_main": sources["main"], "headers": [sources["header"]], **changes}
    return build([sources["design"]], "counter", build_root, **arguments)


def test_the_executable_runs_and_is_reused(sources, build_root, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "-n")  # as an outer `make -n` would leave it
    monkeypatch.setenv("VERILATOR_ROOT", "/nope")
    program = make(sources, build_root)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "9 7\n"
    assert sorted(path.name for path in program.parent.iterdir()) == ["control.vlt", "simulator"]

    before = program.stat()
    assert make(sources, build_root) == program
    assert program.stat() == before
    monkeypatch.chdir("/")
    assert make(sources, Path(os.path.relpath(build_root, "/"))) == program


def test_a_model_that_lost_its_simulator_says_so(sources, tmp_path):
    program = make(sources, tmp_path / "build")
    program.unlink()
    with pytest.raises(UserError, match="its simulator is gone; delete the folder"):
        make(sources, tmp_path / "build")


def test_verilator_s_library_is_compiled_once(sources, tmp_path):
    logs = []
    for cycles in (9, 5):
        sources["header"].write_text(f"#define CYCLES {cycles}\n")
        program = make(sources, tmp_path)
        assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == f"{cycles} 7\n"
        logs.append(program.parent.with_suffix(".log").read_text())
    assert [log.count("verilated.cpp") > 0 for log in logs] == [True, False]


def test_every_input_changes_the_key(sources, tmp_path, monkeypatch):
    built: list[str] = []

    def pretend(root: Path, name: str, make) -> Path:
        built.append(name)
        return root / name

    monkeypatch.setattr("openppu_sim.simulator.verilator.make_once", pretend)
    make(sources, tmp_path)
    for change in (
        {"control": 'no_inline_module -module "counter"'},
        {"defines": {"CYCLES": "3"}},
        {"verilate": ["-fno-dfg"]},
        {"compile_flags": ["-fno-dfg"]},
        {"trace": True},
        {"headers": []},
    ):
        make(sources, tmp_path, **change)
    for name in ("design", "main", "header"):
        sources[name].write_text(sources[name].read_text() + "\n")
        make(sources, tmp_path)
    monkeypatch.setenv("CXX", "g++")
    make(sources, tmp_path)
    assert len(set(built)) == len(built) == 11


def test_what_a_tool_rejects_is_one_line_with_the_log(sources, tmp_path):
    sources["design"].write_text("module counter(clk);\n  input clk;\n  nonsense\nendmodule\n")
    with pytest.raises(UserError, match=r"Verilator, on counter, failed .exit code .*%Error.*whole log in") as error:
        make(sources, tmp_path / "build")
    assert "\n" not in str(error.value)
    log = Path(str(error.value).rsplit(" ", 1)[1])
    assert "syntax error" in log.read_text()

    sources["design"].write_text("module counter(input clk);\nendmodule\n")
    with pytest.raises(UserError, match=r"the C.. compiler \(/.*\), on counter, failed .*has no member named 'enable'"):
        make(sources, tmp_path / "build")
    assert not [path for path in (tmp_path / "build" / "models").iterdir() if path.is_dir()]


def test_a_missing_source_is_refused(sources, tmp_path):
    with pytest.raises(UserError, match=r"gone\.cpp: cannot be read: No such file"):
        make(sources, tmp_path, cpp_main=tmp_path / "gone.cpp")


def test_an_unwritable_build_folder_is_refused(sources, tmp_path):
    (tmp_path / "build").write_text("a file")
    with pytest.raises(UserError, match=r"build folder .* cannot be written"):
        make(sources, tmp_path / "build")
