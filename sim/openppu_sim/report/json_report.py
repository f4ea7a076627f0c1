"""JSON files that other programs read: written whole or not at all, with where and from what they were made."""

import contextlib
import json
import math
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from openppu.whole_files import place, whole_files

from openppu_sim.errors import UserError

SCHEMA = 1
"""Version of every JSON file written here; it changes when a key changes its meaning or goes."""

CHECKOUT = Path(__file__).resolve().parents[3]
BENCH_FOLDER = Path("build/bench")


def write_json(path: str | os.PathLike[str], obj: object) -> Path:
    """Write ``obj`` as indented JSON, making folders as needed, and return the path.

    The file appears whole or not at all: it is written beside its place and then renamed. NaN and infinity are
    refused, since JSON has neither.

    Raises
    ------
    UserError
        If the folder cannot be made or written; the message names it.
    ValueError
        If ``obj`` holds NaN or infinity.
    """
    path = Path(path)
    text = json.dumps(obj, indent=2, allow_nan=False) + "\n"
    make_parents(path)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the name of a file to write beside ``path``, which then takes its place.

    Raises
    ------
    UserError
        If the file cannot be written, or something else than a regular, writable file is there; ``path`` is as it was.
    """
    try:
        with whole_files(path) as (temporary,):
            yield temporary
    except OSError as error:
        raise unwritable(path, error) from error


def writable(path: Path) -> None:
    """Check that a file can be made at ``path``, without making anything.

    Raises
    ------
    UserError
        If something else than a regular, writable file is there, or its folder is not there or cannot be written.
    """
    try:
        folder = place(path).parent
        if not folder.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {path.parent}; make it, or choose another")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> UserError:
    """The message for a file or folder that cannot be written."""
    return UserError(f"cannot write {path}: {error.strerror or error}; choose another place or change its permissions")


def make_parents(path: Path) -> None:
    """Make the folders that a file goes into.

    Raises
    ------
    UserError
        If they cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def make_folder(path: Path) -> None:
    """Make a folder for reports, before a long run whose figures would else be lost.

    Raises
    ------
    UserError
        If it cannot be made, or files cannot be made in it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


def commit() -> str:
    """The checkout's git commit, with ``-dirty`` when files differ from it; ``unknown`` outside a checkout."""
    if not (CHECKOUT / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, str | int]:
    """Processor, cores this process may use, system and Python version."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": cores,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def add_section(path: Path, name: str, section: Mapping[str, Any]) -> Path:
    """Add a section to the report of ``make sim``, and leave what else is in it; the path.

    Raises
    ------
    UserError
        If there is a file that is no such report, or it cannot be written.
    """
    report: dict[str, Any] = {"schema": SCHEMA, "commit": commit(), "machine": machine()}
    if path.exists():
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            report["schema"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path}: no report of `make sim`; delete it, or choose another --output") from None
    report[name] = section
    return write_json(path, report)


def benchmark_json(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    folder: Path = BENCH_FOLDER,
    about: Mapping[str, object] | None = None,
    beside: bool = False,
) -> Path:
    """Write a benchmark's rows to ``<folder>/<name>.json`` and return the path.

    Parameters
    ----------
    name : str
        The benchmark.
    rows : sequence of mappings
        Each with ``name`` (str, unique), ``value`` (finite number) and ``unit`` (str); where there is one, ``goal``
        (number) with ``better`` (``higher`` or ``lower``), ``peer`` (str or number) and ``command`` (the line that
        repeats it). Further keys may hold a string, a finite number, a boolean or None.
    folder : Path
    about : mapping, optional
        Of a benchmark that is none of ``openppu bench``: its ``description``, ``command``, and ``columns``, the further
        keys that tables show. Then it is in ``docs/benchmarks.md``, too.
    beside : bool
        Rows of other names that the file has stay in it.

    Raises
    ------
    ValueError
        If there is no row, or a row breaks these rules; the message names the row and the key.
    UserError
        If the file cannot be written.
    """
    if not rows:
        raise ValueError(f"benchmark {name!r} has no rows")
    seen: set[str] = set()
    for index, row in enumerate(rows):
        problem = _row_problem(row)
        if problem is None and row["name"] in seen:
            problem = "the name stands twice"
        if problem:
            raise ValueError(f"benchmark {name!r}, row {index} ({row.get('name')!r}): {problem}")
        seen.add(row["name"])
    path = Path(folder) / f"{name}.json"
    kept = _beside_others(path, rows) if beside else rows
    report = {"schema": SCHEMA, "commit": commit(), "machine": machine(), "rows": [dict(row) for row in kept]}
    if about is not None:
        report["about"] = dict(about)
    return write_json(path, report)


def _beside_others(path: Path, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows, in the places of those of a file that have their names."""
    if not path.is_file():
        return list(rows)
    try:
        old = json.loads(path.read_text(encoding="utf-8"))["rows"]
        fresh = {row["name"]: row for row in rows}
        kept = [fresh.pop(row["name"], row) for row in old]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: no benchmark's rows; delete it, and measure again") from None
    return [*kept, *fresh.values()]


def _row_problem(row: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a benchmark row, or None."""
    for key in ("name", "value", "unit"):
        if key not in row:
            return f"{key} is missing"
    for key in ("name", "unit", "command"):
        if key in row and not (isinstance(row[key], str) and row[key]):
            return f"{key} is {row[key]!r}, not a non-empty string"
    for key in ("value", "goal"):
        if key in row and not _is_number(row[key]):
            return f"{key} is {row[key]!r}, not a finite number"
    if "peer" in row and not (isinstance(row["peer"], str) or _is_number(row["peer"])):
        return f"peer is {row['peer']!r}, not a string or a finite number"
    if "better" in row and row["better"] not in ("higher", "lower"):
        return f"better is {row['better']!r}, not 'higher' or 'lower'"
    if "goal" in row and "better" not in row:
        return "better is missing beside goal"
    for key, value in row.items():
        if not (value is None or isinstance(value, str | bool) or _is_number(value)):
            return f"{key} is {value!r}, not a string, a finite number, a boolean or None"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
