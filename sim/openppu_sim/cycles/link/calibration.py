"""What the model takes as given, each figure with its kind and source."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openppu_sim.errors import UserError, require

PACKAGED = Path(__file__).with_name("calibration.toml")
KINDS = ("measured", "reported", "assumed")
LIMITS = {"packet_beats": (1, 4096), "lead_beats": (0, 4096), "tunnel_share": (0.001, 1)}
"""Of figures that others are divided by, or that become bytes."""

ROW_PREFIX = "calibration "
"""Of the names of a benchmark's rows that give a figure: ``calibration port_clocks``."""


@dataclass(frozen=True)
class Figure:
    """A number that the model uses: what it is, and how it is known."""

    name: str
    value: float
    unit: str
    kind: str
    source: str

    def row(self) -> list[str]:
        """Cells for a table."""
        return [self.name, f"{self.value:g} {self.unit}", self.kind, self.source]


class Calibration:
    """The figures of ``calibration.toml``, or of another file, by name: ``calibration.port_clocks`` is a value."""

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        self.figures = dict(figures)

    def __getattr__(self, name: str) -> float:
        try:
            return self.__dict__["figures"][name].value
        except KeyError:
            raise AttributeError(name) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calibration) and self.figures == other.figures

    def __hash__(self) -> int:
        return hash(tuple(sorted((name, figure.value) for name, figure in self.figures.items())))


def load_calibration(path: Path | None = None) -> Calibration:
    """The packaged figures, with those of a file in their place.

    Parameters
    ----------
    path : Path, optional
        A TOML file as ``calibration.toml``, with some or all of its entries, or a JSON file as benchmarks write it.

    Raises
    ------
    UserError
        If it cannot be read, has no entry, or one is unknown, no number within its limits, or of another unit or kind.
    """
    figures = _figures(tomllib.loads(PACKAGED.read_text(encoding="utf-8")), PACKAGED)
    if path is not None:
        known = figures
        read = _bench_entries(path) if path.suffix == ".json" else _toml_entries(path)
        for name, entry in read.items():
            if name not in known:
                raise UserError(f"{path}: {name}: not a figure of the model; known: {', '.join(known)}")
            if isinstance(entry, dict) and entry.get("unit") != known[name].unit:
                raise UserError(f"{path}: {name}: unit {entry.get('unit')!r}: give it in {known[name].unit}")
        figures = known | _figures(read, path)
    return Calibration(figures)


def _toml_entries(path: Path) -> dict[str, Any]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    if not entries:
        raise UserError(f"{path}: has no figure, which the model could use")
    return entries


def _bench_entries(path: Path) -> dict[str, Any]:
    """The calibration rows of a benchmark's file."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows = {row["name"]: row for row in report["rows"]}
        commit = str(report["commit"])[:12]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a file of a benchmark, as `openppu bench` writes them") from None
    entries = {}
    for name, row in rows.items():
        if str(name).startswith(ROW_PREFIX):
            source = f"{row.get('command', path)}, commit {commit}"
            entries[name.removeprefix(ROW_PREFIX)] = {
                "value": row.get("value"),
                "unit": row.get("unit"),
                "kind": "measured",
                "source": source,
            }
    if not entries:
        raise UserError(f"{path}: has no row named {ROW_PREFIX}NAME, which the model could use")
    return entries


def _figures(entries: Mapping[str, Any], path: Path) -> dict[str, Figure]:
    figures = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict) or set(entry) != {"value", "unit", "kind", "source"}:
            raise UserError(f"{path}: {name}: give value, unit, kind and source, and nothing else")
        value = entry["value"]
        if type(value) not in (int, float):
            raise UserError(f"{path}: {name}.value = {str(value)[:40]!r}: give a number")
        require(f"{path}: {name}.value =", value, *LIMITS.get(name, (0, 1_000_000_000)))
        if entry["kind"] not in KINDS:
            raise UserError(f"{path}: {name}.kind = {entry['kind']!r}: give one of {', '.join(KINDS)}")
        figures[name] = Figure(name, float(value), str(entry["unit"]), entry["kind"], str(entry["source"]))
    return figures
