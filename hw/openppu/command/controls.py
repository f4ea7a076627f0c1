"""The commands that every queue takes."""

from amaranth.lib import data

from openppu.command.instruction import Instruction
from openppu.command.layouts import REGISTER_BITS
from openppu.common.memory import ADDRESS_BITS

COUNT_BITS = 32

CONTROLS = (
    Instruction(
        name="NOTHING",
        opcode=0,
        engine="",
        layout=data.StructLayout({}),
        meaning="Only what its header says: waits, signals, records, interrupts.",
        meanings={},
    ),
    Instruction(
        name="SET",
        opcode=1,
        engine="",
        layout=data.StructLayout({"value": ADDRESS_BITS, "register": REGISTER_BITS}),
        meaning="Gives an address register a value.",
        meanings={"value": "what it is then", "register": "1 to 15"},
    ),
    Instruction(
        name="ADD",
        opcode=2,
        engine="",
        layout=data.StructLayout({"value": ADDRESS_BITS, "register": REGISTER_BITS}),
        meaning="Adds to an address register, modulo 2**40.",
        meanings={"value": "what is added; of a negative one, its two's complement", "register": "1 to 15"},
    ),
    Instruction(
        name="LOOP",
        opcode=3,
        engine="",
        layout=data.StructLayout({"count": COUNT_BITS}),
        meaning="All that follows, up to the `END` that belongs to it, runs `count` times.",
        meanings={"count": "at least 1"},
    ),
    Instruction(
        name="END",
        opcode=4,
        engine="",
        layout=data.StructLayout({}),
        meaning="The end of a loop.",
        meanings={},
    ),
)
NOTHING, SET, ADD, LOOP, END = CONTROLS
