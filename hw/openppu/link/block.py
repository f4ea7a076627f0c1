"""The training block: what the lanes carry when they carry no flits."""

from amaranth import Cat, Const, Value
from amaranth.lib import data

from openppu.link.shift_register import crc_of, crc_steps, product

BLOCK_BITS = 128
HALF_BITS = 64
"""A block is the sync pattern, then as many bits of fields and their CRC."""

SYNC = 0xD2B8_0E6A_71C5_93F4
"""Bit 0 first on the line. Found at any bit, it tells where words begin; found inverted, that the pair is crossed."""

MASK = 0x5C93_A64E_B13A_6D27
"""What the second half is XORED with, so that fields of zeros give the receiver edges."""

FIELD_BITS = 48
CRC_BITS = 16
CRC_POLYNOMIAL = 0x1021
CRC_START = 0xFFFF

START_BLOCKS = 8
"""Blocks that count down to the first data word; one good one of them, but the last, is enough."""

EPOCH_BITS = 3


class Fields(data.Struct):
    """Of a block, the first field lowest.

    ``lane``, ``logical`` and ``active`` are of the lane that the block is on, the others alike on all lanes.
    """

    start: 1
    """The block counts down to data."""
    countdown: 4
    """With ``start``, blocks that follow before the first data word."""
    lane: 4
    """The lane's number at the port that sends."""
    logical: 4
    """Its place among the active lanes: which words of a beat it will carry."""
    active: 1
    """It will carry data."""
    width: 3
    """Base 2 logarithm of the number of active lanes."""
    heard: 16
    """The lanes of the other port, by their ``lane``, that this one receives well."""
    ready: 1
    """``heard`` will not change any more, and data may begin."""
    epoch: EPOCH_BITS
    """Number of this port's training; another one is a new training."""
    echo: EPOCH_BITS
    """The ``epoch`` that this port has seen of the other; means nothing without a lane that is heard."""
    fresh: 1
    """This port's link layer is new: it has never sent or got a flit."""
    reset: 1
    """The link layer of both ports is to be reset."""
    reset_done: 1
    """The answer to that: this port's is."""
    sleep: 1
    """The lanes are to rest."""
    sleep_agreed: 1
    """The answer to that: this port's will, once there is no signal any more."""
    word: 2
    """Base 2 logarithm of the bits of a word, less 4; ports with different ones cannot talk."""
    spare: 1


assert Fields.as_shape().size == FIELD_BITS

_ROWS = crc_steps(CRC_POLYNOMIAL, CRC_BITS, FIELD_BITS)

GOOD_CRC = crc_of(CRC_POLYNOMIAL, CRC_BITS, 0, MASK, HALF_BITS)
"""What the CRC of a right second half, as it comes, is."""


def block_words(bits: int) -> int:
    """Words of a lane in a block."""
    return BLOCK_BITS // bits


def second_half(fields: data.View) -> Value:
    """The second half of a block, before the mask: fields, a signal, and their CRC."""
    value = Value.cast(fields)
    # The CRC's highest bit comes first.
    return Cat(value, product(_ROWS[::-1], Const(CRC_START, CRC_BITS), value))


def lane_part(lane: Value, logical: Value, active: Value) -> Value:
    """What the fields of its lane add to the second half of a block: XOR it with that of the common fields."""
    places = {"lane": lane, "logical": logical, "active": active}
    parts = [places.get(str(name), Const(0, field.width)) for name, field in Fields.as_shape()]
    return Cat(*parts, product(_ROWS[::-1], Const(0, CRC_BITS), *parts))
