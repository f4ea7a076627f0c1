"""Counts what happens in the link layer."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

COUNTS = {
    "sent": "flits sent, of whatever kind",
    "new": "new data flits sent",
    "replayed": "data flits sent again",
    "timeouts": "flits sent again since nothing was acknowledged for too long",
    "stalls": "clocks in which all that waited to be sent lacked a credit, or room in the window",
    "right": "right flits received, of whatever kind",
    "bad": "flits received with a wrong CRC or number of beats",
    "duplicates": "right data flits received that had been received before",
    "early": "right data flits received before one with a lower number",
    "corrected": "right flits received of which the FEC had to correct bytes",
}
"""The counters of a port's link layer, and what each counts, modulo 2**32."""


def counts_layout() -> data.StructLayout:
    """Each counter."""
    return data.StructLayout(dict.fromkeys(COUNTS, 32))


class LinkCounters(wiring.Component):
    """Counts events.

    Latency: 1 cycle.

    Members
    -------
    events : In(a bit each)
    counts : Out(counts_layout)
    """

    def __init__(self) -> None:
        super().__init__({"events": In(data.StructLayout(dict.fromkeys(COUNTS, 1))), "counts": Out(counts_layout())})

    def elaborate(self, platform):
        m = Module()
        for name in COUNTS:
            with m.If(self.events[name]):
                m.d.sync += self.counts[name].eq(self.counts[name] + 1)
        return m
