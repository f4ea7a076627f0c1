"""Share of an HBM2e channel's data bandwidth that the RTL reaches, by pattern, refresh and ECC on, the checker silent.

HBM2E_3200, 8-high (32 banks a pseudo-channel) where a row says nothing else; both pseudo-channels loaded through two
ports; queues of 64 reads and 64 writes a pseudo-channel. A run that breaks a rule of the device or gets one wrong word
gives no figure but an error. Peers are simulators, measured with the same timing.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import BURST
from openppu.hbm.settings import Mapping, Page, Settings
from openppu_sim.cli import Parser, guarded
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.hbm.native import Measurement, Pattern, build_channel
from openppu_verif.hbm.native import run as run_channel

COLUMNS = ("reads", "accesses", "bus", "idle", "latency_p50", "latency_p99")
WARMUP, CLOCKS = 20_000, 130_000
"""Controller clocks: 130,000 are 41 tREFI."""
SEED = 1
COMMAND = "python -m openppu_verif.hbm.efficiency"
TAGS = ChannelConfig().tags


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the table: its name, traffic, goal in percent, the best open peer's figure, and what it is built for."""

    name: str
    pattern: Pattern
    goal: float
    peer: str
    settings: Settings = field(default_factory=Settings)
    config: ChannelConfig = field(default_factory=ChannelConfig)


def _stream(reads: float) -> Pattern:
    return Pattern(order="sequential", reads=reads, tags=TAGS)


def _random(accesses: int, reads: float) -> Pattern:
    return Pattern(order="random", lengths=(accesses, accesses), reads=reads, tags=TAGS)


_COLUMN_LOWEST = Settings(mapping=Mapping(1))
_HASHED = Settings(mapping=Mapping(1), hash_banks=True)
_LOW = ChannelConfig(height=4)

CASES = (
    Case(name="stream read", pattern=_stream(1), goal=97, peer="DRAMsim3: 90.3"),
    Case(
        name="stream read, column lowest, reordered",
        pattern=_stream(1),
        settings=_COLUMN_LOWEST,
        goal=95,
        peer="Ramulator 2.1: 69.3",
    ),
    Case(
        name="stream read, column lowest, hashed",
        pattern=_stream(1),
        settings=_HASHED,
        goal=95,
        peer="Ramulator 2.1: 69.3",
    ),
    Case(name="stream 50/50", pattern=_stream(0.5), goal=88, peer="DRAMsim3: 82.4"),
    Case(name="stream 67/33", pattern=_stream(0.67), goal=90, peer="DRAMsim3: 83.4"),
    Case(name="random 32-byte read", pattern=_random(1, 1), goal=25.9, peer="DRAMsim3: 25.7"),
    Case(name="random 32-byte read, 4-high", pattern=_random(1, 1), goal=26.8, peer="DRAMsim3: 25.7", config=_LOW),
    Case(name="random 32-byte 50/50", pattern=_random(1, 0.5), goal=24.9, peer="DRAMsim3: 24.4"),
    Case(name="random 128-byte read", pattern=_random(4, 1), goal=88, peer="DRAMsim3: 84.5"),
    Case(name="random 256-byte read", pattern=_random(8, 1), goal=92, peer="DRAMsim3: 83.9"),
    Case(name="random 256-byte 67/33", pattern=_random(8, 0.67), goal=80, peer="Ramulator 2.1: 76.5"),
)
LATENCY = "unloaded page-miss read, beyond tRP + tRCD + RL + burst"
LATENCY_GOAL = 8
ROW_STRIDE = 1 << 11
"""Accesses from one row of a bank to the next, 8-high, interleaved."""


def run(build_root: Path) -> list[dict[str, Any]]:
    """Run every pattern, and give a row for each.

    Raises
    ------
    SimulationError
        If a rule of the device is broken, or an answer is wrong.
    """
    return measure([*(case.name for case in CASES), LATENCY], build_root)


def measure(names: Sequence[str], build_root: Path) -> list[dict[str, Any]]:
    """The rows of these names."""
    rows = [row(case, build_root) for case in CASES if case.name in names]
    return rows + ([_latency(build_root)] if LATENCY in names else [])


def row(case: Case, build_root: Path, *, warmup: int = WARMUP, clocks: int = CLOCKS) -> dict[str, Any]:
    """One row: as `run`."""
    executable = build_channel(case.config, build_root)
    with step(f"running {case.name}"):
        measured = run_channel(
            executable,
            case.config,
            [case.pattern] * case.config.ports,
            settings=case.settings,
            warmup=warmup,
            clocks=clocks,
            seed=SEED,
        )
    measured.check()
    return {
        "name": case.name,
        "value": round(100 * measured.efficiency, 2),
        "unit": "%",
        "goal": case.goal,
        "better": "higher",
        "peer": case.peer,
        "command": f"{COMMAND} '{case.name}'",
        "reads": case.pattern.reads,
        "accesses": case.pattern.lengths[1],
        "height": case.config.height,
        **_details(measured),
    }


def _details(measured: Measurement) -> dict[str, Any]:
    idle = {name: round(100 * share, 1) for name, share in measured.idle.items() if share >= 0.0005}
    return {
        "bus": round(100 * measured.bus_efficiency, 2),
        "idle": ", ".join(f"{name} {share}" for name, share in sorted(idle.items(), key=lambda one: -one[1])),
        "latency_p50": measured.latency(0.5),
        "latency_p99": measured.latency(0.99),
        "clocks": measured.clocks,
    }


def _latency(build_root: Path) -> dict[str, Any]:
    """Reads one at a time, each of another row of one bank, whose row stays open till then."""
    config, settings = ChannelConfig(), Settings(page=Page(0))
    pattern = Pattern(
        order="stride", stride=ROW_STRIDE, size=ROW_STRIDE << 10, lengths=(1, 1), outstanding=1, gap=100, tags=1
    )
    nothing = Pattern(outstanding=0)
    with step(f"running {LATENCY}"):
        measured = run_channel(
            build_channel(config, build_root),
            config,
            [pattern, *[nothing] * (config.ports - 1)],
            settings=settings,
            warmup=WARMUP,
            clocks=CLOCKS,
            seed=SEED,
        )
    measured.check()
    timing = settings.timing
    memory = (timing.tRP + timing.tRCDRD + timing.RL + BURST) / 2
    return {
        "name": LATENCY,
        "value": round(measured.latency(0.5) - memory, 1),
        "unit": "clocks",
        "goal": LATENCY_GOAL,
        "better": "lower",
        "command": f"{COMMAND} '{LATENCY}'",
        "memory_clocks": memory,
        **_details(measured),
    }


def main() -> int:
    """Print the table of the rows that are named, or of all, and keep them as ``bench/hbm.json``."""
    names = [*(case.name for case in CASES), LATENCY]
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {'; '.join(names)}")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"{unknown.pop()!r}: unknown row; give one of: {'; '.join(names)}")
    rows = measure(args.names or names, args.build_dir)
    print_table(*table(sys.modules[__name__], rows))
    if not args.names:
        folder = args.build_dir / "bench"
        make_folder(folder)
        print(f"\nWrote {benchmark_json('hbm', rows, folder=folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
