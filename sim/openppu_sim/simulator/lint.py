"""Verilator's lint of emitted Verilog."""

import subprocess
from pathlib import Path

import openppu

from openppu_sim.simulator.toolchain import find_perl, find_verilator

WAIVERS = Path(openppu.__file__).with_name("waivers.vlt")
"""All that is waived, each with its reason."""


def lint(path: Path, top: str, *, waivers: Path | None = WAIVERS) -> list[str]:
    """What ``verilator --lint-only -Wall`` says of a file: one line for each warning or error.

    Parameters
    ----------
    path : Path
        The Verilog file.
    top : str
        Its top module.
    waivers : Path, optional
        A control file; the project's waivers by default, none with None.

    Raises
    ------
    UserError
        If Verilator is missing.
    """
    find_perl()
    verilator = find_verilator()
    files = [f"{file}" for file in (waivers, path) if file]
    command = [f"{verilator.path}", "--lint-only", "-Wall", "--top-module", top, *files]
    result = subprocess.run(
        command, env=verilator.environment(), capture_output=True, text=True, errors="replace", check=False
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("%") and "Exiting due to" not in line]
    return lines or (["Verilator failed: " + result.stderr.strip()[-300:]] if result.returncode else [])
