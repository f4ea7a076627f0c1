"""How a command ended."""

from amaranth.lib import data, enum


class Error(enum.Enum, shape=8):
    """What an engine says of a command; a refused one has changed nothing."""

    OKAY = 0
    OPCODE = 1
    """There is no such command for this engine."""
    FIELD = 2
    """A field has a value that is not allowed."""
    ALIGNMENT = 3
    """An address or stride is not a multiple of what it must be."""
    BOUNDS = 4
    """A range that the command names reaches beyond its memory."""
    MEMORY = 5
    """Data that was read is known to be wrong; what was written up to then stands."""
    LINK = 6
    """Another chip could not be reached, or refused."""
    TIMEOUT = 7
    FORMAT = 8
    """A number format that this chip does not have."""


def finished_layout() -> data.StructLayout:
    """What an engine gives for each command, in their order, when all its effects can be seen."""
    return data.StructLayout({"error": Error})
