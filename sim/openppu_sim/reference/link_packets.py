"""The link's packets as bytes, from their description alone: what a channel's flits must carry, and say."""

from collections.abc import Iterator
from dataclasses import dataclass

FIELDS = {
    "operation": 4,
    "status": 4,
    "destination": 6,
    "source": 6,
    "tag": 8,
    "length": 12,
    "address": 40,
}
"""Of a header: bits, the first field lowest. ``length`` is the number of bytes less one."""

HEADER_BYTES = 10
GRAIN = 2
WRITE, READ, ADD_INT32, ADD_BINARY32, MESSAGE, SIGNAL, DONE, DATA, COLLECTIVE, TUNNEL = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
WITH_DATA = (WRITE, ADD_INT32, ADD_BINARY32, MESSAGE, DATA, COLLECTIVE, TUNNEL)


@dataclass(frozen=True, kw_only=True)
class Packet:
    """A packet: its header's fields, and its data.

    ``length`` is in bytes, 1 to 4,096; a packet with data has as many, any other has ``b""``.
    """

    operation: int
    status: int = 0
    destination: int = 0
    source: int = 0
    tag: int = 0
    length: int = 1
    address: int = 0
    data: bytes = b""

    def __post_init__(self) -> None:
        if len(self.data) != (self.length if self.operation in WITH_DATA else 0):
            raise ValueError(f"{len(self.data)} bytes of data: not what operation {self.operation} brings")

    @property
    def header(self) -> int:
        """The header's 80 bits."""
        value, place = 0, 0
        for name, bits in FIELDS.items():
            field = getattr(self, name) - (name == "length")
            if not 0 <= field < 1 << bits:
                raise ValueError(f"{name} = {getattr(self, name)}: does not fit {bits} bits")
            value |= field << place
            place += bits
        return value

    def bytes(self) -> bytes:
        """What stands for it in its channel's payload."""
        return self.header.to_bytes(HEADER_BYTES, "little") + self.data + bytes(-len(self.data) % GRAIN)


def packet_of(header: int, data: bytes) -> Packet:
    """The packet with the header of 80 bits.

    Raises
    ------
    ValueError
        If it does not have so many bytes.
    """
    values, place = {}, 0
    for name, bits in FIELDS.items():
        values[name] = (header >> place & (1 << bits) - 1) + (name == "length")
        place += bits
    return Packet(**values, data=data)


def packets_in(stream: bytes) -> Iterator[Packet]:
    """The packets in the bytes of a channel.

    Raises
    ------
    ValueError
        If the bytes end within one.
    """
    place = 0
    while place < len(stream):
        header = int.from_bytes(stream[place : place + HEADER_BYTES], "little")
        operation, length = header & 15, (header >> 28 & 4095) + 1
        size = length if operation in WITH_DATA else 0
        begin = place + HEADER_BYTES
        place = begin + size + size % GRAIN
        if place > len(stream):
            raise ValueError(f"{len(stream)} bytes end within a packet that begins at {begin - HEADER_BYTES}")
        yield packet_of(header, stream[begin : begin + size])
