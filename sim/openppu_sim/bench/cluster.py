"""The model of links and clusters beside ASTRA-sim: the same collectives, and the time and memory that it takes.

ASTRA-sim's figures are its analytical network's, with a GB of 2**30 bytes; two levels come from its congestion-unaware
one, the only one that has them. The largest row follows every message of 10,000 chips. A value is the model's; `error`
is how far it is from ASTRA-sim, in percent. The last rows are projections of ppu810e.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from openppu.config import load

from openppu_sim.cycles.link import algorithms, astra, events
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.collective import estimates
from openppu_sim.cycles.link.ports import ports_of
from openppu_sim.cycles.link.topologies import topology
from openppu_sim.errors import SimulationError
from openppu_sim.progress import step

COLUMNS = ("error",)
COMMAND = "openppu bench cluster"
MAKE = {"ring": algorithms.ring, "direct": algorithms.direct, "halving-doubling": algorithms.halving_doubling}
MOST_ERROR = 2.0
"""Percent."""
CHIPS = 10_000
ASTRA_SECONDS, ASTRA_GB = 197, 4.8
"""Of ASTRA-sim for the largest row."""

ALONE = """
import resource, sys
from openppu_sim.cycles.link import astra
print(astra.two_level_microseconds(int(sys.argv[1]), 64 * astra.MIB, across="ring"))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def run(build_root: Path) -> list[dict[str, Any]]:
    """Every figure of ASTRA-sim, the largest one's cost, and what is projected for eight chips.

    Raises
    ------
    SimulationError
        If the largest collective does not run.
    """
    rows = [one_dimension(row) for row in astra.ROWS]
    rows += [two_dimensions(row) for row in astra.TWO_LEVEL_ROWS]
    errors = [abs(row["error"]) for row in rows if row["error"] is not None]
    rows.append(_row("largest error beside ASTRA-sim", max(errors), "%", goal=MOST_ERROR, better="lower"))
    with step(f"an all-reduce of {CHIPS:,} chips, alone"):
        rows += cost()
    return rows + projections()


def one_dimension(row: astra.Row) -> dict[str, Any]:
    """A figure of ASTRA-sim's congestion-aware network."""
    graph = astra.network(row.kind, row.chips, gibs=row.gibs, latency_ns=row.latency_ns)
    schedule = MAKE[row.algorithm](row.operation, row.chips, row.size)
    value = events.solve(schedule, graph, discipline="fifo").time_ns / 1e3
    return _beside(row.name, value, row.microseconds)


def two_dimensions(row: astra.TwoLevelRow) -> dict[str, Any]:
    """A figure of its congestion-unaware one."""
    value = astra.two_level_microseconds(row.chips, 64 * astra.MIB, across=row.across)
    return _beside(row.name, value, row.microseconds)


def cost() -> list[dict[str, Any]]:
    """Time and memory of the largest row in a process of its own: from the start of Python to the result."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", ALONE, str(CHIPS)], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise SimulationError(
            f"the model of {CHIPS:,} chips failed: {done.stderr.strip().splitlines()[-1:]}; {COMMAND}"
        )
    work, memory = (float(word) for word in done.stdout.split()[1:])
    name = f"{CHIPS:,} chips, direct, then ring"
    peer = f"ASTRA-sim: {ASTRA_SECONDS} s"
    return [
        _row(f"{name}: time", round(seconds, 2), "s", goal=10, better="lower", peer=peer),
        _row(f"{name}: processor time", round(work, 2), "s", better="lower"),
        _row(
            f"{name}: memory", round(memory / 1e6, 1), "MB", better="lower", peer=f"ASTRA-sim: {1000 * ASTRA_GB:g} MB"
        ),
    ]


def projections() -> list[dict[str, Any]]:
    """All-reduce on eight chips of ppu810e, beside the payload that their ports send."""
    ports = ports_of(load("ppu810e"), load_calibration())
    mesh = topology("mesh", 8, ports.count)
    rows = []
    for size, text, goal in ((64 << 20, "64 MiB", 97.0), (256 << 10, "256 KiB", None), (64 << 10, "64 KiB", None)):
        best = estimates("allreduce", mesh, ports, size)[0]
        share = 100 * best.busbw_gbs / (ports.count * ports.gbs)
        more: dict[str, Any] = {"better": "higher"} | ({} if goal is None else {"goal": goal})
        if goal is not None:
            more["peer"] = "ASTRA-sim direct 97.5, NCCL on H100 82"
        name = f"projected: allreduce of {text} on 8 chips, of seven ports' payload rate"
        rows.append(_row(name, round(share, 2), "%", **more))
    return rows


def _beside(name: str, value: float, peer: float | None) -> dict[str, Any]:
    error = None if peer is None else round(100 * (value / peer - 1), 2)
    return _row(name, round(value, 2), "us", peer=f"ASTRA-sim: {peer or 'no result'}") | {"error": error}


def _row(name: str, value: float, unit: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "command": COMMAND, "error": None} | more
