"""Which way a pseudo-channel's data bus goes, and which way it is about to."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.settings import settings_layout

TURN = 8
"""Entries that have their turn if the other direction cannot wait either."""


class Direction(wiring.Component):
    """Gathers writes into batches. Rows are opened for the ``target``; the data bus follows when that is worth it.

    The target turns to writes when enough of them wait, when no read does, when a read has to wait for one (both are of
    one granule), or when the oldest has waited too long; to reads when few writes are left, or for the last two
    reasons. As long as one of these two holds for the present target, it does not turn; but if one holds for either, it
    turns when `TURN` oldest entries have left.

    The data bus turns when it has no row open in its present direction, or the target has many, or one for such a
    reason.

    Latency: 1 clock to ``target``, another to ``writing``.

    Members
    -------
    settings : In(settings_layout)
    reads, writes : In(1)
        Any read waits; any write waits whose data is complete.
    level, full : In(7), In(1)
        Number of these writes; no other finds room.
    hits, many_hits : In(2)
        Rows are open; many are. Bit 0 for reads, bit 1 for writes.
    urgent : In(2)
        An arrival waits for an entry; the oldest entry has waited too long.
    head_leaves : In(2)
        The oldest entry leaves.
    target, writing : Out(1)
        0 for reads, 1 for writes.
    turned : Out(1)
        ``writing`` changes with the next clock.
    """

    def __init__(self):
        super().__init__(
            {
                "settings": In(settings_layout()),
                "reads": In(1),
                "writes": In(1),
                "level": In(7),
                "full": In(1),
                "hits": In(2),
                "many_hits": In(2),
                "urgent": In(2),
                "head_leaves": In(2),
                "target": Out(1),
                "writing": Out(1),
                "turned": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        high = Signal()
        low = Signal()
        m.d.comb += [
            high.eq((self.level >= self.settings.write_high) | self.full),
            low.eq((self.level <= self.settings.write_low) & ~self.full),
        ]
        left = Signal(range(TURN + 1))
        over = Signal()
        turn = Signal()
        m.d.comb += over.eq(left == TURN)

        def wanted(mine, other, mark):
            """Whether to turn from the one with work and urgency ``mine`` to the ``other``, if at that mark."""
            return other[0] & (~mine[0] | Mux(mine[1], other[1] & over, other[1] | mark))

        reads, writes = (self.reads, self.urgent[0]), (self.writes, self.urgent[1])
        m.d.comb += turn.eq(Mux(self.target, wanted(writes, reads, low), wanted(reads, writes, high)))
        with m.If(turn):
            m.d.sync += [self.target.eq(~self.target), left.eq(0)]
        with m.Elif(self.head_leaves.bit_select(self.target, 1) & ~over):
            m.d.sync += left.eq(left + 1)

        enough = Signal(2)
        worth = Signal()
        m.d.comb += [
            enough.eq(self.many_hits | (self.hits & self.urgent)),
            worth.eq(~self.hits.bit_select(self.writing, 1) | enough.bit_select(self.target, 1)),
            self.turned.eq((self.target != self.writing) & worth),
        ]
        with m.If(self.turned):
            m.d.sync += self.writing.eq(self.target)
        return m
