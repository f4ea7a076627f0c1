"""All-reduce on chips' links, RTL to RTL: engines, routers, link layers, lanes, and a channel between any two chips.

A chip's result must be that of the reference, bit for bit, or there is no figure but an error. *Share*: data that a
chip sends, 2 (n - 1) / n of the vector, of the flit payload that its seven ports carry in the clocks of the run.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job, Plan, plan
from openppu.link.collective.wiring import Wiring, mesh
from openppu.link.config import SKIP_INTERVAL, LinkConfig
from openppu.link.router import Router
from openppu_sim.cli import Parser, guarded
from openppu_sim.cycles.collectives import Timing, all_reduce_clocks
from openppu_sim.errors import SimulationError
from openppu_sim.progress import step
from openppu_sim.reference.collectives import Order, all_reduce
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.link.mesh_native import About, Outcome, build_node, run

COLUMNS = ("chips", "algorithm", "clocks", "closed_form", "wrong_bits", "replayed")
COMMAND = "python -m openppu_verif.link.mesh"
CONFIG = CollectiveConfig(
    link=LinkConfig(ports=7, lanes=1, lane_bits=32, lane_gbps=28.0, window=16, credits=8),
    window=512,
    packet=128,
    reads=256,
)
"""Seven ports of a lane of 28 Gb/s: 4 bytes a clock, no FEC, a flit in 64 clocks."""
CHIPS = 8
ONE_WAY = 12
"""Clocks of a port's stages, sender and receiver together, beside those of a flit and of the lanes."""
CHANNEL_CLOCKS = 1
SEED = 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row: an all-reduce of so many bytes; the goal is of its share, or of its clocks if it is above 1."""

    size: int
    goal: float
    bit_errors: float = 0.0


CASES = (
    Case(size=32, goal=200),
    Case(size=64 << 10, goal=0.80),
    Case(size=256 << 10, goal=0.92),
    Case(size=256 << 10, goal=0.92, bit_errors=1e-6),
)


def hop(config: LinkConfig) -> int:
    """Clocks from a word's leaving an engine to its coming to the next one: two routers, and a port to a port."""
    return 2 * Router.LATENCY + ONE_WAY + config.beats + CHANNEL_CLOCKS


def payload_rate(config: LinkConfig) -> float:
    """Bytes of flit payload that a port moves a clock."""
    return config.beat_bytes * config.payload_bytes / 256 * (SKIP_INTERVAL - 1) / SKIP_INTERVAL


def all_reduce_run(
    size: int, config: CollectiveConfig, wiring: Wiring, about: About, build_root: Path
) -> tuple[Outcome, Plan]:
    """Add vectors of ``size`` bytes of binary32 over all chips.

    Raises
    ------
    SimulationError
        If a chip's result is not that of the reference.
    """
    rng = np.random.default_rng(about.seed)
    elements, beat = size // 4, config.beat_bytes
    target = beat + size + beat
    job = Job(operation="all_reduce", elements=elements, source=beat, target=target, scratch=target + size + beat)
    made = plan(job, wiring, config)
    vectors = [rng.standard_normal(elements).astype(np.float32).view(np.uint32) for _ in range(wiring.ranks)]
    memories = [np.zeros(2 * job.scratch, np.uint8) for _ in vectors]
    for memory, vector in zip(memories, vectors, strict=True):
        memory[beat : beat + size] = vector.view(np.uint8)
    outcome = run(build_node(config, build_root), config, wiring, made.programs, memories, about)
    order = Order(algorithm=made.algorithm, ranks=wiring.ranks, beat_bytes=beat, groups=wiring.groups)
    total = all_reduce(vectors, "binary32", order)
    for rank, memory in enumerate(outcome.memories):
        wrong = np.flatnonzero(memory[target : target + size].view(np.uint32) != total)
        if len(wrong):
            raise SimulationError(f"chip {rank}: {len(wrong)} of {elements} sums wrong, the first is number {wrong[0]}")
    return outcome, made


def expected(algorithm: str, size: int, config: CollectiveConfig, ranks: int, about: About) -> float:
    """Clocks by the closed form of docs/collectives.md."""
    timing = Timing(
        hop=hop(config.link),
        rate=payload_rate(config.link),
        read=about.read_latency,
        write=about.write_latency,
    )
    return all_reduce_clocks(algorithm, ranks, size, config, timing)


def share(size: int, clocks: int, config: LinkConfig, ranks: int) -> float:
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
        about = About(bit_errors=case.bit_errors, seed=SEED)
        name = f"all-reduce, {case.size} B" if case.size < 1024 else f"all-reduce, {case.size >> 10} KiB"
        name += f", BER {case.bit_errors:g}" if case.bit_errors else ""
        with step(f"running {name}"):
            outcome, made = all_reduce_run(case.size, CONFIG, mesh(CHIPS), about, build_root)
        of_share = case.goal <= 1
        value = round(share(case.size, outcome.clocks, CONFIG.link, CHIPS), 4) if of_share else outcome.clocks
        rows.append(
            {
                "name": name,
                "chips": CHIPS,
                "algorithm": made.algorithm,
                "clocks": outcome.clocks,
                "closed_form": round(expected(made.algorithm, case.size, CONFIG, CHIPS, about)),
                "wrong_bits": outcome.wrong_bits,
                "replayed": outcome.counts["replayed"],
                "value": value,
                "unit": "of flit payload" if of_share else "clocks",
                "goal": case.goal,
                "better": "higher" if of_share else "lower",
                "command": COMMAND,
            }
        )
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write ``bench/link_mesh.json``."""
    parser = Parser(prog=COMMAND, description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder of all that is generated")
    args = parser.parse_args(argv)
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = measure(args.build_dir)
    path = benchmark_json("link_mesh", rows, folder=folder)
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {path}")
    missed = [row["name"] for row in rows if meets_goal(row) is False]
    if missed:
        print(f"Goals missed: {', '.join(missed)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
