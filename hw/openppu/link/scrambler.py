"""The scrambler of a lane: what the data are XORed with, the same at both ends."""

from amaranth import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.link.shift_register import product, steps

TAPS = (23, 21, 16, 8, 5, 2)
"""x^23 + x^21 + x^16 + x^8 + x^5 + x^2 + 1: a bit of the sequence is the XOR of those so many bits before it."""

SEEDS = (
    0x1DBFBC,
    0x0607BB,
    0x1EC760,
    0x18C0DB,
    0x010F12,
    0x19CFC9,
    0x0277CE,
    0x1BB807,
    0x62DA43,
    0x59F844,
    0x41389F,
    0x473F24,
    0x5EF0ED,
    0x463036,
    0x5D8831,
    0x4447F8,
)
"""The first 23 bits of the sequence, bit 0 first, of the lane with this number at the sending port."""


class Scrambler(wiring.Component):
    """Gives the bits that a lane's words are XORed with: an additive scrambler, so a wrong bit stays one wrong bit.

    After ``restart`` falls, ``key`` needs one clock more until it is that of the first data word. Latency: the key is
    a register. Throughput: a word a clock.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    lane : In(4)
        Whose sequence it is.
    restart : In(1)
        Begin the sequence again.
    advance : In(1)
        The key has been used; not before the first is there.
    key : Out(bits)
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__({"lane": In(4), "restart": In(1), "advance": In(1), "key": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        length = max(TAPS)
        out, after = steps(TAPS, self.bits)
        state = Signal(length)
        primed = Signal()

        with m.If(self.restart):
            m.d.sync += [state.eq(Array(SEEDS)[self.lane]), primed.eq(0)]
        with m.Elif(self.advance | ~primed):
            m.d.sync += [self.key.eq(product(out, state)), state.eq(product(after, state)), primed.eq(1)]
        return m
