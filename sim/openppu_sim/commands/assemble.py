"""``openppu assemble``: a queue's program as the bytes of its ring."""

import argparse
from pathlib import Path

from openppu.command.instructions import instructions
from openppu.command.layouts import COMMAND_BYTES

from openppu_sim.cli import apart_from
from openppu_sim.errors import UserError
from openppu_sim.program.files import read_text
from openppu_sim.program.text import parse_program
from openppu_sim.report.json_report import make_parents, whole_file


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``assemble``."""
    parser = subparsers.add_parser(
        "assemble",
        help="make the bytes of a queue's ring from a program's text",
        description=f"Make {COMMAND_BYTES} bytes of each command of a program, a command a line, as a ring holds them.",
    )
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="text, as docs/command-processor.md describes it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file of bytes")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the file, whole or not at all."""
    apart_from(args, {"PROGRAM": args.program})
    try:
        program = parse_program(read_text(args.program), instructions())
    except UserError as error:
        raise UserError(f"{args.program}, {error}" if str(error).startswith("line ") else str(error)) from None
    make_parents(args.output)
    with whole_file(args.output) as temporary:
        temporary.write_bytes(b"".join(command.encode(instructions()) for command in program))
    print(f"Wrote {args.output}: {len(program)} command{'s' * (len(program) != 1)}")
    return 0
