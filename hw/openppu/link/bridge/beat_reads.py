"""Reads of beats, from a chip's memory."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES, request_layout, response_layout
from openppu.common.shared import shared
from openppu.link.bridge.beat_runs import BLOCK_BYTES, PATIENCE, BeatRuns, checked_beat, place_layout, request_words


class BeatReads(wiring.Component):
    """Asks for the words of beats, those of a run (`BeatRuns`) with one request.

    Latency: 2 cycles from the last address of a run to its request, 0 from a word to its beat. Throughput: a beat a
    cycle, or a word a cycle, whichever is less.

    Parameters
    ----------
    beat_bytes : int, a power of two
    depth : int
        Requests on their way.
    block_bytes, patience : int
        As of `BeatRuns`.

    Members
    -------
    address : In(stream of place_layout())
    beat : Out(stream of the beat's bits and ``error``)
        One for each address, in order.
    requests : Out(stream of request_layout(1)), responses : In(stream of response_layout(1))
    idle : Out(1)
        Every address has its beat.
    """

    def __init__(self, *, beat_bytes: int, depth: int = 32, block_bytes: int = BLOCK_BYTES, patience: int = PATIENCE):
        self.beat_bytes = checked_beat("BeatReads", beat_bytes)
        self.depth = depth
        self.runs = BeatRuns(beat_bytes=beat_bytes, block_bytes=block_bytes, patience=patience)
        beat = data.StructLayout({"data": 8 * beat_bytes, "error": 1})
        super().__init__(
            {
                "address": In(stream.Signature(place_layout())),
                "beat": Out(stream.Signature(beat)),
                "requests": Out(stream.Signature(request_layout(1))),
                "responses": In(stream.Signature(response_layout(1))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        runs, places = self.runs, self.runs.places
        span = data.StructLayout({"first": range(places), "last": range(places)})
        m.submodules.runs = shared(runs, platform)
        m.submodules.spans = spans = fifo.SyncFIFOBuffered(width=span.size, depth=self.depth)
        wiring.connect(m, wiring.flipped(self.address), runs.beats)

        run = runs.runs.payload
        asks = Signal()
        request_words(m, self.requests, run, self.beat_bytes, when=asks)
        m.d.comb += [
            runs.runs.ready.eq((~self.requests.valid | self.requests.ready) & spans.w_rdy),
            asks.eq(runs.runs.valid & runs.runs.ready),
            spans.w_en.eq(asks),
            spans.w_data.eq(Cat(run.first, run.last)),
            self.idle.eq(~runs.gathering & (spans.level == 0)),
        ]

        # The beats of the oldest request.
        head = span(spans.r_data)
        gone, at = Signal(range(places)), Signal(range(places))
        m.d.comb += at.eq(head.first + gone)
        moves = (self._wide if self.beat_bytes > WORD_BYTES else self._narrow)(m, spans, at, head.last)
        ends = Signal()
        m.d.comb += [ends.eq(moves & (at == head.last)), spans.r_en.eq(ends)]
        with m.If(moves):
            m.d.sync += gone.eq(Mux(ends, 0, gone + 1))
        return m

    def _narrow(self, m, spans, at, last):
        """Several beats a word, or one; returns that a beat goes."""
        response, beat = self.responses.payload, self.beat.payload
        beats = WORD_BYTES // self.beat_bytes
        within = at[: (beats - 1).bit_length()]
        moves = Signal()
        m.d.comb += [
            beat.data.eq(response.data.word_select(within, 8 * self.beat_bytes) if beats > 1 else response.data),
            beat.error.eq(response.error),
            self.beat.valid.eq(self.responses.valid & spans.r_rdy),
            moves.eq(self.beat.valid & self.beat.ready),
            self.responses.ready.eq(moves & ((within == beats - 1) | (at == last))),
        ]
        return moves

    def _wide(self, m, spans, at, last):
        """Several words a beat, which is there with the last of them; returns that a beat goes."""
        words = self.beat_bytes // WORD_BYTES
        response, beat = self.responses.payload, self.beat.payload
        count = Signal(range(words))
        before = Signal(8 * (self.beat_bytes - WORD_BYTES))
        wrong, whole, comes, moves = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            whole.eq(count == words - 1),
            beat.data.eq(Cat(before, response.data)),
            beat.error.eq(wrong | response.error),
            self.beat.valid.eq(self.responses.valid & whole & spans.r_rdy),
            self.responses.ready.eq(~whole | (self.beat.ready & spans.r_rdy)),
            comes.eq(self.responses.valid & self.responses.ready),
            moves.eq(self.beat.valid & self.beat.ready),
        ]
        with m.If(comes):
            m.d.sync += [
                count.eq(Mux(whole, 0, count + 1)),
                wrong.eq(~whole & (wrong | response.error)),
                before.eq(Cat(before, response.data)[8 * WORD_BYTES :]),
            ]
        return moves
