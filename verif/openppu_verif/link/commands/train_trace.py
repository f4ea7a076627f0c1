"""``openppu link train-trace``: the training of two ports of the RTL, state by state."""

import argparse

from openppu.link.config import CHANNELS
from openppu.link.training import State
from openppu_sim.cycles.link.ports import link_of
from openppu_sim.errors import require
from openppu_sim.report.table import Cell, print_table

from openppu_verif.link.native import DARK, MOST_NOTES, NO_TRAFFIC, SIDES, Faults, Lane, Traffic, build_port
from openppu_verif.link.native import run as run_ports

MOST_TRACED = 10**7


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``train-trace``."""
    parser = subparsers.add_parser(
        "train-trace",
        help="trace the training of two ports of the RTL",
        description="Build a port of the chip's link, join two of them by skewed lanes, and print in which clock each "
        "enters which state of its training, with how many lanes.",
    )
    parser.add_argument("--clocks", type=int, default=20_000, metavar="N", help="to run (default: 20,000)")
    parser.add_argument("--skew", type=int, default=37, metavar="BITS", help="from lane to lane (default: 37)")
    parser.add_argument("--errors", type=float, default=0.0, metavar="RATE", help="bit error rate (default: 0)")
    parser.add_argument("--dies", type=int, metavar="CLOCK", help="when the last lane from side a loses its signal")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run, and print the trace."""
    config = link_of(args.chip)
    require("--clocks", args.clocks, 1, MOST_TRACED)
    require("--skew", args.skew, 0, 64)
    require("--errors", args.errors, 0, 0.01)
    if args.dies is not None:
        require("--dies", args.dies, 0, args.clocks)
    lanes = [
        Lane(delay=config.lane_bits + args.skew * lane % 65, arrives_as=config.lanes - 1 - lane)
        for lane in range(config.lanes)
    ]
    traffic = [[Traffic(sizes=(256, 256))] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2
    done = run_ports(
        build_port(config, args.build_dir),
        config,
        traffic=traffic,
        lanes=(lanes, lanes),
        faults=(Faults(bit_errors=args.errors),) * 2,
        events=[(args.dies, "life", ["a", config.lanes - 1, DARK])] if args.dies is not None else [],
        warmup=0,
        clocks=args.clocks,
        drain=0,
        note=["physical.state", "physical.send_width"],
    )
    done.check_words()
    now = dict.fromkeys((f"{side}.physical.{name}" for side in SIDES for name in ("state", "send_width")), 0)
    rows: list[list[Cell]] = []
    # Nothing disables a port here but the reset at the start; what it was before is of no use.
    begins = max(
        clock for clock, name, value in done.notes if name.endswith("state") and State(value) == State.DISABLED
    )
    for clock, name, value in done.notes:
        now[name] = value
        if name.endswith("state") and clock >= begins:
            rows.append([clock, name[0], State(value).name.lower(), 1 << now[f"{name[0]}.physical.send_width"]])
    print_table(["clock", "side", "state", "lanes that it sends on"], rows)
    if len(done.notes) >= MOST_NOTES:
        print(f"\nThe rest is left out: there were more than {MOST_NOTES:,} changes of state and width.")
    return 0
