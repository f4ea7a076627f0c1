"""``make synth-hbm`` and ``make pnr-hbm``: area and clock of the memory controller, by the entries of its queues."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amaranth.lib import wiring
from openppu.config import load
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.pseudo_channel import PseudoChannel
from openppu.verilog import emit

from openppu_sim.errors import SimulationError
from openppu_sim.progress import step
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table
from openppu_sim.synthesis.area import ecp5_area, gate_area
from openppu_sim.synthesis.harness import Harness
from openppu_sim.synthesis.place import place
from openppu_sim.synthesis.yowasp import OutOfTimeError, read_result, require_tool, run_once

ENTRIES = (8, 16, 32, 64)
"""Reads, writes and slots alike, of both configurations."""

CONFIGS = {
    "full": ChannelConfig(),
    "small": ChannelConfig(height=4, ports=1, tags=1, ecc="none"),
}
CLOCKS = (("scheduler", "small", 8), ("channel", "small", 8))
"""What is placed and routed: a part, its configuration and entries."""

AREA_SECONDS = 2400.0
CLOCK_SECONDS = 3600.0
"""For one map, and to place and route one of `CLOCKS`; after which it is left out."""

PRESET = "ecp5"
TARGET = 50.0
"""Clock that the placer aims at, MHz."""

WHOLE = "all"
"""As a part's name: the channel itself."""

SEED = 1
AREA_COMMAND, CLOCK_COMMAND = "make synth-hbm", "make pnr-hbm"

# Each kind of module is mapped once, which takes a fraction of the time.
ECP5 = """\
read_verilog {top}.v
synth_ecp5 -noflatten -top {top}
tee -q -o {top}.ecp5.parts.json stat -json
flatten
delete t:$scopeinfo
opt_clean
write_json {top}.netlist.json
tee -q -o {top}.ecp5.json stat -json
"""
GATES = """\
read_verilog {top}.v
synth -top {top}
tee -q -o {top}.gates.parts.json stat -json
flatten
delete t:$scopeinfo
opt_clean
tee -q -o {top}.gates.json stat -json
"""


def with_entries(name: str, entries: int) -> ChannelConfig:
    """One of `CONFIGS` with that many reads, writes and slots."""
    values = asdict(CONFIGS[name]) | dict.fromkeys(("reads", "writes", "slots"), entries)
    return ChannelConfig(**values)


def parts(stat: Any, top: str, *, source: Path) -> dict[str, Counter[str]]:
    """Cells by type of each module, those of its sub-modules with it, from what ``stat -json`` wrote.

    Parameters
    ----------
    stat : object
    top : str
        Prefix of the modules' names; the part's name is what follows, and that of the top is empty.
    source : Path
        Of the statistics, for the message.

    Raises
    ------
    SimulationError
        If it is something else.
    """
    try:
        own = {str(name).lstrip("\\"): dict(module["num_cells_by_type"]) for name, module in stat["modules"].items()}

        def whole(name: str) -> Counter[str]:
            cells: Counter[str] = Counter()
            for kind, count in own[name].items():
                inside = whole(kind) if kind in own else Counter({kind: 1})
                cells.update({each: number * int(count) for each, number in inside.items()})
            return cells

        return {name.removeprefix(top).lstrip("_"): whole(name) for name in own}
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SimulationError(f"{source}: not what `stat -json` of Yosys writes") from None


def map_modules(
    component: wiring.Component, script: str, kind: str, *, top: str, folder: Path, seconds: float | None = None
) -> tuple[Any, Any]:
    """Map a component; the statistics of its modules, and of the flat whole without what nobody uses.

    What the same Verilog and script have given before in ``folder`` is taken again.

    Raises
    ------
    OutOfTimeError
        If Yosys was stopped after so many ``seconds``.
    SimulationError
        If it does not write whole results.
    """
    make_folder(folder)
    verilog = emit(component, top=top, config=load(PRESET))
    verilog.write(folder / f"{top}.v")
    # Its comments name the configuration's fingerprint, which changes with parts that are not mapped here.
    code = "\n".join(line for line in verilog.text.splitlines() if not line.startswith("//"))
    steps = folder / f"{top}.{kind}.ys"
    steps.write_text(script.format(top=top), encoding="ascii")
    names = [f"{top}.{kind}.parts.json", f"{top}.{kind}.json"]
    run_once(
        "yosys",
        ["-Q", "-q", steps.name],
        folder=folder,
        content=(script + code).encode(),
        results=[*names, *([f"{top}.netlist.json"] if "netlist" in script else [])],
        seconds=seconds,
    )
    modules, flat = (read_result(folder / name, blame="run again") for name in names)
    return parts(modules, top, source=folder / names[0]), parts(flat, top, source=folder / names[1])[""]


def area_rows(name: str, entries: int, folder: Path) -> list[dict[str, Any]]:
    """Map a channel to ECP5, and its scheduler to gates; the rows of the report: the whole, then its parts.

    The gates are left out if they take too long.

    Raises
    ------
    OutOfTimeError
        If the channel takes too long.
    """
    config, top = with_entries(name, entries), f"{name}_{entries}"
    limit: dict[str, Any] = {"folder": folder, "seconds": AREA_SECONDS}
    with step(f"synthesis of channel {name}, {entries} entries"):
        modules, flat = map_modules(Channel(config), ECP5, "ecp5", top=top, **limit)
        logic = {}
        try:
            _, cells = map_modules(PseudoChannel(config), GATES, "gates", top=f"{top}_scheduler", **limit)
        except OutOfTimeError as error:
            print(f"gates of the scheduler {name}, {entries} entries: left out: {error}")
        else:
            gates = gate_area(cells)
            logic = {"gates": gates.gates, "gate_ff": gates.ff}
    whole = ecp5_area(flat)
    areas = {WHOLE: whole} | {part: ecp5_area(cells) for part, cells in modules.items() if part}
    rows = [
        {
            "name": f"channel {name} {entries}: {part}",
            "value": area.lut4,
            "unit": "LUT4",
            "config": name,
            "entries": entries,
            "part": part,
            **asdict(area),
            "command": AREA_COMMAND,
        }
        for part, area in areas.items()
    ]
    rows[0] |= logic
    return rows


def clock_row(part: str, name: str, entries: int, folder: Path) -> dict[str, Any]:
    """Place and route a channel, or the scheduler of a pseudo-channel, within a harness; the row of the report."""
    config, top = with_entries(name, entries), f"{part}_{name}_{entries}_harness"
    component = Channel(config) if part == "channel" else PseudoChannel(config)
    with step(f"synthesis of {part} {name}, {entries} entries, with its harness"):
        map_modules(Harness(component), ECP5, "ecp5", top=top, folder=folder)
    with step(f"place and route of {part} {name}, {entries} entries"):
        placed = place(top, folder=folder, seed=SEED, target=TARGET, seconds=CLOCK_SECONDS)
    return {
        "name": f"{part} {name} {entries}",
        "part": part,
        "config": name,
        "entries": entries,
        **placed.row(),
        "command": CLOCK_COMMAND,
    }


AREA_KEYS = ("lut4", "ccu2c", "ff", "dpr16x4", "ebr", "gates", "gate_ff")
AREA_HEADERS = ("LUT4", "CCU2C", "FF", "DPR16X4", "EBR", "scheduler gates", "its FF")


def area_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines: a channel a line."""
    wholes = [row for row in rows if row["part"] == WHOLE]
    return (
        ["channel", "entries", *AREA_HEADERS],
        [[row["config"], row["entries"], *(row.get(key) for key in AREA_KEYS)] for row in wholes],
    )


def clock_table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Headers and lines: a channel a line."""
    keys = ("value", "comb", "ff", "ebr", "logic_ns", "routing_ns")
    return (
        ["part", "channel", "entries", "MHz", "tables", "FF", "EBR", "logic ns", "routing ns"],
        [[row["part"], row["config"], row["entries"], *(row[key] for key in keys)] for row in rows],
    )


def run_area(folder: Path, *, entries: Sequence[int] = ENTRIES) -> Path:
    """Map channels with so many entries, print the table and return the path of the JSON report.

    What takes too long is left out.

    Raises
    ------
    UserError
        If the folder cannot be written.
    SimulationError
        If Yosys does not write whole results.
    """
    make_folder(folder)
    rows = []
    for count in entries:
        for name in CONFIGS:
            try:
                rows += area_rows(name, count, folder / "work")
            except OutOfTimeError as error:
                print(f"channel {name} {count}: left out: {error}")
    print_table(*area_table(rows))
    return benchmark_json("synth-hbm", rows, folder=folder)


def run_clock(folder: Path) -> Path:
    """Place and route each of `CLOCKS`, print the table and return the path of the JSON report.

    Raises
    ------
    UserError
        If nextpnr is missing, or the folder cannot be written.
    SimulationError
        If a tool does not write whole results.
    """
    require_tool("nextpnr_ecp5")
    make_folder(folder)
    rows = []
    for design in CLOCKS:
        try:
            rows.append(clock_row(*design, folder / "work"))
        except OutOfTimeError as error:
            print(f"{' '.join(map(str, design))}: left out: {error}")
    print_table(*clock_table(rows))
    return benchmark_json("pnr-hbm", rows, folder=folder)
