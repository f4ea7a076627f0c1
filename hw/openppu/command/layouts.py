"""A command's words, and what travels between the parts of the command processor."""

from amaranth.lib import data

from openppu.command.error import Error
from openppu.common.memory import ADDRESS_BITS

COMMAND_BYTES = 64
OPERAND_BITS = 384
SLOTS = 4
"""Addresses of a command to which an address register may be added."""

REGISTER_BITS = 4
"""Of an address register's number; register 0 is always 0."""

REGISTERS = 1 << REGISTER_BITS
OPCODE_BITS = 8
FIRST_ENGINE_OPCODE = 16
"""Opcodes below are the queues' own (`openppu.command.controls`)."""

SEMAPHORE_BITS = 8
VALUE_BITS = 16
"""Of a semaphore."""

TAG_BITS = 16
CHIP_BITS = 6
TIME_BITS = 64
QUEUE_BITS = 16
"""Of a queue's number in a record."""

RECORD_BYTES = 32


def flags_layout() -> data.StructLayout:
    """What a command asks for besides its work.

    ``wait``: begin when the semaphore is at least ``wait_value``, and take that from it. ``signal``: raise the other
    semaphore at the end; with ``remote`` that of another chip. ``record``: write a record. ``interrupt``: tell the
    host. ``fence``: begin when all earlier commands of the queue have ended.
    """
    return data.StructLayout(
        {"wait": 1, "signal": 1, "remote": 1, "record": 1, "interrupt": 1, "fence": 1, "unused": 2}
    )


def header_layout() -> data.StructLayout:
    """The first 16 bytes of a command. ``tag`` is software's; ``registers``: an address register a slot."""
    return data.StructLayout(
        {
            "opcode": OPCODE_BITS,
            "flags": flags_layout(),
            "wait_semaphore": SEMAPHORE_BITS,
            "signal_semaphore": SEMAPHORE_BITS,
            "wait_value": VALUE_BITS,
            "signal_value": VALUE_BITS,
            "tag": TAG_BITS,
            "registers": data.ArrayLayout(REGISTER_BITS, SLOTS),
            "chip": CHIP_BITS,
            "unused": 32 - CHIP_BITS,
        }
    )


def word_layout() -> data.StructLayout:
    """A whole command."""
    return data.StructLayout({"header": header_layout(), "operands": OPERAND_BITS})


def issue_layout() -> data.StructLayout:
    """What an engine is given: of ``operands``, the addresses have their registers added."""
    return data.StructLayout({"opcode": OPCODE_BITS, "operands": OPERAND_BITS})


def signal_layout() -> data.StructLayout:
    """A semaphore and what it is raised by, or must be and is lowered by."""
    return data.StructLayout({"semaphore": SEMAPHORE_BITS, "value": VALUE_BITS})


def remote_layout() -> data.StructLayout:
    """A semaphore of another chip."""
    return data.StructLayout({"chip": CHIP_BITS, "semaphore": SEMAPHORE_BITS, "value": VALUE_BITS})


def note_layout() -> data.StructLayout:
    """What a queue remembers of a command that it has begun; ``error`` is there already if no engine has it."""
    return data.StructLayout(
        {
            "engine": 1,
            "error": Error,
            "opcode": OPCODE_BITS,
            "tag": TAG_BITS,
            "flags": flags_layout(),
            "semaphore": SEMAPHORE_BITS,
            "value": VALUE_BITS,
            "chip": CHIP_BITS,
            "index": 32,
            "begun": TIME_BITS,
        }
    )


def record_layout() -> data.StructLayout:
    """What is written to memory of a command that ended: 32 bytes.

    ``index`` is the command's place in its ring's history; ``begun`` and ``ended`` are clocks since the reset.
    """
    return data.StructLayout(
        {
            "tag": TAG_BITS,
            "queue": QUEUE_BITS,
            "opcode": OPCODE_BITS,
            "error": Error,
            "unused": 16,
            "index": 32,
            "number": 32,
            "begun": TIME_BITS,
            "ended": TIME_BITS,
        }
    )


def queue_control_layout() -> data.StructLayout:
    """A queue's ring: address of its first byte, a multiple of 64, and 2 ** ``log2`` commands; ``tail``: the commands
    that were ever written to it, modulo 2**32; ``enable``: run them.
    """
    return data.StructLayout({"base": ADDRESS_BITS, "log2": 5, "tail": 32, "enable": 1})


def queue_status_layout() -> data.StructLayout:
    """What can be seen of a queue.

    ``head``: commands whose place in the ring is free again. ``begun``, ``ended``: commands, counted. ``waiting``: for
    ``semaphore``. ``stopped``: a command ended with ``error``; ``opcode``, ``tag`` and ``index`` are of the first one.
    """
    return data.StructLayout(
        {
            "head": 32,
            "begun": 32,
            "ended": 32,
            "busy": 1,
            "waiting": 1,
            "semaphore": SEMAPHORE_BITS,
            "stopped": 1,
            "error": Error,
            "opcode": OPCODE_BITS,
            "tag": TAG_BITS,
            "index": 32,
        }
    )
