"""``openppu verilog``: the chip's hardware as plain Verilog."""

import argparse
from pathlib import Path

from openppu.parts import PARTS, emit_part

from openppu_sim.errors import SimulationError
from openppu_sim.progress import step
from openppu_sim.report.json_report import make_folder, unwritable
from openppu_sim.simulator.lint import lint


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``verilog``."""
    parser = subparsers.add_parser(
        "verilog",
        help="write the hardware as Verilog",
        description="Write a part of the chip as one self-contained Verilog-2005 file, with its ports and the\n"
        "fields of their payloads in a JSON file beside it.",
        epilog="parts:\n" + "\n".join(f"  {name:<20}{part.description}" for name, part in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, default="tile", metavar="PART", help="see below (default: tile)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="folder of the files (default: verilog/CHIP in the build folder)",
    )
    parser.add_argument("--lint", action="store_true", help="check the file with Verilator, all warnings on")
    return parser


def run(args: argparse.Namespace) -> int:
    """Emit the part, write its files and say where they are."""
    folder: Path = args.output or args.build_dir / "verilog" / args.chip.name
    make_folder(folder)
    path = folder / f"{args.part}.v"
    with step(f"writing the Verilog of the {args.part}"):
        verilog = emit_part(args.part, args.chip)
        try:
            verilog.write(path)
        except OSError as error:
            raise unwritable(path, error) from error
    size = f"{len(verilog.text):,} bytes, {verilog.text.count(chr(10)):,} lines, {len(verilog.modules)} modules"
    print(f"Wrote {path}: {size}\nWrote {path.with_suffix('.json')}: the ports of {verilog.top}")
    if args.lint:
        complaints = lint(path, verilog.top)
        if complaints:
            raise SimulationError(f"{len(complaints)} lint warnings on {path}, the first: {complaints[0]}")
        print("Verilator has nothing to complain about")
    return 0
