"""Where an engine's cycles go."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.counters import Counters, counters_layout
from openppu.common.shared import shared
from openppu.dma.cause import Cause

MOST_INSIDE = 31
"""Commands in an engine: more than its front and its queue of ends hold."""


class Account(wiring.Component):
    """Tells what each cycle goes to, and counts. The cause is combinational; counts have the latency of `Counters`.

    Members
    -------
    offered, taken, told : In(1)
        A command is offered; is taken; its end is.
    moves : In(1)
        A word is written.
    refused : In(1)
        An access to the scratchpad is not taken.
    waits : In(1)
        For memory.
    cause : Out(Cause)
    counters : Out(counters_layout(Cause))
    """

    def __init__(self):
        inputs = ("offered", "taken", "told", "moves", "refused", "waits")
        outputs = {"cause": Out(Cause), "counters": Out(counters_layout(Cause))}
        super().__init__(dict.fromkeys(inputs, In(1)) | outputs)

    def watch(self, commands, finished, requests):
        """Statements: what an engine's streams and the requests at its port of the scratchpad say."""
        return [
            self.offered.eq(commands.valid),
            self.taken.eq(commands.valid & commands.ready),
            self.told.eq(finished.valid & finished.ready),
            self.refused.eq(requests.valid & ~requests.ready),
        ]

    def elaborate(self, platform):
        m = Module()
        counters = Counters(Cause)
        m.submodules.counting = shared(counters, platform)
        inside = Signal(range(MOST_INSIDE + 1))
        m.d.sync += inside.eq(inside + self.taken - self.told)
        with m.If(self.moves):
            m.d.comb += self.cause.eq(Cause.MOVE)
        with m.Elif(self.refused):
            m.d.comb += self.cause.eq(Cause.SCRATCHPAD)
        with m.Elif(self.waits):
            m.d.comb += self.cause.eq(Cause.MEMORY)
        with m.Elif(self.offered | (inside != 0)):
            m.d.comb += self.cause.eq(Cause.WORK)
        with m.Else():
            m.d.comb += self.cause.eq(Cause.IDLE)
        m.d.comb += [counters.cause.eq(self.cause), self.counters.eq(counters.counts)]
        return m
