"""Joins what several targets write of a word of memory, and targets that follow each other."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES
from openppu.dma.layouts import placed_layout


class Join(wiring.Component):
    """Holds a word until the next one is known.

    If that is the same word of memory, both become one, and the later bytes win; if it is the word behind, the held one
    is not the ``last`` any more, so that one request takes both. Nothing is joined across a command's ``end``, which
    waits for nobody. Latency: 1 cycle from the word behind to the held one; 1 of an end. Throughput: one word a cycle.

    Parameters
    ----------
    address_bits : int
        Of a word's number.

    Members
    -------
    words : In(stream of placed_layout(address_bits, WORD_BYTES))
    joined : Out(stream of placed_layout(address_bits, WORD_BYTES))
    """

    def __init__(self, *, address_bits: int):
        word = stream.Signature(placed_layout(address_bits, WORD_BYTES))
        super().__init__({"words": In(word), "joined": Out(word)})

    def elaborate(self, platform):
        m = Module()
        word = self.words.payload
        held = Signal.like(word, reset_less=True)
        holds = Signal()
        joins = Signal()
        follows = Signal()
        both = ~held.end & ~word.end
        m.d.comb += [
            joins.eq(holds & both & (word.address == held.address)),
            follows.eq(both & (word.address == held.address + 1)),
            self.joined.payload.eq(held),
            self.joined.payload.last.eq(held.last & ~follows),
            self.joined.valid.eq(holds & (held.end | (self.words.valid & ~joins))),
            self.words.ready.eq(~holds | joins | self.joined.ready),
        ]
        with m.If(self.joined.valid & self.joined.ready):
            m.d.sync += holds.eq(0)
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += [holds.eq(1), held.eq(word)]
            with m.If(joins):
                m.d.sync += held.mask.eq(held.mask | word.mask)
                for byte in range(WORD_BYTES):
                    part = slice(8 * byte, 8 * byte + 8)
                    m.d.sync += held.data[part].eq(Mux(word.mask[byte], word.data[part], held.data[part]))
        return m
