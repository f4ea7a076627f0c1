"""How engines reach a scratchpad."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


def request_layout(*, address_bits: int, word_bytes: int) -> data.StructLayout:
    """An access to the word of number ``address``; of a ``write``, the bytes whose ``mask`` bit is set are written."""
    return data.StructLayout({"write": 1, "address": address_bits, "data": 8 * word_bytes, "mask": word_bytes})


def result_layout(*, word_bytes: int) -> data.StructLayout:
    """The word that a read found: known to be wrong (``error``), or ``corrected``."""
    return data.StructLayout({"data": 8 * word_bytes, "error": 1, "corrected": 1})


class ScratchpadPort(wiring.Signature):
    """A scratchpad, seen from who uses it.

    Accesses take effect in the order in which they are taken. There is a result for each read, in order, a fixed number
    of cycles after it was taken (`openppu.scratchpad.scratchpad.Scratchpad.LATENCY`); it cannot wait.

    Parameters
    ----------
    address_bits : int
        Of a word's number.
    word_bytes : int

    Members
    -------
    requests : Out(stream of request_layout)
    results : In(stream of result_layout, always ready)
    """

    def __init__(self, *, address_bits: int, word_bytes: int):
        self.address_bits = address_bits
        self.word_bytes = word_bytes
        super().__init__(
            {
                "requests": Out(stream.Signature(request_layout(address_bits=address_bits, word_bytes=word_bytes))),
                "results": In(stream.Signature(result_layout(word_bytes=word_bytes), always_ready=True)),
            }
        )
