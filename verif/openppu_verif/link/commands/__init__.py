"""Actions of ``openppu link`` that run two ports of the RTL; entry points of the distribution name them."""

import argparse

from openppu.link.config import LinkConfig
from openppu_sim.errors import UserError


def link_of(args: argparse.Namespace) -> LinkConfig:
    """The chip's link.

    Raises
    ------
    UserError
        If it has none.
    """
    link: LinkConfig = args.chip.link
    if not link.ports:
        raise UserError(
            f"{args.chip.name} has no link ports (link.ports = 0): give another --config, or --set link.ports=1"
        )
    return link


def clocks_option(parser: argparse.ArgumentParser, default: int) -> None:
    """Add ``--clocks``."""
    parser.add_argument("--clocks", type=int, default=default, metavar="N", help=f"to measure (default: {default:,})")


def require(name: str, value: float, least: float, most: float) -> None:
    """Raise UserError unless a value is within its limits."""
    if not least <= value <= most:
        raise UserError(f"{name} {value:g}: give {least:g} to {most:g}")


MOST_CLOCKS = 10**9
