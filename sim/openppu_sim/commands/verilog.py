"""``openppu verilog``: the chip's hardware as plain Verilog."""

import argparse
from pathlib import Path

from openppu.config import ChipConfig
from openppu.parts import PARTS, emit_part, parts_of

from openppu_sim.errors import SimulationError
from openppu_sim.progress import step
from openppu_sim.report.json_report import make_folder, unwritable, writable
from openppu_sim.simulator.lint import lint

ALL = "all"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``verilog``."""
    parser = subparsers.add_parser(
        "verilog",
        help="write the hardware as Verilog",
        description="Write a part of the chip as one self-contained Verilog-2005 file, with its ports and the\n"
        "fields of their payloads in a JSON file beside it.",
        epilog="parts:\n"
        + "\n".join(f"  {name:<20}{part.description}" for name, part in PARTS.items())
        + f"\n  {ALL:<20}each of these that the chip has a use for, a file each",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--part", choices=[*PARTS, ALL], default="tile", metavar="PART", help="see below (default: tile)"
    )
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
    """Emit the parts, write their files and say where they are."""
    folder: Path = args.output or args.build_dir / "verilog" / args.chip.name
    make_folder(folder)
    for part in parts_of(args.chip) if args.part == ALL else [args.part]:
        _write(part, args.chip, folder, check=args.lint)
    return 0


def _write(part: str, chip: ChipConfig, folder: Path, *, check: bool) -> None:
    path = folder / f"{part}.v"
    for file in (path, path.with_suffix(".json")):
        writable(file)
    with step(f"writing the Verilog of the {part}"):
        verilog = emit_part(part, chip)
        try:
            verilog.write(path)
        except OSError as error:
            raise unwritable(path, error) from error
    size = f"{len(verilog.text):,} bytes, {verilog.text.count(chr(10)):,} lines, {len(verilog.modules)} modules"
    print(f"Wrote {path}: {size}\nWrote {path.with_suffix('.json')}: the ports of {verilog.top}")
    if check:
        complaints = lint(path, verilog.top)
        if complaints:
            raise SimulationError(f"{len(complaints)} lint warnings on {path}, the first: {complaints[0]}")
        print("Verilator has nothing to complain about")
