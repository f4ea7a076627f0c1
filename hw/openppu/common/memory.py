"""A chip's memory, seen from who uses it: engines, command processor, link, host."""

from typing import Any

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

ADDRESS_BITS = 40
"""Of a byte. Bit 39 clear: HBM; set: bits 24 to 38 choose a compute unit, the rest a byte of its scratchpad."""

WORD_BYTES = 32
"""What one access moves, and what addresses of requests are multiples of."""

MOST_WORDS = 128
"""Of one request."""


def request_layout(tags: int) -> data.StructLayout:
    """A request of ``last`` + 1 words from ``address``, a byte address, on; a ``write`` brings as many words."""
    return data.StructLayout(
        {"write": 1, "address": ADDRESS_BITS, "last": range(MOST_WORDS), "tag": range(tags)},
    )


def write_word_layout() -> data.StructLayout:
    """A word to write; a byte whose mask bit is low keeps its old value."""
    return data.StructLayout({"data": 8 * WORD_BYTES, "mask": WORD_BYTES})


def response_layout(tags: int) -> data.StructLayout:
    """A word read: ``last`` with a request's last; its data is known to be wrong (``error``) or was ``corrected``."""
    return data.StructLayout({"data": 8 * WORD_BYTES, "tag": range(tags), "last": 1, "error": 1, "corrected": 1})


def acknowledge_layout(tags: int) -> data.StructLayout:
    """A whole write has been taken in, and every later read sees it; with ``error`` nothing was written."""
    return data.StructLayout({"tag": range(tags), "error": 1})


OUTWARDS = ("requests", "words")
"""Streams of `MemorySignature` that go from the user to the memory; the others come back."""


def join(m: Any, user: Any, port: Any) -> None:
    """Connect a user's memory port to one that may have more tags.

    Parameters
    ----------
    m : Module
    user
        From the user's side.
    port
        From the memory's side, or one that is handed on.
    """
    for name in (*OUTWARDS, "responses", "acknowledges"):
        mine, theirs = getattr(user, name), getattr(port, name)
        source, target = (mine, theirs) if name in OUTWARDS else (theirs, mine)
        m.d.comb += [target.valid.eq(source.valid), source.ready.eq(target.ready)]
        m.d.comb += [target.payload[key].eq(source.payload[key]) for key, _ in source.payload.shape()]


class MemorySignature(wiring.Signature):
    """Four streams; the user's side is `Out`.

    Responses come in order within a tag, in any order between tags; the words of one request come without others of the
    same tag between them. Accesses of one port to the same word take effect in order within a tag.

    Parameters
    ----------
    tags : int
        Requests with different tags may overtake each other.

    Members
    -------
    requests : Out(stream of request_layout)
    words : Out(stream of write_word_layout)
        Of writes, in the order of their requests.
    responses : In(stream of response_layout)
        Of reads.
    acknowledges : In(stream of acknowledge_layout)
        Of writes.
    """

    def __init__(self, *, tags: int):
        self.tags = tags
        super().__init__(
            {
                "requests": Out(stream.Signature(request_layout(tags))),
                "words": Out(stream.Signature(write_word_layout())),
                "responses": In(stream.Signature(response_layout(tags))),
                "acknowledges": In(stream.Signature(acknowledge_layout(tags))),
            }
        )
