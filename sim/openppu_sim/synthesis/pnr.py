"""``make pnr``: the clock frequency of small tiles on a Lattice ECP5-85."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from openppu.tile.tile import Tile

from openppu_sim.progress import step
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table
from openppu_sim.synthesis.area import map_ecp5
from openppu_sim.synthesis.harness import Harness
from openppu_sim.synthesis.place import DEVICE, PACKAGE, SPEED_GRADE, Placement, place
from openppu_sim.synthesis.synth import logic_ns, with_formats
from openppu_sim.synthesis.yowasp import require_tool

SEEDS = (1, 2, 3)
COMMAND = ".venv/bin/python -m openppu_sim.synthesis pnr"


@dataclass(frozen=True)
class Design:
    """A tile to place and route: ``size`` x ``size`` cells of one format, and the clock to aim at, MHz."""

    format: str
    size: int
    target: float
    goal: bool = False

    @property
    def name(self) -> str:
        """As the table and the files have it."""
        return f"tile {self.size}x{self.size} {self.format}"


DESIGNS = (Design("bf16", 4, 85, goal=True), Design("int8", 4, 130, goal=True))


def design_row(design: Design, seeds: Sequence[int], folder: Path) -> dict[str, Any]:
    """Map, place and route a design with each seed, and return its row of the report."""
    chip = with_formats((design.format,), rows=design.size, columns=design.size)
    top = design.name.replace(" ", "_")
    with step(f"synthesis of {design.name}"):
        harness = Harness(Tile(chip.tile))
        map_ecp5(harness, top=top, config=chip, folder=folder, logic_ns=logic_ns(chip.tile.formats))
    placements = []
    for seed in seeds:
        with step(f"place and route of {design.name}, seed {seed}"):
            placements.append(place(top, folder=folder, seed=seed, target=design.target))
    return row(design, dict(zip(seeds, placements, strict=True)))


def row(design: Design, placements: dict[int, Placement]) -> dict[str, Any]:
    """The report's row of a design: the best seed's figures, and what the others reached."""
    seed, best = max(placements.items(), key=lambda item: item[1].fmax)
    clocks = [placement.fmax for placement in placements.values()]
    result: dict[str, Any] = {"name": design.name, **best.row()}
    if design.goal:
        result |= {"goal": design.target, "better": "higher"}
    return result | {
        "seed": seed,
        "each_seed": ", ".join(f"{clock:.1f}" for clock in clocks),
        "median": round(median(clocks), 2),
        "seeds": len(clocks),
        "device": f"LFE5{DEVICE[:-4].upper()}-85F, {PACKAGE}, speed grade {SPEED_GRADE}",
        "command": f"{COMMAND} --seeds {len(clocks)} --only '{design.name.removeprefix('tile ')}'",
    }


def _met(row: dict[str, Any]) -> str:
    return ("yes" if row["value"] >= row["goal"] else "no") if "goal" in row else ""


def table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines of the report's table."""
    return (
        ["design", "MHz", "goal", "met", "each seed", "tables", "FF", "DSP", "EBR", "logic ns", "routing ns"],
        [
            [
                *(row["name"], row["value"], row.get("goal"), _met(row)),
                row["each_seed"],
                *(row[key] for key in ("comb", "ff", "dsp", "ebr", "logic_ns", "routing_ns")),
            ]
            for row in rows
        ],
    )


def run(folder: Path, *, seeds: Sequence[int] = SEEDS, designs: Sequence[Design] = DESIGNS) -> Path:
    """Place and route the designs, print the table and return the path of the JSON report.

    Raises
    ------
    UserError
        If nextpnr is missing, or the folder cannot be written.
    SimulationError
        If a tool does not write whole results.
    """
    require_tool("nextpnr_ecp5")
    make_folder(folder)
    rows = [design_row(design, seeds, folder / "work") for design in designs]
    print_table(*table(rows))
    for each in rows:
        print(f"{each['name']}: the slowest path runs from {each['from']} to {each['to']}")
    return benchmark_json("pnr", rows, folder=folder)
