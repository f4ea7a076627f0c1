"""Counters of an engine: cycles by cause, and events."""

from collections.abc import Sequence

from amaranth import Module, Signal, Value
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

COUNTER_BITS = 32
"""Counters wrap after 2**32 events: over 4 seconds of cycles at 1 GHz, so read differences at least that often."""


def counters_layout(cause: type[enum.Enum], events: Sequence[str] = ()) -> data.StructLayout:
    """One field a cause (cycles), then the events."""
    return data.StructLayout(dict.fromkeys((*(each.name.lower() for each in cause), *events), COUNTER_BITS))


class Counters(wiring.Component):
    """Counts causes and events; cleared by reset alone. Latency: 2 cycles. Throughput: every cycle.

    Every cycle adds to exactly one cause, so all causes together are the cycles since the reset, but for the latency.

    Parameters
    ----------
    cause : Enum
        What a cycle goes to.
    events : sequence of str

    Members
    -------
    cause : In(cause)
    <event> : In(1)
        One of it in this cycle.
    counts : Out(counters_layout(cause, events))
    """

    LATENCY = 2

    def __init__(self, cause: type[enum.Enum], events: Sequence[str] = ()):
        self.causes = {each.name.lower(): each.value for each in cause}
        self.events = tuple(events)
        members = {"cause": In(cause), "counts": Out(counters_layout(cause, events))}
        super().__init__(members | {event: In(1) for event in events})

    def elaborate(self, platform):
        m = Module()
        # What is counted is a register first, for the counters are many and far apart.
        cause = Value.cast(self.cause)
        now = {name: cause == value for name, value in self.causes.items()}
        now |= {event: getattr(self, event) for event in self.events}
        for name, happens in now.items():
            happened = Signal(name=f"{name}_before")
            m.d.sync += [happened.eq(happens), self.counts[name].eq(self.counts[name] + happened)]
        return m
