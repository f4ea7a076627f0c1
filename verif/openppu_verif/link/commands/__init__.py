"""Actions of ``openppu link`` that run two ports of the RTL; entry points of the distribution name them."""

import argparse


def clocks_option(parser: argparse.ArgumentParser, default: int) -> None:
    """Add ``--clocks``."""
    parser.add_argument("--clocks", type=int, default=default, metavar="N", help=f"to measure (default: {default:,})")
