"""What the vector unit does in a cycle."""

from amaranth.lib import enum


class Cause(enum.IntEnum, shape=3):
    """What a cycle went to; while a program runs, the first that holds."""

    COMPUTE = 0
    """A row was issued."""
    DEPENDENCE = 1
    """The next row reads what is not written yet."""
    INPUT = 2
    """It reads a stream that has no row yet."""
    OUTPUT = 3
    """It writes a stream, and what is to be written fills the queue."""
    SEQUENCE = 4
    """There is no instruction: the sequencer fetches one, or waits until all is written."""
    COMMAND = 5
    """A command is checked, or done beside a run, or its end waits to be taken."""
    IDLE = 6
    """There is no command."""
