"""Writes of beats, to a chip's memory."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import (
    ADDRESS_BITS,
    WORD_BYTES,
    acknowledge_layout,
    request_layout,
    write_word_layout,
)
from openppu.common.shared import shared
from openppu.link.bridge.beat_runs import BLOCK_BYTES, PATIENCE, BeatRuns, checked_beat, request_words
from openppu.link.word_queue import WordQueue

WRITTEN_BITS = 12


def beat_layout(beat_bytes: int) -> data.StructLayout:
    """A beat to be written at ``address``, in bytes, a multiple of a beat: the bytes whose ``mask`` bit is set.

    Behind the ``last`` no more are to be waited for.
    """
    return data.StructLayout({"address": ADDRESS_BITS, "data": 8 * beat_bytes, "mask": beat_bytes, "last": 1})


class BeatWrites(wiring.Component):
    """Writes beats as they come, those of a run (`BeatRuns`) with one request.

    Latency: 2 cycles from the last beat of a run to its request, 1 from the acknowledge to ``written``. Throughput: a
    beat a cycle, or a word a cycle, whichever is less.

    Parameters
    ----------
    beat_bytes : int, a power of two
    depth : int
        Requests on their way.
    block_bytes, patience : int
        As of `BeatRuns`.

    Members
    -------
    beat : In(stream of beat_layout)
    written : Out(1)
        The oldest beat that was taken and not told of is in memory.
    wrong : Out(1)
        With an acknowledge: the memory refused.
    requests : Out(stream of request_layout(1)), words : Out(stream of write_word_layout)
        A request's words come behind it.
    acknowledges : In(stream of acknowledge_layout(1))
    idle : Out(1)
        Every beat has been told of.
    """

    def __init__(self, *, beat_bytes: int, depth: int = 32, block_bytes: int = BLOCK_BYTES, patience: int = PATIENCE):
        self.beat_bytes = checked_beat("BeatWrites", beat_bytes)
        self.depth = depth
        self.runs = BeatRuns(beat_bytes=beat_bytes, block_bytes=block_bytes, patience=patience)
        super().__init__(
            {
                "beat": In(stream.Signature(beat_layout(beat_bytes))),
                "written": Out(1),
                "wrong": Out(1),
                "requests": Out(stream.Signature(request_layout(1))),
                "words": Out(stream.Signature(write_word_layout())),
                "acknowledges": In(stream.Signature(acknowledge_layout(1))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        runs, places = self.runs, self.runs.places
        m.submodules.runs = shared(runs, platform)
        block_words = max(WORD_BYTES, places * self.beat_bytes) // WORD_BYTES
        m.submodules.words = words = WordQueue(write_word_layout(), depth=2 * block_words)
        m.submodules.counts = counts = fifo.SyncFIFOBuffered(width=places.bit_length(), depth=self.depth)
        run = runs.runs.payload

        # The word that beats are put into, or the words of the beat that are left.
        given = self.beat.payload
        beats = max(1, WORD_BYTES // self.beat_bytes)
        low = (self.beat_bytes - 1).bit_length()
        within = given.address[low : low + (beats - 1).bit_length()]
        held_words = max(1, self.beat_bytes // WORD_BYTES)
        held = Signal(8 * WORD_BYTES * held_words)
        mask = Signal(WORD_BYTES * held_words)
        left = Signal(range(held_words + 1))
        whole = Signal()
        takes, closes, pushes, last_goes, room = (
            Signal(name=name) for name in ("takes", "closes", "pushes", "last_goes", "room")
        )
        m.d.comb += [
            words.i.payload.data.eq(held),
            words.i.payload.mask.eq(mask),
            words.i.valid.eq((left != 0) & (whole | closes)),
            pushes.eq(words.i.valid & words.i.ready),
            last_goes.eq((left == 0) | ((left == 1) & words.i.ready)),
            room.eq(~whole | last_goes),
            runs.beats.valid.eq(self.beat.valid & room),
            runs.beats.payload.address.eq(given.address),
            runs.beats.payload.last.eq(given.last),
            self.beat.ready.eq(runs.beats.ready & room),
            takes.eq(self.beat.valid & self.beat.ready),
        ]
        with m.If(pushes):
            m.d.sync += [
                held.eq(held >> (8 * WORD_BYTES)),
                mask.eq(mask >> WORD_BYTES),
                left.eq(left - 1),
            ]
        with m.If(takes):
            m.d.sync += [left.eq(held_words), whole.eq(within == beats - 1)]
            fresh = Signal()
            m.d.comb += fresh.eq(pushes | (left == 0))
            with m.If(fresh):
                m.d.sync += mask.eq(0)
            if beats == 1:
                m.d.sync += [held.eq(given.data), mask.eq(given.mask)]
            bits = 8 * self.beat_bytes
            with m.Switch(within):
                for place in range(beats if beats > 1 else 0):
                    with m.Case(place):
                        m.d.sync += [
                            held[bits * place : bits * (place + 1)].eq(given.data),
                            mask[self.beat_bytes * place : self.beat_bytes * (place + 1)].eq(given.mask),
                        ]

        # A request, and behind it its words.
        more = request_words(m, self.requests, run, self.beat_bytes, when=closes)
        asked = Signal(range(3 * block_words + held_words + 2))
        sends = Signal()
        m.d.comb += [
            runs.runs.ready.eq((~self.requests.valid | self.requests.ready) & counts.w_rdy & last_goes),
            closes.eq(runs.runs.valid & runs.runs.ready),
            counts.w_en.eq(closes),
            counts.w_data.eq(run.last - run.first + 1),
            self.requests.payload.write.eq(1),
            self.words.valid.eq(words.o.valid & (asked != 0)),
            self.words.payload.eq(words.o.payload),
            sends.eq(self.words.valid & self.words.ready),
            words.o.ready.eq(sends),
        ]
        m.d.sync += asked.eq(asked + Mux(closes, more + 1, 0) - sends)

        told = Signal(WRITTEN_BITS)
        arrived = Signal(range(places + 1))
        m.d.comb += [
            self.acknowledges.ready.eq(counts.r_rdy),
            counts.r_en.eq(self.acknowledges.valid),
            arrived.eq(Mux(self.acknowledges.valid & counts.r_rdy, counts.r_data, 0)),
            self.written.eq(told != 0),
            self.wrong.eq(self.acknowledges.valid & counts.r_rdy & self.acknowledges.payload.error),
            self.idle.eq(~runs.gathering & (counts.level == 0) & (told == 0)),
        ]
        m.d.sync += told.eq(told + arrived - self.written)
        return m
