"""``openppu disassemble``: the text of a program from the bytes of a ring."""

import argparse
from pathlib import Path

from openppu.command.instructions import instructions
from openppu.command.layouts import COMMAND_BYTES

from openppu_sim.errors import UserError
from openppu_sim.program.command import Command
from openppu_sim.program.files import read_bytes
from openppu_sim.program.text import print_program


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``disassemble``."""
    parser = subparsers.add_parser(
        "disassemble",
        help="print the text of a program from the bytes of a queue's ring",
        description=f"Print a command a line of a file that holds {COMMAND_BYTES} bytes of each.",
    )
    parser.add_argument("ring", type=Path, metavar="FILE", help="bytes, as `openppu assemble` writes them")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the program."""
    raw = read_bytes(args.ring)
    if len(raw) % COMMAND_BYTES:
        raise UserError(f"{args.ring}: {len(raw)} bytes; give a multiple of {COMMAND_BYTES}, so many a command")
    program = []
    for place in range(0, len(raw), COMMAND_BYTES):
        try:
            program.append(Command.decode(raw[place : place + COMMAND_BYTES], instructions()))
        except UserError as error:
            raise UserError(f"{args.ring}, command {place // COMMAND_BYTES}: {error}") from None
    print(print_program(program, instructions()), end="")
    return 0
