"""``python -m openppu_sim.synthesis``: what ``make synth``, ``make pnr`` and the like run, and their pages."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from openppu_sim.cli import Parser, guarded
from openppu_sim.synthesis import hbm, hbm_page, link, page, pnr, synth

_PAGES = {"page": page.page, "page-hbm": hbm_page.page, "page-link": link.page}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        prog="python -m openppu_sim.synthesis",
        description="Say what the hardware costs: gates and ECP5 cells by number format (synth), clock frequency of "
        "small tiles after place and route (pnr).",
    )
    parser.add_argument("--build-dir", type=Path, default=Path("build"), metavar="DIR", help="default: %(default)s")
    jobs = parser.add_subparsers(title="jobs", metavar="JOB", required=True, dest="job")
    jobs.add_parser("synth", help="map processing elements and a tile with Yosys; about five minutes")
    place = jobs.add_parser("pnr", help="place and route tiles with nextpnr; about three minutes a design and seed")
    place.add_argument("--seeds", type=int, default=len(pnr.SEEDS), metavar="N", help="default: %(default)s")
    designs = [design.name.removeprefix("tile ") for design in pnr.DESIGNS]
    place.add_argument("--only", choices=designs, metavar="DESIGN", help=f"one of {', '.join(designs)}")
    jobs.add_parser("page", help="print docs/synthesis.md from the reports of the two others")
    mapped = jobs.add_parser("synth-hbm", help="map the memory controller by the entries of its queues; half an hour")
    sizes = ", ".join(map(str, hbm.ENTRIES))
    mapped.add_argument(
        "--entries", type=int, nargs="+", choices=hbm.ENTRIES, default=hbm.ENTRIES, metavar="N", help=f"of {sizes}"
    )
    jobs.add_parser("pnr-hbm", help="place and route the memory controllers that fit; about twenty minutes")
    jobs.add_parser("page-hbm", help="print docs/hbm-synthesis.md from the reports of these two")
    jobs.add_parser("synth-link", help="map ports of the link; about five minutes")
    jobs.add_parser("pnr-link", help="place and route ports of the link; about ten minutes")
    jobs.add_parser("page-link", help="print docs/link-synthesis.md from the reports of these two")
    options = parser.parse_args(arguments)
    if options.job == "pnr" and options.seeds < 1:
        parser.error(f"argument --seeds: {options.seeds}: give at least 1")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a job and return the exit code."""
    options = parse(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    if options.job in _PAGES:
        print(_PAGES[options.job](options.build_dir), end="")
        return 0
    folder = options.build_dir / options.job
    if options.job == "synth":
        report = synth.run(folder)
    elif options.job == "synth-hbm":
        report = hbm.run_area(folder, entries=sorted(set(options.entries)))
    elif options.job == "pnr-hbm":
        report = hbm.run_clock(folder)
    elif options.job == "synth-link":
        report = link.run_area(folder)
    elif options.job == "pnr-link":
        report = link.run_clock(folder)
    else:
        designs = [design for design in pnr.DESIGNS if options.only in (None, design.name.removeprefix("tile "))]
        report = pnr.run(folder, seeds=range(1, options.seeds + 1), designs=designs)
    print(f"\nWrote {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
