"""Benchmark rows as tables: on the terminal, and as the page ``docs/benchmarks.md``."""

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from openppu_sim.bench import benchmarks
from openppu_sim.errors import UserError
from openppu_sim.report.json_report import BENCH_FOLDER
from openppu_sim.report.table import Cell, cell_text

Row = Mapping[str, Any]
COMMAND = "python -m openppu_sim.report.benchmark_table > docs/benchmarks.md"
"""Writes the page from ``build/bench/*.json``."""
INTRODUCTION = f"""\
# Benchmarks

`make bench` measures all of this again, prints it, and writes `build/bench/*.json`. This page is generated from those
files: `{COMMAND}`."""


def table(module: ModuleType, rows: Sequence[Row]) -> tuple[list[str], list[list[Cell]]]:
    """Headers and cells of a benchmark: name, its own ``COLUMNS``, value, and goal and peer where a row has one."""
    return _table(list(getattr(module, "COLUMNS", ())), rows)


def _table(extra: list[str], rows: Sequence[Row]) -> tuple[list[str], list[list[Cell]]]:
    optional = [key for key in ("goal", "peer") if any(key in row for row in rows)]
    headers = ["name", *extra, "value", "unit", *optional] + ["met"] * ("goal" in optional)
    lines = []
    for row in rows:
        line: list[Cell] = [row.get(key) for key in ("name", *extra, "value", "unit")]
        if "goal" in optional:
            signs = {"higher": ">= ", "lower": "<= "}
            line.append(signs[row["better"]] + cell_text(row["goal"]) if "goal" in row else None)
        if "peer" in optional:
            line.append(row.get("peer"))
        if "goal" in optional:
            line.append({True: "yes", False: "NO", None: None}[meets_goal(row)])
        lines.append(line)
    return headers, lines


def meets_goal(row: Row) -> bool | None:
    """Whether the value is as good as the goal; None without a goal."""
    if "goal" not in row:
        return None
    better = row["better"] == "higher"
    return bool(row["value"] >= row["goal"] if better else row["value"] <= row["goal"])


def page(folder: Path = BENCH_FOLDER) -> str:
    """The text of ``docs/benchmarks.md``, from the JSON files that benchmarks have left in ``folder``.

    Raises
    ------
    UserError
        If there is none, or one cannot be read.
    """
    parts = [INTRODUCTION]
    known = benchmarks()
    for path in sorted(folder.glob("*.json")):
        report = _report(path)
        if path.stem in known:
            module = known[path.stem]
            columns = list(getattr(module, "COLUMNS", ()))
            parts.append(
                _section(path.stem, inspect.getdoc(module) or "", f"openppu bench {path.stem}", columns, report)
            )
        elif "about" in report:
            about = report["about"]
            parts.append(_section(path.stem, about["description"], about["command"], about["columns"], report))
    if len(parts) == 1:
        raise UserError(f"no figures in {folder}: run `openppu bench` first")
    return "\n\n".join(parts) + "\n"


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run `openppu bench {path.stem}` again") from None
    return report


def short_commit(commit: str) -> str:
    """The first 12 digits of a commit, and whether files differed from it."""
    return commit[:12] + "-dirty" * commit.endswith("-dirty")


def _section(name: str, description: str, command: str, columns: list[str], report: Mapping[str, Any]) -> str:
    headers, lines = _table(columns, report["rows"])
    machine = report["machine"]
    where = f"Commit `{short_commit(report['commit'])}`, {machine['processor']}, {machine['cores']} cores"
    where += f": `{command}`"
    right = [all(isinstance(line[i], int | float | None) for line in lines) for i in range(len(headers))]
    rule = "|".join("---:" if numbers else "---" for numbers in right)
    text = [f"## {name}", "", description, "", where, "", f"| {' | '.join(headers)} |", f"|{rule}|"]
    text += [f"| {' | '.join(map(cell_text, line))} |" for line in lines]
    return "\n".join(text)


if __name__ == "__main__":
    try:
        print(page(), end="")
    except UserError as error:
        sys.exit(f"error: {error}")
