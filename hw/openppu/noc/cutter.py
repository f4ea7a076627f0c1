"""Cuts requests into pieces that lie in one granule each."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import ADDRESS_BITS, MOST_WORDS, WORD_BYTES, request_layout
from openppu.noc.plan import GRANULE, Plan

WORD_BITS = WORD_BYTES.bit_length() - 1
UNIT_BITS = 15
UNIT_ADDRESS_BITS = 24 - WORD_BITS
MOST_PIECES = MOST_WORDS // GRANULE + 1


def piece_layout(plan: Plan) -> data.StructLayout:
    """``last`` + 1 words from ``word`` on, of the HBM or, with ``unit`` also, of a scratchpad (``scratch``).

    ``pieces`` of the request in all, of which this is the ``first``, the ``final`` one. ``bad``: the request is outside
    of all memory.
    """
    flags = dict.fromkeys(("write", "bad", "scratch", "first", "final"), 1)
    return data.StructLayout(
        {
            **flags,
            "word": ADDRESS_BITS - 1 - WORD_BITS,
            "last": range(GRANULE),
            "pieces": range(MOST_PIECES + 1),
            "tag": range(plan.tags),
        }
    )


class Cutter(wiring.Component):
    """Cuts requests into pieces that lie in one granule each, and finds those that are outside of all memory.

    Latency: 1 cycle. Throughput: a piece a cycle.

    Parameters
    ----------
    plan : Plan

    Members
    -------
    requests : In(stream of `openppu.common.memory.request_layout`)
    pieces : Out(stream of piece_layout)
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        super().__init__(
            {
                "requests": In(stream.Signature(request_layout(plan.tags))),
                "pieces": Out(stream.Signature(piece_layout(plan))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        plan, request, piece = self.plan, self.requests.payload, self.pieces.payload

        # Is all of it there?
        word = request.address[WORD_BITS : ADDRESS_BITS - 1]
        of_unit, unit = word[:UNIT_ADDRESS_BITS], word[UNIT_ADDRESS_BITS:]
        scratch, beyond, beyond_unit, bad = (Signal(name=name) for name in ("scratch", "beyond", "beyond_unit", "bad"))
        last = request.last
        m.d.comb += [
            scratch.eq(request.address[-1]),
            beyond.eq(word + request.last >= plan.hbm_words),
            beyond_unit.eq(1 if not plan.units else (unit >= plan.units) | (of_unit + last >= plan.scratchpad_words)),
            bad.eq(Mux(scratch, beyond_unit, beyond) | (request.address[:WORD_BITS] != 0)),
        ]

        left = Signal(range(MOST_WORDS))
        room = Signal(range(GRANULE))
        goes = Signal()
        m.d.comb += [
            room.eq(~piece.word[: len(room)]),
            piece.final.eq(left <= room),
            piece.last.eq(Mux(piece.final, left, room)),
            goes.eq(self.pieces.valid & self.pieces.ready),
            self.requests.ready.eq(~self.pieces.valid | (self.pieces.ready & piece.final)),
        ]
        with m.If(goes):
            m.d.sync += [
                piece.word.eq(piece.word + piece.last + 1),
                left.eq(left - piece.last - 1),
                piece.first.eq(0),
            ]
        with m.If(self.requests.ready):
            m.d.sync += self.pieces.valid.eq(self.requests.valid)
        with m.If(self.requests.ready & self.requests.valid):
            start = word[: len(room)]
            m.d.sync += [
                piece.write.eq(request.write),
                piece.bad.eq(bad),
                piece.scratch.eq(scratch),
                piece.first.eq(1),
                piece.word.eq(word),
                piece.pieces.eq(((start + request.last) >> len(room)) + 1),
                piece.tag.eq(request.tag),
                left.eq(request.last),
            ]
        return m
