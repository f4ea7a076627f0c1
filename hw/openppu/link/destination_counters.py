"""Counters, one for each chip."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.layouts import CHIP_BITS

COUNT_BITS = 32


class DestinationCounters(wiring.Component):
    """Counts events by chip, in a memory. The counts wrap.

    After a reset, counting begins when all counts have been cleared, a clock for each chip.

    Members
    -------
    happens : In(1), chip : In(CHIP_BITS)
        One for that chip; one a clock.
    look : In(CHIP_BITS), count : Out(COUNT_BITS)
        The count of a chip, 1 cycle after it was named; an event is in it after 2.
    """

    def __init__(self):
        super().__init__({"happens": In(1), "chip": In(CHIP_BITS), "look": In(CHIP_BITS), "count": Out(COUNT_BITS)})

    def elaborate(self, platform):
        m = Module()
        chips = 1 << CHIP_BITS
        m.submodules.counts = counts = memory.Memory(shape=COUNT_BITS, depth=chips, init=[])
        write, read, show = counts.write_port(), counts.read_port(domain="comb"), counts.read_port()
        clearing = Signal(init=1)
        cleared = Signal(CHIP_BITS)
        pending = Signal()
        at = Signal(CHIP_BITS)
        m.d.sync += [pending.eq(self.happens & ~clearing), at.eq(self.chip)]
        m.d.comb += [
            read.addr.eq(at),
            show.addr.eq(self.look),
            self.count.eq(show.data),
            write.addr.eq(at),
            write.data.eq(read.data + 1),
            write.en.eq(pending),
        ]
        with m.If(clearing):
            m.d.sync += cleared.eq(cleared + 1)
            m.d.comb += [write.addr.eq(cleared), write.data.eq(0), write.en.eq(1)]
            with m.If(cleared == chips - 1):
                m.d.sync += clearing.eq(0)
        return m
