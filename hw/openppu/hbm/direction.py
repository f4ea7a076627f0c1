"""Which way a pseudo-channel's data bus goes, and which way it is about to."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.settings import settings_layout


class Direction(wiring.Component):
    """Gathers writes into batches. Rows are opened for the ``target``; the data bus follows when that is worth it.

    The target turns to writes when enough of them wait, when no read does, when a read has to wait for one (both are of
    one granule), or when the oldest has waited too long; to reads when few writes are left, or for the last two
    reasons. As long as one of these two holds for the present target, it does not turn.

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
        with m.If(~self.target):
            with m.If(self.writes & (~self.reads | (~self.urgent[0] & (high | self.urgent[1])))):
                m.d.sync += self.target.eq(1)
        with m.Else():
            with m.If(self.reads & (~self.writes | (~self.urgent[1] & (low | self.urgent[0])))):
                m.d.sync += self.target.eq(0)

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
