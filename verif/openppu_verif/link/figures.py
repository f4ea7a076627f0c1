"""What a port of the link reaches on the RTL, two ports with a channel between them: payload, goodput, latency.

Every packet that arrives is compared with what was sent; a run with a wrong, lost or doubled one gives no figure but an
error. *Flit payload* is headers and data of packets, *write data* the data alone, both of the raw bits of the lanes.
The round trip of the rows with errors is twelve flits.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu_sim.cli import Parser, guarded
from openppu_sim.errors import require
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import meets_goal, table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.link.native import DARK, NO_TRAFFIC, Faults, Run, Traffic, build_port, straight
from openppu_verif.link.native import run as run_ports

COLUMNS = ("lanes", "retry", "clocks")
COMMAND = "python -m openppu_verif.link.figures"
PLAIN = LinkConfig(ports=1, lanes=16, lane_bits=32, lane_gbps=28.0)
"""16 lanes of 28 Gb/s: 64 bytes a clock, no FEC."""
CODED = LinkConfig(ports=1, lanes=8, lane_bits=64, lane_gbps=56.0, fec=True, crc_bits=64)
"""8 lanes of 56 Gb/s: 64 bytes a clock, with FEC; as in `ppu810e`, but with one clock."""
SEED = 1
WARMUP, CLOCKS, MOST_CLOCKS = 4_000, 200_000, 10**9
FLITS_ROUND = 12
ONE_WAY = 12
"""Clocks of a port's stages, sender and receiver together, beside those of a flit."""
CHANNEL_CLOCKS = 1
"""From a word sent to the same word received, with the shortest lanes."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the table: a stream of writes of ``size`` bytes from both sides."""

    name: str
    config: LinkConfig
    size: int = 4096
    data: bool = False
    bit_errors: float = 0.0
    goal: float
    peer: str


CASES = (
    Case(name="flit payload, no FEC", config=PLAIN, goal=93.7, peer="RIFL: 93.75"),
    Case(name="flit payload, FEC", config=CODED, goal=92.0, peer="PCIe 6: 92.2"),
    Case(name="write data, 4 KiB", config=PLAIN, data=True, goal=93.0, peer="serial_link: 66-86"),
    Case(name="write data, 256 B", config=PLAIN, size=256, data=True, goal=90.0, peer="NVLink: 94, before coding"),
    Case(name="write data, 64 B", config=PLAIN, size=64, data=True, goal=80.0, peer="NVLink: 80, before coding"),
    Case(name="goodput at BER 1e-6, no FEC", config=PLAIN, bit_errors=1e-6, goal=93.0, peer="RIFL: 65.6 / 86.0"),
    Case(name="goodput at BER 1e-5, no FEC", config=PLAIN, bit_errors=1e-5, goal=90.0, peer="RIFL: 3.2 / 38.4"),
    Case(name="goodput at BER 1e-4, FEC", config=CODED, bit_errors=1e-4, goal=90.0, peer="RIFL: about 0"),
)
BACK = replace(PLAIN, retry="go_back_n")
WITHOUT_GOAL = (
    ("goodput at BER 1e-6, no FEC, go back N", BACK, 1e-6),
    ("goodput at BER 1e-5, no FEC, go back N", BACK, 1e-5),
)
LATENCY = "latency, packet in to packet out, beside the channel"
RECOVERY = "a lane dies under load: clocks to the next packet"


def delay_words(config: LinkConfig, *, flits: int = FLITS_ROUND) -> int:
    """Of the channel, one way, so that the round trip is so many flits, as near as can be."""
    return max(1, (flits * config.beats - 2 * (ONE_WAY + config.beats)) // 2)


def run(build_root: Path, *, clocks: int = CLOCKS) -> list[dict[str, Any]]:
    """Measure every row.

    Raises
    ------
    SimulationError
        If a packet arrives wrong, twice, or not at all.
    """
    rows = [_share(case, build_root, clocks) for case in CASES]
    rows += [_go_back(*each, build_root, clocks) for each in WITHOUT_GOAL]
    return [*rows, *latency(PLAIN, build_root), recovery(PLAIN, build_root)]


def stream(config: LinkConfig, size: int, bit_errors: float, build_root: Path, clocks: int, *, words: int) -> Run:
    """Writes of ``size`` bytes from both sides, as many as can be, over lanes of so many words.

    All that arrives has been compared; whether all has arrived is for `Run.check`.
    """
    channel = Traffic(sizes=(size, size), operations=(Operation.WRITE,))
    lanes = straight(config, words=words)
    done = run_ports(
        build_port(config, build_root),
        config,
        traffic=[[channel] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2,
        lanes=(lanes, lanes),
        faults=(Faults(bit_errors=bit_errors),) * 2,
        warmup=WARMUP,
        clocks=clocks,
        seed=SEED,
    )
    done.check_words()
    return done


def _row(name: str, config: LinkConfig, value: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "lanes": f"{config.lanes} x {config.lane_bits} bits",
        "retry": config.retry,
        "value": value,
        **more,
        "command": COMMAND,
    }


def _share(case: Case, build_root: Path, clocks: int) -> dict[str, Any]:
    with step(f"running {case.name}"):
        done = stream(case.config, case.size, case.bit_errors, build_root, clocks, words=delay_words(case.config))
    done.check()
    value = min(done.share(side, data=case.data) for side in "ab")
    return _row(
        case.name,
        case.config,
        round(100 * value, 2),
        clocks=clocks,
        unit="% of raw bits",
        goal=case.goal,
        better="higher",
        peer=case.peer,
        wrong_bits=done.window_wrong_bits,
    )


def _go_back(name: str, config: LinkConfig, bit_errors: float, build_root: Path, clocks: int) -> dict[str, Any]:
    with step(f"running {name}"):
        done = stream(config, 4096, bit_errors, build_root, clocks, words=delay_words(config))
    done.check()
    value = round(100 * min(done.share(side) for side in "ab"), 2)
    return _row(name, config, value, clocks=clocks, unit="% of raw bits", wrong_bits=done.window_wrong_bits)


def latency(config: LinkConfig, build_root: Path) -> list[dict[str, Any]]:
    """Reads, far apart, from a packet's word in to the same word out.

    The shortest time is what the port's stages take; others wait for the end of the flit that is being sent, since
    flits follow one another even when there is nothing to send. The second row is the mean of all.
    """
    channel = Traffic(operations=(Operation.READ,), pause=0.99)
    clocks = 100_000
    with step(f"running {LATENCY}"):
        done = run_ports(
            build_port(config, build_root),
            config,
            traffic=[[channel] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2,
            warmup=WARMUP,
            clocks=clocks,
            seed=SEED,
        )
    done.check()
    found = [(clocks - CHANNEL_CLOCKS, count) for flow in done.flows for clocks, count in flow.latencies]
    mean = sum(clocks * count for clocks, count in found) / sum(count for _, count in found)
    peer = "RIFL core 4 frame clocks; Interlaken 100-270 round trip"
    least = min(clocks for clocks, _ in found)
    more = {"clocks": clocks, "unit": "clocks", "better": "lower", "peer": peer}
    return [
        _row(LATENCY, config, least, goal=ONE_WAY + config.beats, **more),
        _row(f"{LATENCY}, mean", config, round(mean, 1), **more),
    ]


def recovery(config: LinkConfig, build_root: Path) -> dict[str, Any]:
    """A lane loses its signal under full load both ways: clocks until packets flow again, nothing lost."""
    channel = Traffic(sizes=(256, 256), operations=(Operation.WRITE,))
    dies = 20_000
    with step(f"running {RECOVERY}"):
        done = run_ports(
            build_port(config, build_root),
            config,
            traffic=[[channel] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2,
            events=[(dies, "life", ["a", config.lanes - 1, DARK])],
            warmup=WARMUP,
            clocks=2 * dies,
            seed=SEED,
        )
    done.check()
    gap = max(flow.longest_gap for flow in done.flows)
    return _row(
        RECOVERY,
        config,
        gap,
        clocks=2 * dies,
        unit="clocks",
        goal=2000,
        better="lower",
        peer="nobody",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and put its rows into ``bench/link.json``."""
    parser = Parser(prog="python -m openppu_verif.link.figures", description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder of all that is generated")
    parser.add_argument("--clocks", type=int, default=CLOCKS, help="of each measuring window")
    args = parser.parse_args(argv)
    require("--clocks", args.clocks, 1000, MOST_CLOCKS)
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = run(args.build_dir, clocks=args.clocks)
    path = benchmark_json("link", rows, folder=folder, beside=True)
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {path}")
    missed = [row["name"] for row in rows if meets_goal(row) is False]
    if missed:
        print(f"Goals missed: {', '.join(missed)}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
