"""Programs as text: a command a line.

``[NUMBER:] NAME field=value field=value+r1 [wait SEMAPHORE VALUE] [signal [chipN.]SEMAPHORE VALUE] [record]
[interrupt] [fence]``; the number is the command's tag; ``#`` begins a comment. What is between ``LOOP`` and ``END`` is
indented when it is printed.
"""

import re
from collections.abc import Iterable
from typing import Any

from openppu.command.instruction import InstructionSet

from openppu_sim.errors import UserError
from openppu_sim.program.command import Command

ADDRESS = 40
"""Fields of as many bits or more are printed in hexadecimal, and so are those that may have a register."""


def print_program(program: Iterable[Command], instructions: InstructionSet) -> str:
    """The text of a program."""
    lines, depth = [], 0
    for command in program:
        if command.name == "END":
            depth = max(0, depth - 1)
        lines.append("    " * depth + print_command(command, instructions))
        if command.name == "LOOP":
            depth += 1
    return "".join(f"{line}\n" for line in lines)


def print_command(command: Command, instructions: InstructionSet) -> str:
    """A command's line."""
    words = [f"{command.tag}:"] if command.tag else []
    words.append(command.name)
    for operand in instructions.by_name[command.name].operands:
        value, register = command.fields.get(operand.name, 0), command.registers.get(operand.name)
        if not value and not register:
            continue
        names = {number: name for name, number in operand.choices.items()}
        text = names.get(value) or (hex(value) if operand.slot is not None or operand.bits >= ADDRESS else str(value))
        words.append(f"{operand.name}={text}" + (f"+r{register}" if register else ""))
    if command.wait is not None:
        words.append(f"wait {command.wait[0]} {command.wait[1]}")
    if command.signal is not None:
        where = "" if command.chip is None else f"chip{command.chip}."
        words.append(f"signal {where}{command.signal[0]} {command.signal[1]}")
    words += [name for name in ("record", "interrupt", "fence") if getattr(command, name)]
    return " ".join(words)


def parse_program(text: str, instructions: InstructionSet) -> tuple[Command, ...]:
    """The program that a text is.

    Raises
    ------
    UserError
        One line, with the number of the line that is wrong.
    """
    program = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            command = _parse(words, instructions)
            command.word(instructions)
        except UserError as error:
            raise UserError(f"line {number}: {error}") from None
        program.append(command)
    return tuple(program)


def _parse(words: list[str], instructions: InstructionSet) -> Command:
    given: dict[str, Any] = {"fields": {}, "registers": {}}
    if found := re.fullmatch(r"(\d+):", words[0]):
        given["tag"] = int(found[1])
        words = words[1:]
    if not words:
        raise UserError("a tag without a command")
    given["name"], rest = words[0], iter(words[1:])
    instruction = instructions.by_name.get(words[0])
    if instruction is None:
        raise UserError(f"{words[0]}: no such command; give one of {', '.join(instructions.by_name)}")
    choices = {operand.name: operand.choices for operand in instruction.operands}
    seen: set[str] = set()
    for word in rest:
        name = word.partition("=")[0]
        if name in seen:
            raise UserError(f"{word}: {instruction.name} has {name} already; give it once")
        seen.add(name)
        if word in ("record", "interrupt", "fence"):
            given[word] = True
        elif word in ("wait", "signal"):
            where, value = next(rest, ""), next(rest, "")
            found = re.fullmatch(r"(?:chip(\d+)\.)?(\d+)", where)
            if not found or not value.isdecimal() or (word == "wait" and found[1]):
                raise UserError(f"{word} {where} {value}: give a semaphore's number and a value".replace("  ", " "))
            given[word] = (int(found[2]), int(value))
            if found[1]:
                given["chip"] = int(found[1])
        elif found := re.fullmatch(r"(\w+)=(-?\w+)(?:\+r(\d+))?", word):
            name, text, register = found.groups()
            given["fields"][name] = _number(text, choices.get(name, {}), f"{instruction.name} {name}")
            if register is not None:
                given["registers"][name] = int(register)
        else:
            raise UserError(f"{word}: give field=value, wait, signal, record, interrupt or fence")
    given["fields"] = {name: value for name, value in given["fields"].items() if value or name not in choices}
    return Command(**given)


def _number(text: str, choices: dict[str, int], where: str) -> int:
    if text in choices:
        return choices[text]
    try:
        return int(text, 0)
    except ValueError:
        give = f"a number or one of {', '.join(choices)}" if choices else "a number"
        raise UserError(f"{where} = {text}: give {give}") from None
