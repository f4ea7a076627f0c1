"""Maps a component with Yosys and counts the cells."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from amaranth.lib import wiring
from openppu.config import ChipConfig
from openppu.verilog import emit

from openppu_sim.errors import SimulationError
from openppu_sim.report.json_report import make_folder
from openppu_sim.synthesis.yowasp import read_result, run_tool

ECP5 = """\
read_verilog {top}.v
{depth}
synth_ecp5 -top {top} -json {top}.netlist.json
delete t:$scopeinfo
tee -q -o {top}.ecp5.json stat -json
"""
GATES = """\
read_verilog {top}.v
synth -flatten -top {top}
delete t:$scopeinfo
tee -q -o {top}.gates.json stat -json
"""


@dataclass(frozen=True)
class Ecp5Area:
    """Cells of a Lattice ECP5.

    Parameters
    ----------
    cells : int
        All cells, of which
    lut4 : int
        tables of 4 inputs, those of carry chains and distributed memory not counted,
    ccu2c : int
        carry chain cells, each in the place of two LUT4,
    dsp : int
        18 x 18 multipliers,
    ff : int
        flip-flops,
    dpr16x4 : int
        distributed memories of 16 x 4 bits, each in the place of six LUT4, and
    ebr : int
        block memories of 18 kbit.
    """

    cells: int
    lut4: int
    ccu2c: int
    dsp: int
    ff: int
    dpr16x4: int
    ebr: int


@dataclass(frozen=True)
class GateArea:
    """Generic cells: what any technology has.

    Parameters
    ----------
    gates : int
        Gates of one output (inverters, two-input gates, multiplexers, and-or-invert and the like).
    ff : int
        Flip-flops.
    """

    gates: int
    ff: int


def map_ecp5(
    component: wiring.Component, *, top: str, config: ChipConfig, folder: Path, logic_ns: float | None = None
) -> Ecp5Area:
    """Emit ``component``, map it to ECP5, leave ``<top>.netlist.json`` in ``folder`` and count its cells.

    Parameters
    ----------
    component, top, config
        As for `openppu.verilog.emit`.
    folder : Path
        Made if it is not there.
    logic_ns : float, optional
        Time in logic between registers below which tables are saved rather than time. Without it the longest path
        gets the fewest levels, whatever that costs.

    Raises
    ------
    SimulationError
        If Yosys does not write whole results.
    """
    depth = "" if logic_ns is None else f"scratchpad -set abc9.D {logic_ns * 1000:.0f}"
    script = ECP5.format(top=top, depth=depth)
    return ecp5_area(_count(component, script, top=top, config=config, folder=folder, result=f"{top}.ecp5.json"))


def map_gates(component: wiring.Component, *, top: str, config: ChipConfig, folder: Path) -> GateArea:
    """Emit ``component``, map it to generic gates and count them.

    Raises
    ------
    SimulationError
        If Yosys does not write whole results.
    """
    return gate_area(
        _count(component, GATES.format(top=top), top=top, config=config, folder=folder, result=f"{top}.gates.json")
    )


def _count(
    component: wiring.Component, script: str, *, top: str, config: ChipConfig, folder: Path, result: str
) -> dict[str, int]:
    make_folder(folder)
    emit(component, top=top, config=config).write(folder / f"{top}.v")
    (folder / "map.ys").write_text(script, encoding="ascii")
    netlist = f"{top}.netlist.json"
    run_tool("yosys", ["-Q", "-q", "map.ys"], folder=folder, results=[netlist] * (netlist in script) + [result])
    path = folder / result
    return cells_by_type(read_result(path, blame="run again"), source=path)


def cells_by_type(stat: Any, *, source: Path) -> dict[str, int]:
    """The number of cells of each type, from what ``stat -json`` wrote about a flat design.

    Raises
    ------
    SimulationError
        If it is something else, or tells of no cells.
    """
    try:
        counts = {str(name): int(count) for name, count in stat["design"]["num_cells_by_type"].items()}
        modules = len(stat["modules"])
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SimulationError(f"{source}: not what `stat -json` of Yosys writes") from None
    if modules != 1 or not counts:
        raise SimulationError(f"{source}: {modules} modules and {sum(counts.values())} cells; one flat module expected")
    return counts


def ecp5_area(counts: Mapping[str, int]) -> Ecp5Area:
    """Sort the cells of a design that is mapped to ECP5.

    Raises
    ------
    SimulationError
        If a cell is of no known kind: then the figures would not tell the truth.
    """
    kinds = {
        "LUT4": "lut4",
        "CCU2C": "ccu2c",
        "MULT18X18D": "dsp",
        "TRELLIS_FF": "ff",
        "TRELLIS_DPR16X4": "dpr16x4",
        "DP16KD": "ebr",
        "PDPW16KD": "ebr",
        "PFUMX": "",  # multiplexers that come with the LUTs
        "L6MUX21": "",
    }
    found = dict.fromkeys((field.name for field in fields(Ecp5Area)), 0)
    for name, count in counts.items():
        if name not in kinds:
            raise SimulationError(f"Yosys mapped to {count} cells of the unexpected type {name}")
        found["cells"] += count
        if kinds[name]:
            found[kinds[name]] += count
    return Ecp5Area(**found)


def gate_area(counts: Mapping[str, int]) -> GateArea:
    """Sort the cells of a design that is mapped to generic gates.

    Raises
    ------
    SimulationError
        If a cell is not a generic gate or flip-flop.
    """
    gates = ff = 0
    for name, count in counts.items():
        if not (name.startswith("$_") and name.endswith("_")) or "LATCH" in name:
            raise SimulationError(f"Yosys mapped to {count} cells of the unexpected type {name}")
        if "DFF" in name:
            ff += count
        else:
            gates += count
    return GateArea(gates=gates, ff=ff)
