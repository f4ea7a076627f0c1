"""What travels between the parts of a port, and between ports."""

from amaranth.lib import data, enum

from openppu.link.config import CHANNELS, MOST_DATA_BYTES, SEQUENCE_BITS, LinkConfig

CHIP_BITS = 6
"""Of a chip's number: up to 64 chips address each other."""

TAG_BITS = 8
ADDRESS_BITS = 40

HOP_BITS = 3
HERE = 7
"""In place of a hop: the packet has arrived, and the port that it is for follows."""

TUNNEL_HOPS = ADDRESS_BITS // HOP_BITS - 2
"""Of a tunnel, at most: what an address has room for."""

LENGTH_BITS = 12


class Role(enum.Enum, shape=2):
    """What a virtual channel is for. A packet's channel is its role plus 3 times its class.

    Requests may wait for responses, and for room at their target; responses and collective data wait for nothing
    but the way, so they always arrive. A packet begins in class 0; where its way could close a circle of packets
    that wait for each other, the route puts it into class 1 (`openppu.link.topology`).
    """

    REQUEST = 0
    RESPONSE = 1
    COLLECTIVE = 2


class Operation(enum.Enum, shape=4):
    """What a packet asks for or answers."""

    WRITE = 1
    """Data to an address; answered by DONE."""
    READ = 2
    """``length`` bytes from an address; answered by DATA."""
    ADD_INT32 = 3
    """Adds 4 bytes of data to those at the address, modulo 2**32; answered by DATA with what was there before."""
    ADD_BINARY32 = 4
    """The same as an IEEE 754 addition, rounded to nearest even; a NaN is 0x7FC00000."""
    MESSAGE = 5
    """Data to the mailbox that the address names; answered by DONE."""
    SIGNAL = 6
    """Adds ``length`` to the semaphore that the address names; answered by DONE."""
    DONE = 8
    """An answer without data."""
    DATA = 9
    """An answer with data."""
    COLLECTIVE = 10
    """Data of a collective; not answered."""
    TUNNEL = 11
    """A flit of another port, whose lanes are dead; not answered. Its address is its way: the port that it leaves each
    chip by, the first one lowest, then `HERE` and the port at its end. Each chip takes its hop away."""


BRINGS_DATA = (
    Operation.WRITE,
    Operation.ADD_INT32,
    Operation.ADD_BINARY32,
    Operation.MESSAGE,
    Operation.DATA,
    Operation.COLLECTIVE,
    Operation.TUNNEL,
)
"""After the header of these come ``length`` bytes, and a byte more where that is odd."""

REQUESTS = (
    Operation.WRITE,
    Operation.READ,
    Operation.ADD_INT32,
    Operation.ADD_BINARY32,
    Operation.MESSAGE,
    Operation.SIGNAL,
)
"""What a chip may ask of another. All of them are answered."""


class Status(enum.Enum, shape=4):
    """How a transaction ended."""

    OKAY = 0
    ADDRESS = 1
    """No such address, mailbox or semaphore, or beyond its end; nothing was changed."""
    OPERATION = 2
    """No such operation there, or not aligned or of a length that it needs."""
    MEMORY = 3
    """The memory reported wrong data."""
    UNREACHABLE = 4
    """There is no way to the chip, or its port was reset with the transaction on its way."""
    BUSY = 5
    """The mailbox has no room for it now; nothing was changed."""


class Header(data.Struct):
    """Of a transaction, 10 bytes, the first field lowest."""

    operation: Operation
    status: Status
    """Zero in a request."""
    destination: CHIP_BITS
    """The chip that the packet goes to."""
    source: CHIP_BITS
    """The chip that it comes from; an answer goes there."""
    tag: TAG_BITS
    """Chosen by the asking chip, repeated in the answer."""
    length: LENGTH_BITS
    """Bytes less one, 1 to 4,096: of the data, or those to read."""
    address: ADDRESS_BITS


class Trailer(data.Struct):
    """Of a flit, 6 bytes behind its payload, the first field lowest."""

    data: 1
    """It has payload and a sequence number of its own. One without is a control flit, which is never sent again."""
    channel: 3
    """The virtual channel of the payload."""
    used: 7
    """Payload in grains of 2 bytes; what is behind them is zero."""
    sequence: SEQUENCE_BITS
    """The flit's number, modulo 256; of a control flit, that of the next data flit."""
    acknowledge: SEQUENCE_BITS
    """All data flits before this number have arrived."""
    missing_valid: 1
    missing: SEQUENCE_BITS
    """With ``missing_valid``, a flit that has not arrived and is to be sent again."""
    credit_channel: 3
    credit: SEQUENCE_BITS
    """Flits of ``credit_channel`` that the receiver has made room for since the start, modulo 256."""
    cut: 1
    """The packet that the payload ends in was lost on its way; what is missing of it does not come."""


def beat_layout(config: LinkConfig) -> data.StructLayout:
    """A beat of a flit on its way to or from the lanes: byte 0 lowest; ``first`` and ``last`` of the flit.

    ``news``, with the first one, says that the flit is worth sending where nothing need be sent: it has payload, or
    tells the other side something that it has not been told.
    """
    return data.StructLayout({"data": 8 * config.beat_bytes, "first": 1, "last": 1, "news": 1})


def payload_layout(config: LinkConfig) -> data.StructLayout:
    """A beat of a flit's payload, of `LinkConfig.payload_beats`.

    ``channel`` holds for all of them. ``used`` (in grains) and ``cut`` (`Trailer`) count with the last one in a flit
    that is sent, and hold for all beats of one that was received. In the last one, bytes behind the payload's end are
    ignored.
    """
    return data.StructLayout(
        {"data": 8 * config.beat_bytes, "channel": range(CHANNELS), "used": 7, "cut": 1, "first": 1, "last": 1}
    )


def packet_layout(config: LinkConfig) -> data.StructLayout:
    """A word of a packet: a header with the first one, and the data, as many bytes a word as a beat has.

    ``count`` is the number of data bytes in the word less one, where ``filled``; all words but the last are full.
    A packet without data is one word that is not ``filled``. ``cut``, with a last word that is not ``filled`` behind
    others: the rest of the packet was lost when a port was reset; whatever it asks for must not be answered as done.
    """
    return data.StructLayout(
        {
            "header": Header,
            "data": 8 * config.beat_bytes,
            "count": range(config.beat_bytes),
            "filled": 1,
            "cut": 1,
            "first": 1,
            "last": 1,
        }
    )


def length_of(count: int) -> int:
    """The ``length`` of a header for so many bytes.

    Raises
    ------
    ValueError
        If a transaction cannot have as many.
    """
    if not 1 <= count <= MOST_DATA_BYTES:
        raise ValueError(f"{count} bytes: a transaction has 1 to {MOST_DATA_BYTES}")
    return count - 1
