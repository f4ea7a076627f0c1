"""Places and routes a netlist on a Lattice ECP5-85 with nextpnr, and reads its report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openppu_sim.errors import SimulationError
from openppu_sim.synthesis.yowasp import read_result, run_once

DEVICE = "um-85k"
PACKAGE = "CABGA756"
SPEED_GRADE = 6
UTILISATION = {"comb": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "ebr": "DP16KD"}


@dataclass(frozen=True)
class Placement:
    """One routed design.

    Parameters
    ----------
    fmax : float
        Highest clock frequency between registers, MHz.
    start, end : str
        The registers between which the slowest path runs.
    logic, routing : float
        Its time in cells and in wires, ns.
    used : dict of str to int
        Look-up tables with those of carry chains and memories (``comb``), flip-flops, multipliers, block memories.
    """

    fmax: float
    start: str
    end: str
    logic: float
    routing: float
    used: dict[str, int]

    def row(self) -> dict[str, Any]:
        """What a report's row says of it."""
        return {
            "value": round(self.fmax, 2),
            "unit": "MHz",
            **self.used,
            "from": self.start,
            "to": self.end,
            "logic_ns": round(self.logic, 2),
            "routing_ns": round(self.routing, 2),
        }


def place(top: str, *, folder: Path, seed: int, target: float, seconds: float | None = None) -> Placement:
    """Place and route ``<top>.netlist.json`` in ``folder``; what the same one gave before is taken again.

    Parameters
    ----------
    top : str
        The netlist's name.
    seed : int
        Of nextpnr's random numbers.
    target : float
        Clock frequency that the placer and router aim at, MHz.
    seconds : float, optional
        When to give up.

    Raises
    ------
    UserError
        If nextpnr is not installed.
    OutOfTimeError
        If it was given up.
    SimulationError
        If it does not write a whole report.
    """
    report = f"{top}.seed{seed}.json"
    line = arguments(top, report, seed=seed, target=target)
    netlist = folder / f"{top}.netlist.json"
    try:
        content = netlist.read_bytes()
    except FileNotFoundError:
        raise SimulationError(f"{netlist} was not written: run again") from None
    run_once("nextpnr_ecp5", line, folder=folder, content=content, results=[report], seconds=seconds)
    return read_report(read_result(folder / report, blame="run again"), source=folder / report)


def arguments(top: str, report: str, *, seed: int, target: float) -> list[str]:
    """The command line of nextpnr."""
    return [
        *(f"--{DEVICE}", "--package", PACKAGE, "--speed", str(SPEED_GRADE)),
        *("--json", f"{top}.netlist.json", "--report", report),
        *("--seed", str(seed), "--freq", f"{target:g}"),
        # The other router minds timing less: it costs the tiles 7 to 13 % of their clock.
        *("--router", "router1", "--timing-allow-fail", "--lpf-allow-unconstrained"),
    ]


def read_report(report: Any, *, source: Path) -> Placement:
    """Read nextpnr's report.

    Raises
    ------
    SimulationError
        If it is not a report on a design with one clock.
    """
    try:
        clocks = {name: float(clock["achieved"]) for name, clock in report["fmax"].items()}
        (clock, fmax) = next(iter(clocks.items()))
        paths = [p["path"] for p in report["critical_paths"] if p["from"] == p["to"] == f"posedge {clock}"]
        path = paths[0]
        delays = {kind: sum(step["delay"] for step in path if (step["type"] == "routing") == kind) for kind in (0, 1)}
        start, end = path[0]["from"]["cell"], path[-1]["to"]["cell"]
        used = {key: int(report["utilization"][name]["used"]) for key, name in UTILISATION.items()}
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, StopIteration):
        raise SimulationError(f"{source}: not a report of nextpnr with clock, paths and utilisation") from None
    if len(clocks) != 1:
        raise SimulationError(f"{source}: {len(clocks)} clocks ({', '.join(clocks)}); one expected")
    return Placement(fmax=fmax, start=start, end=end, logic=delays[0], routing=delays[1], used=used)
