"""Programs of several queues in one text: a line ``[QUEUE]``, or ``[chipN.QUEUE]``, before the commands of each."""

import re
from collections.abc import Sequence

from openppu.command.instruction import InstructionSet

from openppu_sim.checks import some
from openppu_sim.errors import UserError
from openppu_sim.program.command import Command
from openppu_sim.program.text import parse_program

Sections = dict[tuple[int, str], tuple[Command, ...]]
"""Of each chip and queue its commands, in the order of the text."""


def parse_sections(text: str, instructions: InstructionSet, queues: Sequence[str]) -> Sections:
    """The programs that a text is; a queue may have several sections, one behind the other.

    Raises
    ------
    UserError
        One line, with the number of the line that is wrong.
    """
    lines: dict[tuple[int, str], list[str]] = {}
    current: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.partition("#")[0].strip()
        if bare.startswith("["):
            found = re.fullmatch(r"\[(?:chip(\d+)\.)?(\w+)\]", bare)
            if not found or found[2] not in queues:
                raise UserError(f"line {number}: {bare}: give [QUEUE] or [chipN.QUEUE], of {some(queues)}")
            current = lines.setdefault((int(found[1] or 0), found[2]), [])
        elif bare and current is None:
            raise UserError(f"line {number}: {bare}: say first, in a line [QUEUE], which queue's command it is")
        if current is not None:
            # Lines of others are empty ones here, so that messages have the text's numbers.
            current += [""] * (number - 1 - len(current))
            current.append("" if bare.startswith("[") else line)
    programs = {place: parse_program("\n".join(own), instructions) for place, own in lines.items()}
    for (chip, queue), program in programs.items():
        left = sum((command.name == "LOOP") - (command.name == "END") for command in program)
        if left > 0:
            raise UserError(f"[chip{chip}.{queue}]: {left} LOOP without END: the queue would wait for more; add END")
    if not any(programs.values()):
        raise UserError("there is no command: give [QUEUE], and the queue's commands in the lines below")
    return programs
