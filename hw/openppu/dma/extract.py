"""Takes the bytes of sources out of the words that hold them."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES
from openppu.dma.layouts import WIDE_ROW_BITS, chunk_layout, source_layout, word_layout


class Extract(wiring.Component):
    """Cuts words into chunks at multiples of 32 bytes of the side that is read, each moved to its low end.

    Of a ``fill``, chunks of 32 bytes come from the value. Latency: 1 cycle. Throughput: one chunk a cycle.

    Parameters
    ----------
    word_bytes : int
        Of the side that is read.

    Members
    -------
    sources : In(stream of source_layout())
    words : In(stream of word_layout(word_bytes))
    chunks : Out(stream of chunk_layout())
    """

    LATENCY = 1

    def __init__(self, *, word_bytes: int):
        self.word_bytes = word_bytes
        super().__init__(
            {
                "sources": In(stream.Signature(source_layout())),
                "words": In(stream.Signature(word_layout(word_bytes))),
                "chunks": Out(stream.Signature(chunk_layout())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        source, word, chunk = self.sources.payload, self.words.payload, self.chunks.payload
        place_bits = (self.word_bytes - 1).bit_length()
        low_bits = (WORD_BYTES - 1).bit_length()
        done = Signal(WIDE_ROW_BITS)
        at = Signal(place_bits)
        place = Signal(place_bits)
        space = Signal(range(WORD_BYTES + 1))
        left = Signal(WIDE_ROW_BITS)
        size = Signal(range(WORD_BYTES + 1))
        last = Signal()
        part = Signal(8 * WORD_BYTES)
        m.d.comb += [
            place.eq(Mux(source.fill, 0, Mux(done == 0, source.address, at))),
            space.eq(WORD_BYTES - place[:low_bits]),
            left.eq(source.bytes - done),
            last.eq(source.end | (left <= space)),
            size.eq(Mux(source.end, 0, Mux(last, left, space))),
            part.eq(word.data.word_select(place[low_bits:], 8 * WORD_BYTES)),
        ]

        needs_word = Signal()
        takes = Signal()
        m.d.comb += [
            needs_word.eq(~source.fill & ~source.end),
            takes.eq(self.sources.valid & (~needs_word | self.words.valid) & (~self.chunks.valid | self.chunks.ready)),
            self.sources.ready.eq(takes & last),
            self.words.ready.eq(takes & needs_word & (last | (place + size == self.word_bytes))),
        ]
        with m.If(~self.chunks.valid | self.chunks.ready):
            m.d.sync += self.chunks.valid.eq(takes)
        with m.If(takes):
            m.d.sync += [
                done.eq(Mux(last, 0, done + size)),
                at.eq(place + size),
                chunk.data.eq(
                    Mux(
                        source.fill,
                        source.value.replicate(WORD_BYTES // 4),
                        part >> (place[:low_bits] << 3),
                    )
                ),
                chunk.bytes.eq(size),
                chunk.last.eq(last),
                chunk.block_last.eq(source.block_last),
                chunk.fill.eq(source.fill),
                chunk.wrong.eq(needs_word & word.error),
                chunk.end.eq(source.end),
                chunk.error.eq(source.error),
                chunk.conversion.eq(source.conversion),
            ]
        return m
