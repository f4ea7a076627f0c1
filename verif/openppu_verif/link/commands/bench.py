"""``openppu link bench``: what two ports of the RTL reach, joined by a clean channel."""

import argparse

from openppu_sim.cycles.link.ports import link_of
from openppu_sim.errors import require
from openppu_sim.report.table import Cell, print_table

from openppu_verif.link.commands import clocks_option
from openppu_verif.link.figures import LATENCY, MOST_CLOCKS, RECOVERY, latency, recovery, stream

SIZES = (4096, 1024, 256, 64, 32)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``bench``."""
    parser = subparsers.add_parser(
        "bench",
        help="measure payload, latency and recovery on two ports of the RTL",
        description="Build a port of the chip's link, join two of them by a clean channel, and measure: flit payload "
        "and write data of the raw bits by the size of writes, both ways at once; latency; how long traffic stops when "
        "a lane dies. Every packet that arrives is compared with what was sent.",
    )
    clocks_option(parser, 50_000)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure, and print."""
    config = link_of(args.chip)
    require("--clocks", args.clocks, 1000, MOST_CLOCKS)
    rows: list[list[Cell]] = []
    for size in SIZES:
        done = stream(config, size, 0.0, args.build_dir, args.clocks, words=1)
        done.check()
        payload, data = (min(done.share(side, data=only) for side in "ab") for only in (False, True))
        rows.append([size, 100 * payload, payload * config.raw_gbs, 100 * data, data * config.raw_gbs])
    print(
        f"{args.chip.name}: a port of {config.lanes} lanes x {config.lane_bits} bits, {config.raw_gbs:g} GB/s raw, "
        f"a link clock of {config.clock_mhz:g} MHz, {args.clocks:,} clocks a row\n"
    )
    print_table(["bytes a write", "payload, % of raw", "GB/s one way", "data, % of raw", "GB/s"], rows)
    least, mean = (row["value"] for row in latency(config, args.build_dir))
    print(f"\n{LATENCY}: {least} link clocks at least, {mean} on average; a flit is {config.beats}")
    if config.lanes > 1:
        print(f"{RECOVERY}: {recovery(config, args.build_dir)['value']}")
    return 0
