"""``make synth-link`` and ``make pnr-link``: area and clock of a port of the link, and the page of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring
from openppu.config import load
from openppu.link.config import LinkConfig
from openppu.link.deskew import Deskew
from openppu.link.flit_buffer import FlitBuffer
from openppu.link.flit_receive import FlitReceive
from openppu.link.flit_transmit import FlitTransmit
from openppu.link.lane_receive import LaneReceive
from openppu.link.lane_transmit import LaneTransmit
from openppu.link.link_layer import LinkLayer
from openppu.link.packer import Packer
from openppu.link.physical import PhysicalLayer
from openppu.link.port import Port
from openppu.link.receive_window import ReceiveWindow
from openppu.link.replay import Replay
from openppu.link.retry import Retry
from openppu.link.training import Training
from openppu.link.tunnel import Tunnel
from openppu.link.unpacker import Unpacker

from openppu_sim.progress import step
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table
from openppu_sim.synthesis.area import Ecp5Area, cells_by_type, ecp5_area, gate_area
from openppu_sim.synthesis.harness import Harness
from openppu_sim.synthesis.page import markdown, rows
from openppu_sim.synthesis.place import PACKAGE, SPEED_GRADE, place
from openppu_sim.synthesis.yowasp import OutOfTimeError, read_result, require_tool, run_once

PORTS = {
    "one lane": LinkConfig(ports=1, lanes=1, lane_bits=16, window=16, credits=8, skew_words=8),
    "tiny": load("tiny").link,
    "demo": load("demo").link,
}
PARTS: Mapping[str, Callable[[LinkConfig], wiring.Component]] = {
    "physical layer": PhysicalLayer,
    "physical layer: a lane sent": lambda config: LaneTransmit(config.lane_bits),
    "physical layer: a lane received": lambda config: LaneReceive(config.lane_bits),
    "physical layer: deskew": Deskew,
    "physical layer: training": Training,
    "link layer": LinkLayer,
    "link layer: framer, with CRC": FlitTransmit,
    "link layer: check of what is received, with CRC": FlitReceive,
    "link layer: replay buffer": Replay,
    "link layer: retry": Retry,
    "link layer: receive window": ReceiveWindow,
    "link layer: receive buffer": FlitBuffer,
    "packer": Packer,
    "unpacker": Unpacker,
    "tunnel": Tunnel,
}
"""Each mapped alone."""

PARTED = "one lane"
"""The port whose parts are mapped."""

PLACED = ("one lane", "tiny")
"""What is placed and routed."""

WHOLE = "all"
"""As a part's name: the port itself."""

SEED = 1
TARGET = 60.0
"""Clock that the placer aims at, MHz."""

CLOCK_SECONDS = 1800.0
"""For one of them, after which it is left out."""

# From Amaranth's own netlist: Yosys's reader of Verilog unrolls the loops that clear memories, which takes longer than
# all the rest.
ECP5 = """\
read_rtlil {top}.il
synth_ecp5 -top {top} -json {top}.netlist.json
delete t:$scopeinfo
tee -q -o {top}.ecp5.json stat -json
"""
# Memories stay what they are: as flip-flops they would be most of the port, and take hours.
GATES = """\
read_rtlil {top}.il
synth -flatten -top {top} -run begin:fine
opt -fast -full
opt -undriven -fine
techmap
opt -fast
abc
opt -fast
delete t:$scopeinfo
tee -q -o {top}.gates.json stat -json
"""
MEMORIES = "$mem_v2"

AREA_COMMAND, CLOCK_COMMAND = "make synth-link", "make pnr-link"
AREA_KEYS = ("lut4", "ccu2c", "ff", "dpr16x4", "ebr", "gates", "gate_ff")
AREA_HEADERS = ("LUT4", "CCU2C", "FF", "DPR16X4", "EBR", "gates", "FF beside them")
CLOCK_KEYS = ("value", "comb", "ff", "ebr", "logic_ns", "routing_ns")
CLOCK_HEADERS = ("MHz", "tables", "FF", "EBR", "logic ns", "routing ns")

PAGE = """\
# Area and clock of a port of the link

What a port of [the link](link.md) costs on a Lattice ECP5 and in generic gates: lanes, training, flits, CRC-32, retry,
credits, packer and unpacker, without FEC, tunnel included. This page is generated: `make link-synthesis-page`.

{ports}

The replay buffer and the receive buffer are block memories (EBR, 18 kbit each); a flit is 256 bytes. Gates are
without the memories, which are left as they are.

## Area

`make synth-link`; cells are explained [there](synthesis.md#area). taxi's 25G Ethernet, MAC and PCS of one lane, takes
about 3,000 six-input LUT and 2,500 FF, and neither retries nor has credits. What is not in a table has not been mapped.

{area}
"""
OF_PARTS = """
Of `{port}`, one of each part, mapped alone.

{parts}
"""
CLOCK = """
## Clock

`make pnr-link` puts a port into the harness of [the tile's](synthesis.md#clock), and has nextpnr place and route it for
an LFE5UM-85F ({package}, speed grade {speed}), aiming at {target:g} MHz, with one seed. What is not routed within half
an hour is left out.

{clock}

{paths}
"""


def _name(name: str) -> str:
    return name.replace(" ", "_")


def described(config: LinkConfig) -> str:
    """A port in words."""
    return (
        f"{config.lanes} lane{'s' * (config.lanes > 1)} of {config.lane_bits} bits, {config.window} flits to replay, "
        f"{config.credits} flits a virtual channel to receive"
    )


def mapped(component: wiring.Component, script: str, kind: str, *, top: str, folder: Path) -> Mapping[str, int]:
    """Map a component, flat; its cells by type. What the same netlist and script gave before is taken again."""
    make_folder(folder)
    text = rtlil.convert(component, name=top, emit_src=False)
    (folder / f"{top}.il").write_text(text, encoding="utf-8")
    steps, result = folder / f"{top}.{kind}.ys", f"{top}.{kind}.json"
    steps.write_text(script.format(top=top), encoding="ascii")
    results = [result, *([f"{top}.netlist.json"] if "netlist" in script else [])]
    content = (script + text).encode()
    run_once("yosys", ["-Q", "-q", steps.name], folder=folder, content=content, results=results)
    return cells_by_type(read_result(folder / result, blame="run again"), source=folder / result)


def without_memories(cells: Mapping[str, int]) -> Mapping[str, int]:
    """What is mapped to gates."""
    return {kind: count for kind, count in cells.items() if kind != MEMORIES}


def area_rows(name: str, folder: Path) -> list[dict[str, Any]]:
    """Map a port to ECP5 and to gates, and its parts to ECP5 if they are wanted; the rows of the report."""
    config, top = PORTS[name], f"port_{_name(name)}"
    with step(f"synthesis of a port, {name}"):
        area = ecp5_area(mapped(Port(config), ECP5, "ecp5", top=top, folder=folder))
        gates = gate_area(without_memories(mapped(Port(config), GATES, "gates", top=top, folder=folder)))
    whole = _row(name, WHOLE, area) | {"gates": gates.gates, "gate_ff": gates.ff}
    if name != PARTED:
        return [whole]
    found = [whole]
    for number, (part, make) in enumerate(PARTS.items()):
        with step(f"synthesis of its {part}"):
            alone = mapped(make(config), ECP5, "ecp5", top=f"{top}_{number}", folder=folder)
        found.append(_row(name, part, ecp5_area(alone)))
    return found


def _row(name: str, part: str, area: Ecp5Area) -> dict[str, Any]:
    return {
        "name": f"port {name}: {part}",
        "value": area.lut4,
        "unit": "LUT4",
        "port": name,
        "part": part,
        **asdict(area),
        "command": AREA_COMMAND,
    }


def clock_row(name: str, folder: Path) -> dict[str, Any]:
    """Place and route a port within a harness; the row of the report."""
    top = f"port_{_name(name)}_harness"
    with step(f"synthesis of a port, {name}, with its harness"):
        mapped(Harness(Port(PORTS[name])), ECP5, "ecp5", top=top, folder=folder)
    with step(f"place and route of a port, {name}"):
        placed = place(top, folder=folder, seed=SEED, target=TARGET, seconds=CLOCK_SECONDS)
    return {
        "name": f"port {name}",
        "port": name,
        **placed.row(),
        "command": CLOCK_COMMAND,
    }


def table(
    found: Sequence[Mapping[str, Any]], keys: Sequence[str], headers: Sequence[str]
) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines: a port a line."""
    return ["port", *headers], [[row["port"], *(row[key] for key in keys)] for row in found]


def area_table(found: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines: a whole port a line."""
    return table([row for row in found if row["part"] == WHOLE], AREA_KEYS, AREA_HEADERS)


def part_table(found: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines: a part of a port a line."""
    keys = AREA_KEYS[: AREA_KEYS.index("gates")]
    lines = [[row["part"], *(row[key] for key in keys)] for row in found if row["part"] != WHOLE]
    return ["part", *AREA_HEADERS[: len(keys)]], lines


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
    found = [row for name in PORTS for row in area_rows(name, folder / "work")]
    print_table(*area_table(found))
    print_table(*part_table(found))
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
    area = rows(build / "synth-link" / "synth-link.json", "synth-link")
    names = dict.fromkeys(row["port"] for row in area)
    ports = "\n".join(f"- `{name}`: {described(PORTS[name])}." for name in names)
    text = PAGE.format(ports=ports, area=markdown(*area_table(area)))
    headers, lines = part_table(area)
    if lines:
        text += OF_PARTS.format(port=PARTED, parts=markdown(headers, lines))
    placed = build / "pnr-link" / "pnr-link.json"
    if not placed.is_file():
        return text
    clock = rows(placed, "pnr-link")
    return text + CLOCK.format(
        package=PACKAGE,
        speed=SPEED_GRADE,
        target=TARGET,
        clock=markdown(*table(clock, CLOCK_KEYS, CLOCK_HEADERS)),
        paths="\n".join(
            f"- {row['port']}: the slowest path runs from `{row['from']}` to `{row['to']}`." for row in clock
        ),
    )
