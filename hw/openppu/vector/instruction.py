"""The words of the vector unit's programs."""

from amaranth.lib import data, enum

PARAMETERS = 8
"""Words that a RUN command gives to a program."""

COUNTS = 4
"""Counts of loops that a RUN command gives."""

LOOP_DEPTH = 4
"""Loops within each other, at most."""

INPUTS = 4
OUTPUTS = 4
"""Streams from and to the scratchpad."""

ACCUMULATOR_STREAMS = (0, 2)
"""Input streams that may come from the accumulators: those of the first port."""

CONSTANTS = 2
"""In an instruction."""

INSTRUCTION_BYTES = 16

STRIP = 0
"""As an instruction's ``rows``: those of the strip, as the RUN command says."""

PACKED_ROWS = 255
"""As an instruction's ``rows``: as many as hold the strip's rows when packed."""


class Kind(enum.Enum, shape=3):
    """What a word of a program is."""

    STOP = 0
    """The end of the program."""
    COMPUTE = 1
    """An operation on rows."""
    LOOP = 2
    """What follows, to the END that belongs to it, as often as count ``a.number`` of the RUN command says."""
    END = 3
    RELEASE = 4
    """When all that came before can be seen in memory, lets held input streams go on by a block: those of the mask
    ``a.number``."""


class Source(enum.Enum, shape=3):
    """Where an operand of row r comes from."""

    REGISTER = 0
    """Row r of a register."""
    SPREAD = 1
    """Row r // L of a register, its lane r % L for all lanes: what PACKED wrote."""
    CROSS = 2
    """Row r of a register; lane i gets that of lane i ^ ``cross``."""
    SHIFTED = 3
    """Row (r + ``shift``) % S of a register."""
    CONSTANT = 4
    """A constant of the instruction, for all lanes."""
    PARAMETER = 5
    """A word of the RUN command, for all lanes."""
    STREAM = 6
    """The next element of an input stream."""
    INDEX = 7
    """The lane's number and L times the number of rounds of the innermost loop that are done, an int32."""


class Target(enum.Enum, shape=2):
    """Where the result of row r goes."""

    REGISTER = 0
    """Row r of a register."""
    PACKED = 1
    """Row r // L of a register, lane r % L alone, from that lane."""
    STREAM = 2
    """An output stream."""
    BOTH = 3
    """Row r of a register, and an output stream."""


def operand_layout() -> data.StructLayout:
    """A `Source` and its number: of a register, constant, parameter or stream."""
    return data.StructLayout({"kind": Source, "number": 5})


def instruction_layout() -> data.StructLayout:
    """An instruction of 16 bytes.

    ``rows``: how many, or `STRIP`, `PACKED_ROWS`. ``target``: a register; ``stream``: an output stream. All three
    operands are fetched, whatever the operation needs.
    """
    return data.StructLayout(
        {
            "constants": data.ArrayLayout(32, CONSTANTS),
            "kind": Kind,
            "operation": 6,
            "target_kind": Target,
            "target": 5,
            "a": operand_layout(),
            "b": operand_layout(),
            "c": operand_layout(),
            "rows": 8,
            "cross": 5,
            "shift": 7,
            "stream": range(OUTPUTS),
            "unused": 2,
        }
    )
