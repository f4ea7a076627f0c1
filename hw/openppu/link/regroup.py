"""Words of one width in one clock, from words of another in another."""

from math import lcm

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.stream_crossing import StreamCrossing

GROUPS = 8
"""Groups that the crossing holds."""


class Regroup(wiring.Component):
    """Cuts lanes, which come in words of ``given`` bits in ``sync``, into words of ``taken`` bits in ``far``.

    The clocks come from one source, and as many bits come as can be taken; what comes may pause. Words are collected
    into groups of as many bits as both widths divide; a group crosses, and is cut anew. The first group waits for as
    long as a group takes. From then on, words come without a pause if those given do. After a pause that was longer, it
    begins again in the same way: bits stay in order, none is lost.

    Latency, from a group's first word taken in to its first word on ``o``, g and t being the clocks of a group on both
    sides: g clocks of ``sync``, and t + 2 to t + 3 of ``far``. Throughput: a word a clock on both sides. Both domains
    must be reset together.

    Parameters
    ----------
    lanes, given, taken : int

    Members
    -------
    i : In(a word of ``given`` bits for each lane)
    i_valid : In(1)
    o : Out(a word of ``taken`` bits for each lane)
        In ``far``; bit 0 of a word comes first, as it does in ``i``.
    o_valid : Out(1)
        In ``far``.
    overflow : Out(1)
        A group found no room, and is lost: more bits come than are taken. For a clock.
    """

    def __init__(self, *, lanes: int, given: int, taken: int):
        self.lanes = lanes
        self.given = given
        self.taken = taken
        self.bits = lcm(given, taken)
        super().__init__(
            {
                "i": In(data.ArrayLayout(given, lanes)),
                "i_valid": In(1),
                "o": Out(data.ArrayLayout(taken, lanes)),
                "o_valid": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        group = data.ArrayLayout(self.bits, self.lanes)
        crossing = StreamCrossing(group, words=GROUPS)
        m.submodules.crossing = crossing
        words, pieces = self.bits // self.given, self.bits // self.taken

        collected, place = Signal(group), Signal(range(words))
        full = Signal()
        m.d.sync += full.eq(0)
        with m.If(self.i_valid):
            for lane in range(self.lanes):
                m.d.sync += collected[lane].word_select(place, self.given).eq(self.i[lane])
            m.d.sync += [place.eq(Mux(place == words - 1, 0, place + 1)), full.eq(place == words - 1)]
        m.d.comb += [
            crossing.i.payload.eq(collected),
            crossing.i.valid.eq(full),
            self.overflow.eq(full & ~crossing.i.ready),
        ]

        wait, piece = Signal(range(pieces + 1), init=pieces), Signal(range(pieces))
        going = Signal()
        m.d.comb += [going.eq(crossing.o.valid & (wait == 0)), crossing.o.ready.eq(going & (piece == pieces - 1))]
        m.d.far += self.o_valid.eq(going)
        with m.If(going):
            m.d.far += piece.eq(Mux(piece == pieces - 1, 0, piece + 1))
        with m.Elif(crossing.o.valid):
            m.d.far += wait.eq(wait - 1)
        with m.Else():
            m.d.far += wait.eq(pieces)
        for lane in range(self.lanes):
            m.d.far += self.o[lane].eq(crossing.o.payload[lane].word_select(piece, self.taken))
        return m
