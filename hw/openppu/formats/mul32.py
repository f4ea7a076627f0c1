"""Multiplication of binary32."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.fma32 import FusedMultiplyAdd

MINUS_ZERO = 1 << 31
"""Added to a product it changes neither value nor sign: +0 + -0 is +0, and -0 + -0 is -0."""


class Multiply32(wiring.Component):
    """``a * b`` in binary32, rounded once: `FusedMultiplyAdd` of -0.

    Rounding, NaN, latency and throughput are those of `FusedMultiplyAdd`.

    Members
    -------
    a, b : In(32)
    product : Out(32)
    """

    LATENCY = FusedMultiplyAdd.LATENCY

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "product": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fma = fma = FusedMultiplyAdd()
        m.d.comb += [fma.a.eq(self.a), fma.b.eq(self.b), fma.c.eq(MINUS_ZERO), self.product.eq(fma.total)]
        return m
