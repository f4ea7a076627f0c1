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
from openppu.link.bridge.beat_reads import BYTE_BITS, checked_beat

WRITTEN_BITS = 12


def beat_layout(beat_bytes: int) -> data.StructLayout:
    """A beat to be written at ``address``, in bytes, a multiple of a beat: the bytes whose ``mask`` bit is set."""
    return data.StructLayout({"address": ADDRESS_BITS, "data": 8 * beat_bytes, "mask": beat_bytes})


class BeatWrites(wiring.Component):
    """Writes words as their beats come, one request a word; beats of one word that follow each other at once share it.

    Latency: 2 cycles from a beat to its request, 1 from the acknowledge to ``written``. Throughput: a beat a cycle, or
    a word a cycle, whichever is less.

    Parameters
    ----------
    beat_bytes : int, a power of two
    depth : int
        Requests on their way.

    Members
    -------
    beat : In(stream of beat_layout)
    written : Out(1)
        The oldest beat that was taken and not told of is in memory.
    wrong : Out(1)
        With an acknowledge: the memory refused.
    requests : Out(stream of request_layout(1)), words : Out(stream of write_word_layout)
    acknowledges : In(stream of acknowledge_layout(1))
    idle : Out(1)
        Every beat has been told of.
    """

    def __init__(self, *, beat_bytes: int, depth: int = 32):
        self.beat_bytes = checked_beat("BeatWrites", beat_bytes)
        self.depth = depth
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
        low = (self.beat_bytes - 1).bit_length()
        places = max(1, WORD_BYTES // self.beat_bytes)
        width = max(WORD_BYTES, self.beat_bytes)
        words = width // WORD_BYTES
        m.submodules.counts = counts = fifo.SyncFIFOBuffered(width=places.bit_length(), depth=self.depth)

        # A group of beats that is not asked for yet.
        given = self.beat.payload
        gathering = Signal()
        address = Signal(ADDRESS_BITS)
        group = Signal(8 * width)
        mask = Signal(width)
        count = Signal(range(places + 1))
        last = Signal(range(places))
        place = Signal(range(places))
        joins = Signal()
        goes = Signal()
        # What is asked for: its request and its words may be taken in any order.
        sending = Signal(8 * width)
        sending_mask = Signal(width)
        left = Signal(range(words + 1))
        m.d.comb += [
            goes.eq(
                gathering
                & ~joins
                & counts.w_rdy
                & (~self.requests.valid | self.requests.ready)
                & ((left == 0) | ((left == 1) & self.words.ready))
            ),
            self.beat.ready.eq(~gathering | joins | goes),
            counts.w_en.eq(goes),
            counts.w_data.eq(count),
            self.words.valid.eq(left != 0),
            self.words.payload.data.eq(sending),
            self.words.payload.mask.eq(sending_mask),
            self.requests.payload.write.eq(1),
            self.requests.payload.last.eq(words - 1),
        ]
        if places > 1:
            m.d.comb += [
                place.eq(given.address[low:BYTE_BITS]),
                joins.eq(
                    self.beat.valid
                    & (given.address[BYTE_BITS:] == address[BYTE_BITS:])
                    & (last != places - 1)
                    & (place == (last + 1)[: len(place)])
                ),
            ]
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += [
                left.eq(left - 1),
                sending.eq(sending >> (8 * WORD_BYTES)),
                sending_mask.eq(sending_mask >> WORD_BYTES),
            ]
        with m.If(goes):
            m.d.sync += [
                gathering.eq(0),
                self.requests.valid.eq(1),
                self.requests.payload.address.eq(address),
                sending.eq(group),
                sending_mask.eq(mask),
                left.eq(words),
            ]
        with m.If(self.beat.valid & self.beat.ready):
            fresh = Signal()
            m.d.comb += fresh.eq(~gathering | goes)
            m.d.sync += [gathering.eq(1), last.eq(place), count.eq(Mux(fresh, 1, count + 1))]
            with m.If(fresh):
                m.d.sync += [address.eq(given.address[BYTE_BITS:] << BYTE_BITS), mask.eq(0)]
            bits = 8 * self.beat_bytes
            with m.Switch(place):
                for number in range(places):
                    with m.Case(number):
                        m.d.sync += [
                            group[bits * number : bits * (number + 1)].eq(given.data),
                            mask[self.beat_bytes * number : self.beat_bytes * (number + 1)].eq(given.mask),
                        ]

        told = Signal(WRITTEN_BITS)
        arrived = Signal(range(places + 1))
        m.d.comb += [
            self.acknowledges.ready.eq(counts.r_rdy),
            counts.r_en.eq(self.acknowledges.valid),
            arrived.eq(Mux(self.acknowledges.valid & counts.r_rdy, counts.r_data, 0)),
            self.written.eq(told != 0),
            self.wrong.eq(self.acknowledges.valid & counts.r_rdy & self.acknowledges.payload.error),
            self.idle.eq(~gathering & (counts.level == 0) & (told == 0)),
        ]
        m.d.sync += told.eq(told + arrived - self.written)
        return m
