"""What travels between the parts of a channel's controller."""

from typing import Protocol

from amaranth.lib import data

from openppu.hbm.config import GRANULE, MOST_ACCESSES, ChannelConfig
from openppu.hbm.phy import DATA_BITS


class Addressed(Protocol):
    """What a request port is made for: bits of the address of 32 bytes, and tags."""

    @property
    def address_bits(self) -> int: ...
    @property
    def tags(self) -> int: ...


def request_layout(config: Addressed) -> data.StructLayout:
    """A request: ``last`` is the number of accesses less one; a write brings as many words."""
    return data.StructLayout(
        {"write": 1, "address": config.address_bits, "last": range(MOST_ACCESSES), "tag": range(config.tags)}
    )


def write_word_layout() -> data.StructLayout:
    """A word to write; a byte whose mask bit is low keeps its old value."""
    return data.StructLayout({"data": DATA_BITS, "mask": DATA_BITS // 8})


def response_layout(config: Addressed) -> data.StructLayout:
    """One access read: ``last`` on a request's last; the data is known to be wrong (``error``) or was ``corrected``."""
    return data.StructLayout({"data": DATA_BITS, "tag": range(config.tags), "last": 1, "error": 1, "corrected": 1})


def acknowledge_layout(config: Addressed) -> data.StructLayout:
    """A whole write request has been taken in; every read taken afterwards, by any port, sees it.

    With ``error`` it reaches beyond the capacity, and nothing was written.
    """
    return data.StructLayout({"tag": range(config.tags), "error": 1})


def source_layout(config: ChannelConfig) -> data.StructLayout:
    """Where the data of a read goes: a slot of a port, or with ``merge``, of the write buffer."""
    return data.StructLayout({"merge": 1, "port": range(config.ports), "slot": range(max(config.slots, config.writes))})


def returned_layout(config: ChannelConfig) -> data.StructLayout:
    """A word read, on its way to a port: of an entry, words come in order, and ``last`` is with its last."""
    return data.StructLayout(
        {
            "valid": 1,
            "slot": range(config.slots),
            "word": range(GRANULE),
            "last": 1,
            "error": 1,
            "corrected": 1,
            "data": DATA_BITS,
        }
    )


def place_layout(config: ChannelConfig) -> data.StructLayout:
    """A place in a PC: bank (SID, bank group, bank), row, column of the first access."""
    of = config.organisation
    return data.StructLayout({"column": range(of.columns), "bank": range(of.banks), "row": range(of.rows)})


def entry_layout(config: ChannelConfig) -> data.StructLayout:
    """Work for a PC: ``last + 1`` accesses from a place on, all in one granule.

    Of a write, ``masked`` says that a byte of it keeps its old value; its words follow on a stream of their own.
    """
    return data.StructLayout(
        {
            "write": 1,
            "masked": 1,
            "place": place_layout(config),
            "last": range(GRANULE),
            "port": range(config.ports),
            "slot": range(config.slots),
        }
    )
