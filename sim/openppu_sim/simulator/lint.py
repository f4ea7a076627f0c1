"""Verilator's lint of emitted Verilog."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
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


def lint_apart(path: Path, top: str, parts: Sequence[str]) -> list[str]:
    """As `lint`, of a file whose whole takes too much memory: each of some modules as a top, and the rest without them.

    Verilator unrolls the hierarchy, so a module that is used a thousand times takes the memory of a thousand.

    Parameters
    ----------
    path : Path
    top : str
    parts : sequence of str
        Modules of which the rest sees the ports alone.
    """
    text = path.read_text(encoding="ascii")
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        rest = Path(folder) / path.name
        rest.write_text(_MODULE.sub(lambda module: _ports(module) if module[1] in parts else module[0], text))
        found = lint(rest, top)
    return found + [line for part in parts for line in lint(path, part)]


_MODULE = re.compile(r"^module (\w+) \(.*?^\);(.*?)^endmodule$", re.MULTILINE | re.DOTALL)


def _ports(module: re.Match[str]) -> str:
    """A module without what is in it."""
    header = module[0].removesuffix(f"{module[2]}endmodule").replace("output reg ", "output wire")
    rules = ("UNDRIVEN", "UNUSEDSIGNAL")
    off, on = ("".join(f"/* verilator lint_{way} {rule} */" for rule in rules) for way in ("off", "on"))
    return f"{off}\n{header}\nendmodule\n{on}"
