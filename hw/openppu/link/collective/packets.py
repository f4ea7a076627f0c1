"""What a packet between two engines says in its header, beside the addresses of the chips."""

from enum import IntEnum

from amaranth.lib import data

from openppu.link.collective.instruction import LABEL_BITS

CREDIT_BITS = 16
SEQUENCE_BITS = 6


class Kind(IntEnum):
    """What a packet brings. The first two are those of `openppu.link.collective.instruction.Stream`."""

    REDUCE = 0
    """Beats for the window."""
    STORE = 1
    """Beats for memory."""
    TOKEN = 2
    """A token; its one byte of data means nothing."""
    CREDIT = 3
    """Nothing but the header; neither does that of this."""


class Tag(data.Struct):
    """The header's tag."""

    sequence: SEQUENCE_BITS
    """Of the packet, counted for each way of a port."""
    kind: 2


class Credit(data.Struct):
    """Beats that a port's peer may have sent since the start, modulo 65,536, in each stream."""

    window: CREDIT_BITS
    """The window's size, and what has been taken out of it."""
    store: CREDIT_BITS
    """The beats of all STOREs that were dispatched."""


class Note(data.Struct):
    """The header's address."""

    credit: Credit
    label: LABEL_BITS
    """Of the instruction that sends it."""


class Fault(IntEnum):
    """What is wrong. The first ones are an instruction's, the others a packet's."""

    NONE = 0
    OPCODE = 1
    """There is no such instruction."""
    PORTS = 2
    """It names no port, or one that the chip has not; or STORE names several."""
    LENGTH = 3
    """It is zero, or over `MOST_BEATS`."""
    ADDRESS = 4
    """It is not a multiple of a beat."""
    UNIT = 5
    """There is no such unit, or it has fewer operands."""
    SOURCES = 6
    """There is no operand, none such, or the same one twice."""
    TARGET = 7
    """Sums go nowhere; or to the joining unit as bf16, from itself, or to other places, too."""
    PACKET = 8
    """It is none of a collective, not from the port's peer, or without data."""
    SEQUENCE = 9
    """A packet before it is missing."""
    STRAY = 10
    """No STORE waits for it."""
    LABEL = 11
    """The instruction that it comes to has another label."""
    WINDOW = 12
    """There is no room for it."""
    TOKEN = 13
    """Too many have come that nobody waited for."""
    CUT = 14
    """The rest of it was lost when a port was reset."""
