"""The link's commands."""

from amaranth.lib import data

from openppu.command.instruction import Instruction
from openppu.link.collective.instruction import InstructionLayout
from openppu.link.layouts import ADDRESS_BITS, CHIP_BITS

BYTES_BITS = 32
SEND_OPCODE, COLLECTIVE_OPCODE = 96, 97


def send_layout() -> data.StructLayout:
    """What is sent where."""
    return data.StructLayout({"source": ADDRESS_BITS, "target": ADDRESS_BITS, "bytes": BYTES_BITS, "chip": CHIP_BITS})


SEND = Instruction(
    name="SEND",
    opcode=SEND_OPCODE,
    engine="link",
    layout=send_layout(),
    addresses=("source", "target"),
    meaning="Copies memory of this chip to another chip; ends when all of it is in memory there.",
    meanings={
        "source": "address here, a multiple of 32 and of a beat",
        "target": "address there, likewise",
        "bytes": "how many, likewise, at least one such",
        "chip": "which",
    },
)

COLLECTIVE = Instruction(
    name="COLLECTIVE",
    opcode=COLLECTIVE_OPCODE,
    engine="link",
    layout=InstructionLayout.as_shape(),
    addresses=("address", "local"),
    meaning="One instruction of the [collective engine](collectives.md). `END` ends when all before it is done, any "
    "other when the engine has it.",
    meanings={
        "opcode": "1 END, 2 FENCE, 3 SEND, 4 STORE, 5 REDUCE, 6 TOKEN, 7 WAIT",
        "ports": "a bit a port",
        "stream": "0 to be reduced, 1 to be stored",
        "label": "of the data",
        "address": "in bytes, a multiple of a beat",
        "length": "bytes, of REDUCE elements",
        "wait": "wait for what `thread` has written",
        "thread": "0 to 7 a port's STOREs, 8 on a unit",
        "base": "beats that it has to have written before",
        "unit": "the reduction unit",
        "sources": "4 bits an operand: 0 none, 1 memory, 2 and 3 units, 8 on ports",
        "narrow_sources": "a bit an operand: bf16",
        "integer": "sums of int32",
        "narrow": "sums are rounded to bf16",
        "write": "sums go to memory",
        "feed": "sums go to the joining unit",
        "local": "address of the operand in memory",
    },
)

LINK_INSTRUCTIONS = (SEND, COLLECTIVE)
