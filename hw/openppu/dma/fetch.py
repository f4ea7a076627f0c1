"""Reads bytes of memory."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES, request_layout, response_layout
from openppu.dma.arrivals import Arrivals
from openppu.dma.config import DmaConfig
from openppu.dma.layouts import WIDE_ROW_BITS, source_layout, word_layout


def exact_log2(value: int) -> int:
    """Of a power of two."""
    return value.bit_length() - 1


class Fetch(wiring.Component):
    """Asks for the words that hold the bytes of sources, and for no others; gives them in order.

    A request ends with its source, or at a multiple of ``burst_bytes``. An address has always the same tag. Throughput:
    one request a cycle, one word a cycle.

    Members
    -------
    sources : In(stream of source_layout())
    described : Out(stream of source_layout())
        Each source, when its first request has gone.
    words : Out(stream of word_layout)
    requests : Out(stream of request_layout)
    responses : In(stream of response_layout)
    waits : Out(1)
        For memory: a request is not taken, or the next word has not come.
    """

    def __init__(self, config: DmaConfig):
        self.config = config
        super().__init__(
            {
                "sources": In(stream.Signature(source_layout())),
                "described": Out(stream.Signature(source_layout())),
                "words": Out(stream.Signature(word_layout(WORD_BYTES))),
                "requests": Out(stream.Signature(request_layout(config.tags))),
                "responses": In(stream.Signature(response_layout(config.tags))),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.arrivals = arrivals = Arrivals(self.config)
        wiring.connect(m, wiring.flipped(self.responses), arrivals.responses)
        wiring.connect(m, arrivals.words, wiring.flipped(self.words))

        source = self.sources.payload
        burst = exact_log2(self.config.burst_words)
        within = exact_log2(WORD_BYTES)
        begun = Signal()
        words = Signal(WIDE_ROW_BITS - within + 1)
        gone = Signal.like(words)
        left = Signal.like(words)
        address = Signal(len(source.address) - within)
        reach = Signal(range(self.config.burst_words + 1))
        last = Signal()
        count = Signal.like(reach)
        m.d.comb += [
            words.eq((source.address[:within] + source.bytes + WORD_BYTES - 1) >> within),
            left.eq(words - gone),
            address.eq(source.address[within:] + gone),
            reach.eq(self.config.burst_words - address[:burst]),
            last.eq(left <= reach),
            count.eq(Mux(last, left, reach)),
            arrivals.count.eq(count),
        ]
        if self.config.tags > 1:
            above = burst + exact_log2(self.config.channels)
            m.d.comb += arrivals.tag.eq(address[above:])

        request = self.requests.payload
        reads = Signal()
        goes = Signal()
        m.d.comb += [
            reads.eq(self.sources.valid & ~source.end & ~source.fill),
            request.write.eq(0),
            request.address[within:].eq(address),
            request.last.eq(count - 1),
            request.tag.eq(arrivals.tag),
            # A source is described with its first request.
            self.requests.valid.eq(reads & arrivals.room & (begun | self.described.ready)),
            goes.eq(self.requests.valid & self.requests.ready),
            arrivals.enter.eq(goes),
            self.waits.eq(arrivals.waits | (self.requests.valid & ~self.requests.ready)),
            self.described.payload.eq(source),
            self.described.valid.eq(Mux(reads, goes & ~begun, self.sources.valid)),
            self.sources.ready.eq(Mux(reads, goes & last, self.described.ready)),
        ]
        with m.If(goes):
            m.d.sync += [begun.eq(~last), gone.eq(Mux(last, 0, gone + count))]
        return m
