"""The memory that a chip's link reads and writes for other chips."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.layouts import ADDRESS_BITS


def access_layout(config: LinkConfig) -> data.StructLayout:
    """An access to a word of as many bytes as a beat has: byte k of word ``address`` is at k + beat_bytes * address.

    Of a ``write``, the bytes whose bit of ``mask`` is set are written.
    """
    word_bits = ADDRESS_BITS - (config.beat_bytes - 1).bit_length()
    return data.StructLayout(
        {"write": 1, "address": word_bits, "data": 8 * config.beat_bytes, "mask": config.beat_bytes}
    )


def result_layout(config: LinkConfig) -> data.StructLayout:
    """The word that a read found; ``error``: it is known to be wrong."""
    return data.StructLayout({"data": 8 * config.beat_bytes, "error": 1})


class MemorySignature(wiring.Signature):
    """A memory, seen from who uses it.

    Accesses take effect in their order: a read sees every write before it. There is a result for each read, in order,
    and none for writes. Results may come at any distance; they may have to wait, and accesses with them.

    Members
    -------
    accesses : Out(stream of access_layout(config))
    results : In(stream of result_layout(config))
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "accesses": Out(stream.Signature(access_layout(config))),
                "results": In(stream.Signature(result_layout(config))),
            }
        )
