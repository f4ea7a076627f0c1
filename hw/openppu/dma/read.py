"""Reads bytes of a scratchpad."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.dma.layouts import WIDE_ROW_BITS, source_layout, word_layout
from openppu.link.word_queue import WordQueue

READS = 16
"""Words on their way from the scratchpad: more than its latency and its longest wait, for a word a cycle."""


class Read(wiring.Component):
    """Asks a scratchpad for the words that hold the bytes of sources, and for no others; gives them in order.

    A result cannot wait: a word is asked for only once there is a place for it. Throughput: one word a cycle.

    Parameters
    ----------
    word_bytes : int
    address_bits : int
        Of a word's number.

    Members
    -------
    sources : In(stream of source_layout())
    described : Out(stream of source_layout())
        Each source, when its first word was asked for.
    words : Out(stream of word_layout(word_bytes))
    reads : Out(stream)
        Numbers of words to read.
    results : In(stream of word_layout(word_bytes), always ready)
    """

    def __init__(self, *, word_bytes: int, address_bits: int):
        self.word_bytes = word_bytes
        self.address_bits = address_bits
        word = word_layout(word_bytes)
        super().__init__(
            {
                "sources": In(stream.Signature(source_layout())),
                "described": Out(stream.Signature(source_layout())),
                "words": Out(stream.Signature(word)),
                "reads": Out(stream.Signature(address_bits)),
                "results": In(stream.Signature(word, always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = WordQueue(word_layout(self.word_bytes), depth=READS)
        m.d.comb += [queue.i.payload.eq(self.results.payload), queue.i.valid.eq(self.results.valid)]
        wiring.connect(m, queue.o, wiring.flipped(self.words))

        source = self.sources.payload
        within = (self.word_bytes - 1).bit_length()
        free = Signal(range(READS + 1), init=READS)
        words, gone = (Signal(WIDE_ROW_BITS, name=name) for name in ("words", "gone"))
        begun = Signal()
        last = Signal()
        is_read = Signal()
        goes = Signal()
        m.d.comb += [
            words.eq((source.address[:within] + source.bytes + self.word_bytes - 1) >> within),
            last.eq(gone + 1 == words),
            is_read.eq(self.sources.valid & ~source.end & ~source.fill),
            self.reads.payload.eq(source.address[within:] + gone),
            self.reads.valid.eq(is_read & (free != 0) & (begun | self.described.ready)),
            goes.eq(self.reads.valid & self.reads.ready),
            self.described.payload.eq(source),
            self.described.valid.eq(Mux(is_read, goes & ~begun, self.sources.valid)),
            self.sources.ready.eq(Mux(is_read, goes & last, self.described.ready)),
        ]
        m.d.sync += free.eq(free - goes + (self.words.valid & self.words.ready))
        with m.If(goes):
            m.d.sync += [begun.eq(~last), gone.eq(Mux(last, 0, gone + 1))]
        return m
