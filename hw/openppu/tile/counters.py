"""The tile's counters: cycles by cause, and what was taken and given."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.tile.command import Cause

COUNTER_BITS = 32
"""Counters wrap after 2**32 events: over 4 seconds of cycles at 1 GHz, so read differences at least that often."""

EVENTS = ("commands", "refused", "results")

COUNTERS = data.StructLayout({name: COUNTER_BITS for name in (*(cause.name.lower() for cause in Cause), *EVENTS)})
"""One field a cause (cycles), then the events: commands run, commands refused, results taken. They are cleared by
reset alone; every cycle adds to exactly one cause. Rows issued are the cycles of ``compute``."""


class Counters(wiring.Component):
    """Counts causes and events. Latency: 1 cycle. Throughput: every cycle.

    Members
    -------
    cause : In(Cause)
    commands, refused, results : In(1)
        One of each in this cycle.
    counts : Out(COUNTERS)
    """

    def __init__(self):
        super().__init__({"cause": In(Cause), **{event: In(1) for event in EVENTS}, "counts": Out(COUNTERS)})

    def elaborate(self, platform):
        m = Module()
        for cause in Cause:
            count = self.counts[cause.name.lower()]
            with m.If(self.cause == cause):
                m.d.sync += count.eq(count + 1)
        for event in EVENTS:
            with m.If(getattr(self, event)):
                m.d.sync += self.counts[event].eq(self.counts[event] + 1)
        return m
