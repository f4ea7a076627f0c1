"""Packets at both ends of a part of the link in Amaranth's simulator."""

import random
from typing import Any

from openppu.link.config import LinkConfig
from openppu_sim.reference.link_packets import SIGNAL, WITH_DATA, WRITE, Packet, packet_of
from openppu_verif import ends

OPERATIONS = (*WITH_DATA, 2, SIGNAL, 8, 0, 15)


def random_packet(chance: random.Random, *, most: int = 600, **fields: int) -> Packet:
    """Any packet, often a short one."""
    values = {
        "operation": chance.choice(OPERATIONS),
        "status": chance.randrange(5),
        "destination": chance.randrange(64),
        "source": chance.randrange(64),
        "tag": chance.randrange(256),
        "length": chance.randint(1, chance.choice([1, 4, 20, 100, most])),
        "address": chance.getrandbits(40),
    } | fields
    size = values["length"] if values["operation"] in WITH_DATA else 0
    return Packet(**values, data=chance.randbytes(size))


def write(size: int, chance: random.Random) -> Packet:
    """A write of so many bytes."""
    return Packet(operation=WRITE, length=size, data=chance.randbytes(size))


def words_of(packet: Packet, config: LinkConfig, chance: random.Random) -> list[dict[str, Any]]:
    """The words of a packet as a stream takes them; what does not matter in them is noise."""
    width = config.beat_bytes
    pieces = [packet.data[at : at + width] for at in range(0, len(packet.data), width)] or [b""]
    words = []
    for number, piece in enumerate(pieces):
        filled = piece + chance.randbytes(width - len(piece))
        words.append(
            {
                "header": packet.header if number == 0 else chance.getrandbits(80),
                "data": int.from_bytes(filled, "little"),
                "count": len(piece) - 1 if piece else chance.randrange(width),
                "filled": bool(piece),
                "cut": 0,
                "first": number == 0,
                "last": number == len(pieces) - 1,
            }
        )
    return words


CUT = {"header": 0, "data": 0, "count": 0, "filled": 0, "cut": 1, "first": 0, "last": 1}
"""The last word of a packet that is cut off."""


class PacketReader:
    """Makes packets of words; checks their marks."""

    def __init__(self, config: LinkConfig) -> None:
        self.config = config
        self.header: int | None = None
        self.data = b""
        self.cut = 0

    def word(self, word: Any) -> Packet | None:
        """The packet that the word completes, if any; one that is cut off is counted and left out."""
        assert (self.header is None) == word.first, "a packet begins with its first word"
        if word.first:
            self.header, self.data = value_of(word.header), b""
        if word.cut:
            assert word.last
            assert not word.filled
            assert not word.first
            self.header = None
            self.cut += 1
            return None
        if word.filled:
            assert word.last or word.count == self.config.beat_bytes - 1, "only the last word is not full"
            self.data += word.data.to_bytes(self.config.beat_bytes, "little")[: word.count + 1]
        if not word.last:
            return None
        header, self.header = self.header, None
        assert header is not None
        return packet_of(header, self.data)


def value_of(constant: Any) -> int:
    """The bits of a struct that was read in a simulation."""
    return int(constant.as_bits())


class Put(ends.Put):
    """Offers words on a stream; the header of one, if it has one, as its bits."""

    def write(self, ctx: Any, item: Any) -> None:
        rest = {name: value for name, value in item.items() if name != "header"}
        ctx.set(self.stream.payload, rest)
        if "header" in item:
            ctx.set(self.stream.payload.header.as_value(), item["header"])
