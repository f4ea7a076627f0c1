"""Tells whether a lane's words come and change."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

SILENCE = 32
"""Clocks in which no other word comes, after which a lane is dead. Neither blocks nor scrambled data stay so long."""


class Watchdog(wiring.Component):
    """A lane is alive while another word than the last one comes now and then. Latency: 1 clock.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    word, valid : In(bits), In(1)
    alive : Out(1)
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__({"word": In(bits), "valid": In(1), "alive": Out(1)})

    def elaborate(self, platform):
        m = Module()
        before, silence = Signal(self.bits), Signal(range(SILENCE + 1), init=SILENCE)
        m.d.comb += self.alive.eq(silence != SILENCE)
        with m.If(self.valid):
            m.d.sync += before.eq(self.word)
        with m.If(self.valid & (self.word != before)):
            m.d.sync += silence.eq(0)
        with m.Elif(self.alive):
            m.d.sync += silence.eq(silence + 1)
        return m
