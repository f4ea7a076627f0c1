"""All-reduce on eight chips' links, RTL to RTL: engines, routers, link layers, lanes, a channel between any two chips.

A chip's result must be that of the reference, bit for bit, or there is no figure but an error. *Share*: data that a
chip sends, 2 (n - 1) / n of the vector, of the flit payload that its seven ports carry in the clocks of the run. Small
ones begin at several places in the flits that resting links send: `clocks` is the mean, `least` and `most` the range.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.config import SKIP_INTERVAL, LinkConfig
from openppu.link.router import Router
from openppu_sim.cli import Parser, guarded
from openppu_sim.cycles.collectives import Timing, all_reduce_clocks
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.collective import estimates
from openppu_sim.cycles.link.ports import ports_of
from openppu_sim.cycles.link.topologies import topology
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.link.collective_runs import Run, Trial, place, run_trials
from openppu_verif.link.mesh_native import About

COLUMNS = ("algorithm", "clocks", "least", "most", "closed_form", "wrong_bits", "replayed")
COMMAND = "python -m openppu_verif.link.mesh"
NARROW = CollectiveConfig(
    link=LinkConfig(ports=7, lanes=1, lane_bits=32, lane_gbps=28.0, window=16, credits=8),
    window=512,
    packet=128,
    reads=256,
)
"""Seven ports of a lane of 28 Gb/s: 4 bytes a clock, no FEC, a flit in 64 clocks."""
WIDE = CollectiveConfig(link=load("ppu810e").link)
"""Seven ports of 64 bytes a clock, FEC, a recovered clock, a flit in 4 clocks."""
CHIPS = 8
ONE_WAY = 12
"""Clocks of a port's stages, sender and receiver together, beside those of a flit and of the lanes."""
FEC = 1
CROSSING = 2.5
"""More with FEC; with a recovered clock, 2 or 3."""
CHANNEL_CLOCKS = 1
STARTS = 16
"""Of the smallest all-reduce, each elsewhere in a flit."""
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row: an all-reduce of so many bytes; the goal is of its share, or of its clocks if it is above 1."""

    name: str
    config: CollectiveConfig
    size: int
    goal: float
    bit_errors: float = 0.0


CASES = (
    *(
        Case(name=f"{chip}, {size}", config=config, size=bytes_, goal=goal)
        for chip, config in (("ppu810e", WIDE), ("a lane a port", NARROW))
        for size, bytes_, goal in (("32 B", 32, 200), ("64 KiB", 64 << 10, 0.80), ("256 KiB", 256 << 10, 0.92))
    ),
    Case(name="a lane a port, 256 KiB, BER 1e-6", config=NARROW, size=256 << 10, goal=0.92, bit_errors=1e-6),
)


def hop(config: LinkConfig) -> float:
    """Clocks from a word's leaving an engine to its coming to the next one, if no flit must end before: two routers,
    and a port to a port."""
    ports = ONE_WAY + FEC * config.fec + CROSSING * config.recovered_clock
    return 2 * Router.LATENCY + ports + config.beats + CHANNEL_CLOCKS


def wait(config: LinkConfig) -> float:
    """Clocks that a word waits on average for the end of the flit that a resting link sends: 0 to all beats but one."""
    return (config.beats - 1) / 2


def payload_rate(config: LinkConfig) -> float:
    """Bytes of flit payload that a port moves a clock."""
    return config.beat_bytes * config.payload_bytes / 256 * (SKIP_INTERVAL - 1) / SKIP_INTERVAL


def expected(algorithm: str, size: int, config: CollectiveConfig, ranks: int, about: About, *, waits: float) -> float:
    """Clocks by the closed form of docs/collectives.md, if each word waits so long before it leaves a resting port."""
    timing = Timing(
        hop=hop(config.link) + waits,
        rate=payload_rate(config.link),
        read=about.read_latency,
        write=about.write_latency,
    )
    return all_reduce_clocks(algorithm, ranks, size, config, timing)


def share(size: int, clocks: float, config: LinkConfig, ranks: int) -> float:
    """Data that a chip sends, of what its ports to the others carry in so many clocks."""
    return 2 * size / ranks / (clocks * payload_rate(config))


def measure(build_root: Path, cases: Sequence[Case] = CASES) -> list[dict[str, Any]]:
    """Measure every row.

    Raises
    ------
    SimulationError
        If a chip's result is not that of the reference.
    """
    rows = []
    for case in cases:
        beats = case.config.link.beats
        small = case.goal > 1
        about = About(bit_errors=case.bit_errors, seed=SEED)
        starts = range(0, beats, max(1, beats // STARTS)) if small else (0,)
        trials = [Trial(operation="all_reduce", size=case.size, pause=pause, seed=SEED) for pause in starts]
        with step(f"running an all-reduce on eight chips, {case.name}"):
            runs = run_trials(case.config, place("mesh", CHIPS), trials, about, build_root)
        rows.append(_row(case, runs, about))
    return [*rows, projected()]


def projected() -> dict[str, Any]:
    """The row of an all-reduce that is too long for the RTL, by the model of links and collectives."""
    size = 64 << 20
    ports = ports_of(load("ppu810e"), load_calibration())
    best = estimates("allreduce", topology("mesh", CHIPS, ports.count), ports, size)[0]
    return {
        "name": f"all-reduce on {CHIPS} chips, ppu810e, 64 MiB (model)",
        "algorithm": best.algorithm,
        **dict.fromkeys(COLUMNS[1:]),
        "value": round(best.busbw_gbs / (ports.count * ports.gbs), 4),
        "unit": "of flit payload",
        "goal": 0.97,
        "better": "higher",
        "peer": "ASTRA-sim direct: 0.975; NCCL on H100: 0.82",
        "command": COMMAND,
    }


def _row(case: Case, runs: Sequence[Run], about: About) -> dict[str, Any]:
    clocks = [run.outcome.clocks for run in runs]
    algorithm, last = runs[0].algorithm, runs[-1].outcome
    small = case.goal > 1
    form = expected(algorithm, case.size, case.config, CHIPS, about, waits=wait(case.config.link))
    return {
        "name": f"all-reduce on 8 chips, {case.name}",
        "algorithm": algorithm,
        "clocks": round(fmean(clocks), 1) if small else clocks[0],
        "least": min(clocks) if small else None,
        "most": max(clocks) if small else None,
        "closed_form": round(form, 1),
        "wrong_bits": last.wrong_bits,
        "replayed": last.counts["replayed"],
        "value": max(clocks) if small else round(share(case.size, clocks[0], case.config.link, CHIPS), 4),
        "unit": "clocks" if small else "of flit payload",
        "goal": case.goal,
        "better": "lower" if small else "higher",
        "peer": "NCCL on H100: 15 us" if small else "NCCL on H100: 0.82",
        "command": COMMAND,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and put its rows into ``bench/link.json``."""
    parser = Parser(prog=COMMAND, description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder of all that is generated")
    args = parser.parse_args(argv)
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = measure(args.build_dir)
    path = benchmark_json("link", rows, folder=folder, beside=True)
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {path}")
    missed = [row["name"] for row in rows if meets_goal(row) is False]
    if missed:
        print(f"Goals missed: {', '.join(missed)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
