"""What a DMA engine does in a cycle."""

from amaranth.lib import enum


class Cause(enum.IntEnum, shape=3):
    """What a cycle went to; the first that holds."""

    MOVE = 0
    """A word is written: of the scratchpad by the load engine, of memory by the store engine."""
    SCRATCHPAD = 1
    """An access to the scratchpad is not taken: its bank is another port's in this cycle."""
    MEMORY = 2
    """A request or a word is not taken by memory; words were asked of it, and the next has not come; a command is over
    but for its acknowledges, or as many are awaited as may be."""
    WORK = 3
    """A command is there: it is checked, walked through, its bytes are taken apart and put together, its end told."""
    IDLE = 4
    """There is no command."""
