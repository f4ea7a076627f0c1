"""The tile's counters: cycles by cause, and what was taken and given."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.tile.command import Cause

COUNTER_BITS = 32
"""Counters wrap after 2**32 events: over 4 seconds of cycles at 1 GHz, so read differences at least that often."""

EVENTS = ("commands", "refused", "results")

COUNTERS = data.StructLayout({name: COUNTER_BITS for name in (*(cause.name.lower() for cause in Cause), *EVENTS)})
"""One field a cause (cycles), then the events: commands run, commands refused, results taken. They are cleared by
reset alone; every cycle adds to exactly one cause, one cycle later. Rows issued are the cycles of ``compute``."""


class Counters(wiring.Component):
    """Counts causes and events. Latency: 2 cycles. Throughput: every cycle.

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
        # What is counted is a register first, for the counters are many and far apart.
        now = {cause.name.lower(): self.cause == cause for cause in Cause}
        now |= {event: getattr(self, event) for event in EVENTS}
        for name, happens in now.items():
            happened = Signal(name=f"{name}_before")
            m.d.sync += [happened.eq(happens), self.counts[name].eq(self.counts[name] + happened)]
        return m
