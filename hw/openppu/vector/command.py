"""The commands of the vector unit."""

from amaranth.lib import data, enum

from openppu.scratchpad.config import MOST_BYTES
from openppu.vector.instruction import COUNTS, PARAMETERS

ADDRESS_BITS = 24
"""Of a byte in the scratchpad."""

ACCUMULATORS = MOST_BYTES
"""Where input streams find the accumulators: their row r in the word of number r from here on."""

DIMENSIONS = 4
"""Of a stream's pattern, the innermost first."""

COUNT_BITS = 16


class Opcode(enum.Enum, shape=8):
    """What a command asks for."""

    PROGRAM = 48
    """Copy instructions from the scratchpad into the program memory."""
    STREAM = 49
    """Say where a stream goes."""
    RUN = 50
    """Run a program."""


def program_layout() -> data.StructLayout:
    """``count`` instructions from ``source``, a multiple of 16, to the program memory's word ``start`` and on."""
    return data.StructLayout({"source": ADDRESS_BITS, "start": 16, "count": 16})


def pattern_layout() -> data.StructLayout:
    """Where a stream's elements are; ``docs/vector.md`` defines each field."""
    return data.StructLayout(
        {
            "base": ADDRESS_BITS,
            **{f"count_{dimension}": COUNT_BITS for dimension in range(DIMENSIONS)},
            **{f"stride_{dimension}": ADDRESS_BITS for dimension in range(DIMENSIONS)},
            "format": 3,
            "single": 1,
            "saturate": 1,
            "held": 1,
            "tail": 8,
            "tail_dimension": 2,
            "fill": 32,
        }
    )


def stream_layout() -> data.StructLayout:
    """``stream``: 0 to 3 are input streams, 4 to 7 output streams."""
    return data.StructLayout({"stream": 8, "pattern": pattern_layout()})


def run_layout() -> data.StructLayout:
    """The program at ``start``, on strips of ``rows``; how often its loops go round, and the words it is given."""
    return data.StructLayout(
        {
            "start": 16,
            "rows": 8,
            **{f"count_{number}": COUNT_BITS for number in range(COUNTS)},
            **{f"parameter_{number}": 32 for number in range(PARAMETERS)},
        }
    )


def command_layout() -> data.StructLayout:
    """A command: its `Opcode`, as bits, and the operands of that."""
    operands = data.UnionLayout({"program": program_layout(), "stream": stream_layout(), "run": run_layout()})
    return data.StructLayout({"opcode": 8, "operands": operands})
