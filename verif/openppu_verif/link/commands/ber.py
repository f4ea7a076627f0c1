"""``openppu link ber``: goodput of two ports of the RTL over lanes with wrong bits."""

import argparse
from dataclasses import replace

from openppu_sim.cycles.link.ports import link_of
from openppu_sim.errors import UserError, require
from openppu_sim.report.table import Cell, print_table

from openppu_verif.link.commands import clocks_option
from openppu_verif.link.figures import FLITS_ROUND, MOST_CLOCKS, delay_words, stream

RATES = "0,1e-7,1e-6,1e-5,1e-4"
RETRIES = ("selective", "go_back_n")
MOST_WORDS = 1000
"""Of a lane's delay: the training waits no longer for answers."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``ber``."""
    parser = subparsers.add_parser(
        "ber",
        help="measure goodput by bit error rate on two ports of the RTL",
        description="Build a port of the chip's link, join two of them by lanes with wrong bits both ways, and measure "
        "the flit payload that arrives, of the raw bits, by bit error rate. Every packet is compared. Where packets "
        "are still on their way long after, the port does not get on at that rate, and the line says `stuck`.",
    )
    parser.add_argument("--rates", default=RATES, metavar="R,R...", help=f"bit error rates (default: {RATES})")
    parser.add_argument(
        "--retry", choices=RETRIES, action="append", help="what is sent again (default: as the chip has it)"
    )
    parser.add_argument(
        "--round-trip", type=int, default=FLITS_ROUND, metavar="FLITS", help=f"default: {FLITS_ROUND} flits"
    )
    clocks_option(parser, 100_000)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure, and print."""
    config = link_of(args.chip)
    require("--clocks", args.clocks, 1000, MOST_CLOCKS)
    require("--round-trip", args.round_trip, 1, 100)
    rates = [_rate(text) for text in args.rates.split(",")]
    rows: list[list[Cell]] = []
    for retry in args.retry or [config.retry]:
        port = replace(config, retry=retry)
        words = delay_words(port, flits=args.round_trip)
        if words > MOST_WORDS:
            raise UserError(
                f"--round-trip {args.round_trip}: {words:,} words a way with {config.beats} clocks a flit; give one of "
                f"at most {MOST_WORDS:,} words"
            )
        for rate in rates:
            done = stream(port, 4096, rate, args.build_dir, args.clocks, words=words)
            share = min(done.share(side) for side in "ab")
            rate_text = f"{rate:g}, stuck" if done.left else f"{rate:g}"
            rows.append([retry, rate_text, done.window_wrong_bits, share, share * config.raw_gbs])
    print(
        f"{args.chip.name}: a port of {config.lanes} lanes x {config.lane_bits} bits, "
        f"{'with' if config.fec else 'without'} FEC, CRC-{config.crc_bits}; a round trip of about {args.round_trip} "
        f"flits; {args.clocks:,} clocks a row\n"
    )
    print_table(["retry", "bit error rate", "wrong bits", "goodput of raw", "GB/s one way"], rows)
    flits = min(config.window, config.credits)
    if flits <= args.round_trip:
        print(
            f"\nlink.window = {config.window}, link.credits = {config.credits}: a channel alone has {flits} flits on "
            f"their way, of the {args.round_trip} that the round trip takes"
        )
    return 0


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 0.01:
        raise UserError(f"--rates {text}: give numbers from 0 to 0.01, with commas between them")
    return rate
