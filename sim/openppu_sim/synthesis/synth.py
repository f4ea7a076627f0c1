"""``make synth``: what a processing element costs, by the formats that are built in, and what a whole tile does."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from openppu.config import ChipConfig, load
from openppu.tile.cell import Cell
from openppu.tile.tile import Tile

from openppu_sim.progress import step
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table
from openppu_sim.synthesis.area import map_ecp5, map_gates

FORMAT_SETS = (
    ("int8",),
    ("fp8_e4m3", "fp8_e5m2"),
    ("fp16",),
    ("bf16",),
    ("int8", "bf16"),
    ("int8", "fp8_e4m3", "fp8_e5m2", "fp16", "bf16"),
)
FLOAT_LATENCY = 5
FLOAT_LOGIC_NS = 5.0
"""Of the 11.8 ns of 85 MHz; wires take the rest."""
PRESET = "ecp5"
LUT4_GOAL = {("bf16",): 620}
COMMAND = "make synth"
AREA_KEYS = ("lut4", "ccu2c", "dsp", "ff", "dpr16x4", "ebr", "gates", "gate_ff")
AREA_HEADERS = ("LUT4", "CCU2C", "DSP", "FF", "DPR16X4", "EBR", "gates", "gates' FF")


def with_formats(formats: tuple[str, ...], **changes: int) -> ChipConfig:
    """The preset ``ecp5`` with these formats, the latency that goes with them, and further changes of its tile."""
    latency = 1 if formats == ("int8",) else FLOAT_LATENCY
    return load(PRESET).replace(formats=formats, latency=latency, **changes)


def logic_ns(formats: tuple[str, ...]) -> float | None:
    """What to tell `map_ecp5` about a part with these formats: integers want speed, floats want few tables."""
    return None if formats == ("int8",) else FLOAT_LOGIC_NS


def cell_row(formats: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Map one processing element and return its row of the report."""
    chip = with_formats(formats)
    row = _row(f"cell {' '.join(formats)}", Cell(chip.tile), chip, folder)
    if formats in LUT4_GOAL:
        row |= {"goal": LUT4_GOAL[formats], "better": "lower"}
    return row


def tile_row(folder: Path) -> dict[str, Any]:
    """Map the preset's whole tile and return its row of the report."""
    chip = load(PRESET)
    tile = chip.tile
    return _row(f"tile {tile.rows}x{tile.columns} {' '.join(tile.formats)}", Tile(tile), chip, folder)


def _row(name: str, component: Cell | Tile, chip: ChipConfig, folder: Path) -> dict[str, Any]:
    top = name.replace(" ", "_")
    with step(f"synthesis of {name}"):
        ecp5 = map_ecp5(component, top=top, config=chip, folder=folder, logic_ns=logic_ns(chip.tile.formats))
        gates = map_gates(component, top=top, config=chip, folder=folder)
    row = {"name": name, "value": ecp5.lut4, "unit": "LUT4", "latency": chip.tile.latency}
    return row | asdict(ecp5) | {"gates": gates.gates, "gate_ff": gates.ff, "command": COMMAND}


def table(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines of the report's table."""
    return (
        ["part", "latency", *AREA_HEADERS],
        [[row["name"], row["latency"], *(row[key] for key in AREA_KEYS)] for row in rows],
    )


def run(folder: Path) -> Path:
    """Map everything, print the table and return the path of the JSON report.

    Raises
    ------
    UserError
        If the folder cannot be written.
    SimulationError
        If Yosys does not write whole results.
    """
    make_folder(folder)
    rows = [cell_row(formats, folder / "work") for formats in FORMAT_SETS]
    rows.append(tile_row(folder / "work"))
    print_table(*table(rows))
    return benchmark_json("synth", rows, folder=folder)
