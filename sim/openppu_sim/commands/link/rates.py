"""``openppu link rates``: what is left of the lanes' bits for flits, payload and data."""

import argparse
from pathlib import Path
from typing import Any

from openppu.config import ChipConfig
from openppu.link.config import FLIT_BYTES, HEADER_BYTES, SKIP_INTERVAL

from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.ports import link_of, reach
from openppu_sim.report.json_report import SCHEMA, commit, writable, write_json
from openppu_sim.report.table import Cell, format_table
from openppu_sim.units import show_ns

WRITES = (4096, 1024, 256, 64, 32)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``rates``."""
    parser = subparsers.add_parser(
        "rates",
        help="raw, coded, payload and write-data rates of the configuration",
        description="Rates of the chip's ports that follow from its configuration: every bit on the wire; flits, "
        "beside the skip words; payload of flits; data in writes of a size. GB/s are 10**9 bytes a second.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the rates."""
    chip: ChipConfig = args.chip
    link = link_of(chip)
    if args.json is not None:
        writable(args.json)
    rates = {
        "raw": (link.raw_gbs, f"{link.lanes} lanes of {link.lane_gbps:g} Gb/s"),
        "coded": (link.coded_gbs, f"flits: one word of {SKIP_INTERVAL:,} is a skip word"),
        "flit payload": (link.payload_gbs, f"{link.payload_bytes} of a flit's {FLIT_BYTES} bytes"),
    }
    for size in WRITES:
        rates[f"writes of {size:,} bytes"] = (link.write_gbs(size), f"each with {HEADER_BYTES} bytes of header")
    ports = f"{link.ports} port{'s' * (link.ports > 1)}"
    print(f"{chip.name}: {ports}, a link clock of {link.clock_mhz:g} MHz, {link.beats} of them a flit\n")
    headers = ["rate", "GB/s a port, one way", "% of raw", f"GB/s, {ports}, both ways", "what it is"]
    rows: list[list[Cell]] = [
        [name, rate, 100 * rate / link.raw_gbs, 2 * link.ports * rate, text] for name, (rate, text) in rates.items()
    ]
    print(format_table(headers, rows))
    together, alone = reach(link, load_calibration())
    print(
        f"\nWithout wrong bits, a port sends without a pause over a way, each way, from SerDes to SerDes, of up to\n"
        f"{together:g} link clocks ({show_ns(together * 1000 / link.clock_mhz)}) with link.window = {link.window}; one "
        f"channel alone up to {alone:g} ({show_ns(alone * 1000 / link.clock_mhz)}) with link.credits = {link.credits}."
    )
    if args.json is not None:
        record = {"schema": SCHEMA, "commit": commit(), "config": chip.name, "ports": link.ports}
        figures: dict[str, Any] = {
            name: {"gbs": rate, "of_raw": rate / link.raw_gbs} for name, (rate, _) in rates.items()
        }
        ways = {"together": together, "one channel": alone}
        print(f"\nWrote {write_json(args.json, record | {'rates': figures, 'way_clocks': ways})}")
    return 0
