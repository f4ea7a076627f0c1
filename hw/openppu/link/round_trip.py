"""Measures the round trip of the port, in flits sent."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.link.numbers import NUMBER_BITS

TIME_BITS = 10
"""Of a count of flits sent, modulo 1,024: the time that retry goes by. It stands still while nothing can be sent."""

SAMPLES = 16


class RoundTrip(wiring.Component):
    """Measures from the start of a flit until it is acknowledged, one flit at a time.

    A flit that was lost, or one before it, makes the time longer: what counts is the shortest of the last `SAMPLES`
    times. Latency: 1 cycle.

    Members
    -------
    now : In(TIME_BITS)
    begins : In(1), number : In(NUMBER_BITS)
        A new flit begins.
    acknowledged : In(NUMBER_BITS)
        All before it are.
    flits : Out(TIME_BITS)
        0 until there is a measurement.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "now": In(TIME_BITS),
                "begins": In(1),
                "number": In(NUMBER_BITS),
                "acknowledged": In(NUMBER_BITS),
                "flits": Out(TIME_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        active = Signal()
        since = Signal(TIME_BITS)
        waits_for = Signal(NUMBER_BITS)
        took = Signal(TIME_BITS)
        best = Signal(TIME_BITS, init=-1)
        count = Signal(range(SAMPLES))
        beyond = Signal(NUMBER_BITS)
        shorter = Signal(TIME_BITS)
        m.d.comb += [
            took.eq(self.now - since),
            beyond.eq(self.acknowledged - waits_for),
            shorter.eq(Mux(took < best, took, best)),
        ]
        with m.If(~active):
            with m.If(self.begins):
                m.d.sync += [active.eq(1), since.eq(self.now), waits_for.eq(self.number + 1)]
        with m.Elif(~beyond[-1]):
            m.d.sync += [active.eq(0), best.eq(shorter), count.eq(count + 1)]
            with m.If(count == SAMPLES - 1):
                m.d.sync += [self.flits.eq(shorter), best.eq(-1)]
            with m.Elif((self.flits == 0) | (took < self.flits)):
                m.d.sync += self.flits.eq(took)
        return m
