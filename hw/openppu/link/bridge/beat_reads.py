"""Reads of beats, from a chip's memory."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import ADDRESS_BITS, WORD_BYTES, request_layout, response_layout

BYTE_BITS = (WORD_BYTES - 1).bit_length()


def checked_beat(name: str, beat_bytes: int) -> int:
    """The bytes of a beat.

    Raises
    ------
    ValueError
        If they are no power of two from 2 to 1,024.
    """
    if not 2 <= beat_bytes <= 1024 or beat_bytes.bit_count() != 1:
        raise ValueError(f"{name} beat_bytes = {beat_bytes}: give a power of two from 2 to 1024")
    return beat_bytes


class BeatReads(wiring.Component):
    """Asks for the words of beats, one request a word; beats of one word that follow each other at once share it.

    Latency: 2 cycles from an address to its request, 0 from a word to its beat (1 where a beat has several words).
    Throughput: a beat a cycle, or a word a cycle, whichever is less.

    Parameters
    ----------
    beat_bytes : int, a power of two
    depth : int
        Words on their way.

    Members
    -------
    address : In(stream)
        In bytes, a multiple of a beat.
    beat : Out(stream of the beat's bits and ``error``)
        One for each address, in order.
    requests : Out(stream of request_layout(1)), responses : In(stream of response_layout(1))
    idle : Out(1)
        Every address has its beat.
    """

    def __init__(self, *, beat_bytes: int, depth: int = 32):
        self.beat_bytes = checked_beat("BeatReads", beat_bytes)
        self.depth = depth
        beat = data.StructLayout({"data": 8 * beat_bytes, "error": 1})
        super().__init__(
            {
                "address": In(stream.Signature(ADDRESS_BITS)),
                "beat": Out(stream.Signature(beat)),
                "requests": Out(stream.Signature(request_layout(1))),
                "responses": In(stream.Signature(response_layout(1))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = self.requests.payload
        out_free = Signal()
        m.d.comb += out_free.eq(~self.requests.valid | self.requests.ready)
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        if self.beat_bytes >= WORD_BYTES:
            self._wide(m, request, out_free)
        else:
            self._narrow(m, request, out_free)
        return m

    def _narrow(self, m, request, out_free):
        """Several beats a word."""
        low = (self.beat_bytes - 1).bit_length()
        places = WORD_BYTES // self.beat_bytes
        span = data.StructLayout({"first": range(places), "last": range(places)})
        m.submodules.spans = spans = fifo.SyncFIFOBuffered(width=span.size, depth=self.depth)
        given = self.address.payload
        gathering = Signal()
        word = Signal(ADDRESS_BITS - BYTE_BITS)
        group = Signal(span)
        joins = Signal()
        goes = Signal()
        m.d.comb += [
            joins.eq(
                self.address.valid
                & (given[BYTE_BITS:] == word)
                & (group.last != places - 1)
                & (given[low:BYTE_BITS] == (group.last + 1)[: BYTE_BITS - low])
            ),
            goes.eq(gathering & ~joins & out_free & spans.w_rdy),
            self.address.ready.eq(~gathering | joins | goes),
            spans.w_en.eq(goes),
            spans.w_data.eq(group),
        ]
        with m.If(goes):
            m.d.sync += [self.requests.valid.eq(1), request.address.eq(word << BYTE_BITS), gathering.eq(0)]
        with m.If(self.address.valid & self.address.ready):
            m.d.sync += [gathering.eq(1), group.last.eq(given[low:BYTE_BITS])]
            with m.If(~gathering | goes):
                m.d.sync += [word.eq(given[BYTE_BITS:]), group.first.eq(given[low:BYTE_BITS])]

        response, beat = self.responses.payload, self.beat.payload
        head = span(spans.r_data)
        further = Signal(range(places))
        at = Signal(range(places))
        end = Signal()
        m.d.comb += [
            at.eq(head.first + further),
            end.eq(at == head.last),
            beat.data.eq(response.data.word_select(at, 8 * self.beat_bytes)),
            beat.error.eq(response.error),
            self.beat.valid.eq(self.responses.valid & spans.r_rdy),
            self.responses.ready.eq(self.beat.ready & end & spans.r_rdy),
            spans.r_en.eq(self.beat.valid & self.beat.ready & end),
            self.idle.eq(~gathering & (spans.level == 0)),
        ]
        with m.If(self.beat.valid & self.beat.ready):
            m.d.sync += further.eq(Mux(end, 0, further + 1))

    def _wide(self, m, request, out_free):
        """One word or several a beat."""
        words = self.beat_bytes // WORD_BYTES
        on_way = Signal(range(self.depth + 1))
        m.d.comb += [
            self.address.ready.eq(out_free & (on_way != self.depth)),
            self.idle.eq(on_way == 0),
            self.beat.payload.data[8 * (self.beat_bytes - WORD_BYTES) :].eq(self.responses.payload.data),
        ]
        enters = self.address.valid & self.address.ready
        with m.If(enters):
            m.d.sync += [
                self.requests.valid.eq(1),
                request.address.eq(self.address.payload),
                request.last.eq(words - 1),
            ]
        m.d.sync += on_way.eq(on_way + enters - (self.beat.valid & self.beat.ready))
        count = Signal(range(max(2, words)))
        wrong = Signal()
        last = Signal()
        before = Signal(8 * (self.beat_bytes - WORD_BYTES)) if words > 1 else None
        m.d.comb += [
            last.eq(count == words - 1),
            self.beat.valid.eq(self.responses.valid & last),
            self.beat.payload.error.eq(wrong | self.responses.payload.error),
            self.responses.ready.eq(~last | self.beat.ready),
        ]
        if before is not None:
            m.d.comb += self.beat.payload.data[: len(before)].eq(before)
        with m.If(self.responses.valid & self.responses.ready):
            m.d.sync += [count.eq(Mux(last, 0, count + 1)), wrong.eq(~last & (wrong | self.responses.payload.error))]
            if before is not None:
                m.d.sync += before.eq(Cat(before, self.responses.payload.data)[8 * WORD_BYTES :])
