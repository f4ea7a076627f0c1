"""``python -m openppu_verif.link.demo``: the link's section of ``make sim``.

Two ports of the RTL exchange a file, both ways, over lanes that flip bits, are skewed and crossed, and one of which
dies on the way. What arrives is compared with what was sent.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sklearn.datasets
from openppu.config import load
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu.link.port import port_status_layout
from openppu_sim.cli import Parser, guarded
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.progress import step
from openppu_sim.report.json_report import add_section, make_folder
from openppu_sim.report.table import Cell, print_table

from openppu_verif.link.native import DARK, NO_TRAFFIC, SIDES, Faults, Lane, Run, Traffic, build_port, run

FILE = Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"
"""The handwritten digits."""
BIT_ERRORS = 1e-5
DEAD_LANE, DIES = 2, 3_000
SKEW = 37
"""Bits from a lane to the next."""
DELAY = 12
"""Words, on each way."""
SEED = 1
MOST_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Way:
    """What went from a side: the file, the clocks until its last byte, and what the port and the channel counted."""

    side: str
    sent: bytes
    arrived: bytes
    counts: dict[str, int]

    @property
    def equal(self) -> bool:
        """Whether what arrived is what was sent."""
        return hashlib.sha256(self.sent).digest() == hashlib.sha256(self.arrived).digest()


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """The whole exchange."""

    file: Path
    done: Run
    ways: tuple[Way, ...]


def exchange(config: LinkConfig, file: Path, build_root: Path) -> Exchange:
    """Send the file both ways at once.

    Raises
    ------
    UserError
        If the file cannot be read, is empty or too large.
    SimulationError
        If a packet arrives wrong, twice, or not at all.
    """
    if file.exists() and not file.is_file():
        raise UserError(f"{file}: cannot be read: not a regular file; choose another")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    if not 0 < len(content) <= MOST_BYTES:
        raise UserError(f"{file}: {len(content)} bytes; give a file of 1 to {MOST_BYTES}")
    lanes = [
        Lane(delay=DELAY * config.lane_bits + SKEW * lane % 64, arrives_as=config.lanes - 1 - lane, inverted=lane == 1)
        for lane in range(config.lanes)
    ]
    traffic = Traffic(sizes=(256, 4096), operations=(Operation.WRITE,))
    executable = build_port(config, build_root)
    with step("exchanging the file"):
        done = run(
            executable,
            config,
            traffic=[[traffic] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2,
            lanes=(lanes, lanes),
            faults=(Faults(bit_errors=BIT_ERRORS),) * 2,
            events=[(DIES, "life", ["a", min(DEAD_LANE, config.lanes - 1), DARK])] if config.lanes > 1 else [],
            warmup=0,
            clocks=1,
            drain=20_000 + 40 * len(content),
            seed=SEED,
            watch=["status"],
            files={0: file, CHANNELS: file},
        )
    done.check()
    layout = port_status_layout(config)
    ways = []
    for number, side in enumerate(SIDES):
        near, far = (layout.from_bits(int.from_bytes(done.pins[f"{each}.status"], "little")) for each in _pair(side))
        counts = {
            "bad": far.link.counts.bad,
            "replayed": near.link.counts.replayed,
            "trainings": near.physical.retrains,
            "lanes": 1 << near.physical.send_width,
        }
        arrived = done.files[number * CHANNELS]
        ways.append(Way(side=side, sent=content, arrived=arrived, counts=counts))
    return Exchange(file=file, done=done, ways=tuple(ways))


def _pair(side: str) -> tuple[str, str]:
    return (side, "b" if side == "a" else "a")


def print_exchange(result: Exchange, config: LinkConfig) -> None:
    """Print what arrived, and what was mended on the way."""
    print(
        f"\nLink: two ports of {config.lanes} lanes x {config.lane_bits} bits a clock exchange {result.file.name}; a "
        f"bit in {round(1 / BIT_ERRORS):,} is wrong, lane {DEAD_LANE} from a dies in clock {DIES:,}\n"
    )
    lines: list[list[Cell]] = [
        [
            way.side,
            len(way.arrived),
            hashlib.sha256(way.arrived).hexdigest()[:16],
            "yes" if way.equal else "NO",
            way.counts["bad"],
            way.counts["replayed"],
            way.counts["trainings"],
            way.counts["lanes"],
        ]
        for way in result.ways
    ]
    headers = ["from", "bytes", "SHA-256 at the other end", "equal", "wrong flits", "sent again", "trainings"]
    print_table([*headers, "lanes at the end"], lines)
    print(
        f"\n{result.done.simulated:,} link clocks, {result.done.wrong_bits:,} wrong bits on the lanes, "
        f"{sum(flow.packets_out for flow in result.done.flows):,} packets, each once, in order."
    )


def record(result: Exchange, config: LinkConfig) -> dict[str, Any]:
    """For the report."""
    return {
        "lanes": config.lanes,
        "lane_bits": config.lane_bits,
        "seed": SEED,
        "bit_errors": BIT_ERRORS,
        "clocks": result.done.simulated,
        "wrong_bits": result.done.wrong_bits,
        "ways": [
            {"from": way.side, "bytes": len(way.arrived), "equal": way.equal, **way.counts} for way in result.ways
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the section and return the exit code: 0, 1 if anything arrives wrong, 2 for bad arguments."""
    parser = Parser(prog="python -m openppu_verif.link.demo", description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help="what is exchanged (default: the digits)")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder for models (default: build)")
    parser.add_argument(
        "--output", type=Path, default=Path("build/sim"), help="folder of report.json (default: build/sim)"
    )
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    config = load("demo").link
    make_folder(options.output)
    result = exchange(config, options.file, options.build_dir)
    print_exchange(result, config)
    print(f"Added to {add_section(options.output / 'report.json', 'link', record(result, config))}")
    if not all(way.equal for way in result.ways):
        raise SimulationError("what arrived is not what was sent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
