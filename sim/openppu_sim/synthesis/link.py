"""``make synth-link`` and ``make pnr-link``: area and clock of a port of the link, and the page of both."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openppu.config import load
from openppu.link.config import LinkConfig
from openppu.link.port import Port

from openppu_sim.progress import step
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table
from openppu_sim.synthesis.area import ecp5_area, gate_area
from openppu_sim.synthesis.harness import Harness
from openppu_sim.synthesis.hbm import ECP5, GATES, map_modules
from openppu_sim.synthesis.page import markdown, rows
from openppu_sim.synthesis.place import PACKAGE, SPEED_GRADE, place
from openppu_sim.synthesis.yowasp import OutOfTimeError, require_tool

PORTS = {
    "one lane": LinkConfig(ports=1, lanes=1, lane_bits=16, window=16, credits=8, skew_words=8),
    "tiny": load("tiny").link,
    "demo": load("demo").link,
}
PLACED = ("one lane", "tiny")
"""What is placed and routed."""

SEED = 1
TARGET = 60.0
"""Clock that the placer aims at, MHz."""

CLOCK_SECONDS = 1800.0
"""For one of them, after which it is left out."""

AREA_COMMAND, CLOCK_COMMAND = "make synth-link", "make pnr-link"
AREA_KEYS = ("lut4", "ccu2c", "ff", "dpr16x4", "ebr", "gates", "gate_ff")
AREA_HEADERS = ("LUT4", "CCU2C", "FF", "DPR16X4", "EBR", "gates", "FF among them")
CLOCK_KEYS = ("value", "comb", "ff", "ebr", "logic_ns", "routing_ns")
CLOCK_HEADERS = ("MHz", "tables", "FF", "EBR", "logic ns", "routing ns")

PAGE = """\
# Area and clock of a port of the link

What a port of [the link](link.md) costs on a Lattice ECP5 and in generic gates: lanes, training, flits, CRC-32, retry,
credits, packer and unpacker, without FEC, tunnel included. This page is generated: `make link-synthesis-page`.

{ports}

The replay buffer and the receive buffer are block memories (EBR, 18 kbit each); a flit is 256 bytes.

## Area

`make synth-link`; cells are explained [there](synthesis.md#area). taxi's 25G Ethernet, MAC and PCS of one lane, takes
about 3,000 six-input LUT and 2,500 FF, and neither retries nor has credits.

{area}
"""
CLOCK = """
## Clock

`make pnr-link` puts a port into the harness of [the tile's](synthesis.md#clock), and has nextpnr place and route it for
an LFE5UM-85F ({package}, speed grade {speed}), aiming at {target:g} MHz, with one seed.

{clock}
"""


def _name(name: str) -> str:
    return name.replace(" ", "_")


def described(config: LinkConfig) -> str:
    """A port in words."""
    return (
        f"{config.lanes} lane{'s' * (config.lanes > 1)} of {config.lane_bits} bits, {config.window} flits to replay, "
        f"{config.credits} flits a virtual channel to receive"
    )


def area_row(name: str, folder: Path) -> dict[str, Any]:
    """Map a port to ECP5 and to gates; the row of the report."""
    port, top = PORTS[name], f"port_{_name(name)}"
    with step(f"synthesis of a port, {name}"):
        area = ecp5_area(map_modules(Port(port), ECP5, "ecp5", top=top, folder=folder)[1])
        gates = gate_area(map_modules(Port(port), GATES, "gates", top=top, folder=folder)[1])
    return {
        "name": f"port {name}",
        "value": area.lut4,
        "unit": "LUT4",
        "port": name,
        **asdict(area),
        "gates": gates.gates,
        "gate_ff": gates.ff,
        "command": AREA_COMMAND,
    }


def clock_row(name: str, folder: Path) -> dict[str, Any]:
    """Place and route a port within a harness; the row of the report."""
    top = f"port_{_name(name)}_harness"
    with step(f"synthesis of a port, {name}, with its harness"):
        map_modules(Harness(Port(PORTS[name])), ECP5, "ecp5", top=top, folder=folder)
    with step(f"place and route of a port, {name}"):
        placed = place(top, folder=folder, seed=SEED, target=TARGET, seconds=CLOCK_SECONDS)
    return {
        "name": f"port {name}",
        "value": round(placed.fmax, 2),
        "unit": "MHz",
        "port": name,
        **placed.used,
        "from": placed.start,
        "to": placed.end,
        "logic_ns": round(placed.logic, 2),
        "routing_ns": round(placed.routing, 2),
        "command": CLOCK_COMMAND,
    }


def table(
    found: Sequence[Mapping[str, Any]], keys: Sequence[str], headers: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines: a port a line."""
    return ["port", *headers], [[row["port"], *(row[key] for key in keys)] for row in found]


def run_area(folder: Path) -> Path:
    """Map all ports, print the table and return the path of the JSON report.

    Raises
    ------
    UserError
        If the folder cannot be written.
    SimulationError
        If Yosys does not write whole results.
    """
    make_folder(folder)
    found = [area_row(name, folder / "work") for name in PORTS]
    print_table(*table(found, AREA_KEYS, AREA_HEADERS))
    return benchmark_json("synth-link", found, folder=folder)


def run_clock(folder: Path) -> Path:
    """Place and route each of `PLACED`, print the table and return the path of the JSON report.

    Raises
    ------
    UserError
        If nextpnr is missing, or the folder cannot be written.
    SimulationError
        If a tool does not write whole results.
    """
    require_tool("nextpnr_ecp5")
    make_folder(folder)
    found = []
    for name in PLACED:
        try:
            found.append(clock_row(name, folder / "work"))
        except OutOfTimeError as error:
            print(f"{name}: left out: {error}")
    print_table(*table(found, CLOCK_KEYS, CLOCK_HEADERS))
    return benchmark_json("pnr-link", found, folder=folder)


def page(build: Path) -> str:
    """The text of ``docs/link-synthesis.md``.

    Raises
    ------
    UserError
        If there are no figures of the area.
    """
    ports = "\n".join(f"- `{name}`: {described(config)}." for name, config in PORTS.items())
    area = rows(build / "synth-link" / "synth-link.json", "synth-link")
    text = PAGE.format(ports=ports, area=markdown(*table(area, AREA_KEYS, AREA_HEADERS)))
    placed = build / "pnr-link" / "pnr-link.json"
    if placed.is_file():
        clock = markdown(*table(rows(placed, "pnr-link"), CLOCK_KEYS, CLOCK_HEADERS))
        text += CLOCK.format(package=PACKAGE, speed=SPEED_GRADE, target=TARGET, clock=clock)
    return text
