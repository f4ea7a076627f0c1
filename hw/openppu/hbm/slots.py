"""A pool of numbered slots."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest


class Slots(wiring.Component):
    """Hands out slots that are free, in no particular order.

    Latency: a slot that is released can be handed out two cycles later at the earliest. Throughput: one slot out and
    one back a cycle.

    Parameters
    ----------
    count : int, at least 1
        Slots, all of them free after a reset.

    Members
    -------
    free : Out(stream of range(count))
        A slot to take; from a register.
    released : In(1)
        ``slot`` is free again.
    slot : In(range(count))
    """

    def __init__(self, count: int):
        self.count = count
        super().__init__({"free": Out(stream.Signature(range(count))), "released": In(1), "slot": In(range(count))})

    def elaborate(self, platform):
        m = Module()
        # Without the one that is on offer.
        idle = Signal(self.count, init=-1)
        offer = Signal(range(self.count))
        offered = Signal()
        chosen = lowest(m, idle, name="chosen")
        m.d.comb += [self.free.valid.eq(offered), self.free.payload.eq(offer)]
        # Masks, since one assignment a slot would be a chain of conditions as long as there are slots.
        taken, returned = Signal(self.count), Signal(self.count)
        m.d.comb += returned.eq(self.released << self.slot)
        with m.If(~offered | self.free.ready):
            m.d.comb += taken.eq(1 << chosen)
            m.d.sync += [offered.eq(idle.any()), offer.eq(chosen)]
        m.d.sync += idle.eq(idle & ~taken | returned)
        return m
