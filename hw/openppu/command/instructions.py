"""All commands of a chip, and the page that lists them: ``python -m openppu.command.instructions``."""

from openppu.command.controls import CONTROLS
from openppu.command.instruction import Instruction, InstructionSet
from openppu.command.layouts import COMMAND_BYTES
from openppu.dma.instructions import LOAD_INSTRUCTIONS, STORE_INSTRUCTIONS
from openppu.link.unit.instructions import LINK_INSTRUCTIONS
from openppu.matmul.instruction import MATMUL
from openppu.vector.instructions import VECTOR_INSTRUCTIONS


def instructions() -> InstructionSet:
    """Every command that a chip may have."""
    engines = (*LOAD_INSTRUCTIONS, *STORE_INSTRUCTIONS, MATMUL, *VECTOR_INSTRUCTIONS, *LINK_INSTRUCTIONS)
    return InstructionSet((*CONTROLS, *engines))


def page() -> str:
    """The text of ``docs/commands.md``."""
    lines = [
        "# Commands",
        "",
        f"{COMMAND_BYTES} bytes each; [the command processor](command-processor.md) says what their headers mean. An",
        "address with a slot may have an address register added. Bits that are of no field must be 0.",
        "",
        "This page is generated: `python -m openppu.command.instructions`.",
    ]
    known = instructions()
    for engine in ("", *known.engines):
        lines += ["", f"## Of {engine}" if engine else "## Of every queue"]
        for each in known.instructions:
            if each.engine == engine:
                lines += _lines(each)
    return "\n".join(lines) + "\n"


def _lines(instruction: Instruction) -> list[str]:
    lines = ["", f"### {instruction.name} ({instruction.opcode})", "", instruction.meaning]
    if instruction.operands:
        lines += ["", "| field | operand bits | slot | values | meaning |", "|---|---|---|---|---|"]
    for operand in instruction.operands:
        choices = ", ".join(f"{value} {name}" for name, value in operand.choices.items())
        slot = "" if operand.slot is None else str(operand.slot)
        places = f"{operand.low}-{operand.low + operand.bits - 1}" if operand.bits > 1 else str(operand.low)
        values = choices or f"{operand.least} to {operand.most}"
        lines.append(f"| `{operand.name}` | {places} | {slot} | {values} | {operand.meaning} |")
    return lines


if __name__ == "__main__":
    print(page(), end="")
