"""Chooses the lanes that carry data: as large a power of two of the healthy ones as there is."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.ones import ones


class WidthChoice(wiring.Component):
    """The lowest healthy lanes, numbered in their order. Latency: 2 clocks. Throughput: a choice a clock.

    Parameters
    ----------
    lanes : int, a power of two

    Members
    -------
    healthy : In(lanes)
    any : Out(1)
        One lane is healthy at least.
    width : Out(3)
        Base 2 logarithm of the number of lanes chosen.
    active : Out(lanes)
    logical : Out, a number for each lane
        Counts the active ones below it.
    """

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__(
            {
                "healthy": In(lanes),
                "any": Out(1),
                "width": Out(3),
                "active": Out(lanes),
                "logical": Out(data.ArrayLayout(4, lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        healthy, ranks = Signal(self.lanes), Signal(data.ArrayLayout(4, self.lanes))
        count = Signal(range(self.lanes + 1))
        m.d.sync += [
            healthy.eq(self.healthy),
            count.eq(ones(self.healthy)),
            *(ranks[lane].eq(ones(self.healthy[:lane])) for lane in range(self.lanes)),
        ]
        m.d.sync += [self.any.eq(count != 0), self.active.eq(0), self.logical.eq(ranks)]
        for width in range(self.lanes.bit_length()):
            with m.If(count >= 1 << width):
                m.d.sync += self.width.eq(width)
                m.d.sync += [
                    self.active[lane].eq(healthy[lane] & (ranks[lane] < 1 << width)) for lane in range(self.lanes)
                ]
        return m
