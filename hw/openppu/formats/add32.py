"""Addition of binary32."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.fused_add import FusedAdd
from openppu.formats.operand import PRODUCT_BIAS
from openppu.formats.spec import BINARY32


class Add32(wiring.Component):
    """``a + b`` in binary32: `FusedAdd` with ``a`` in the place of the product. To subtract, turn the sign of ``b``.

    Round to nearest, ties to even; subnormals kept; every NaN result is 0x7FC00000. Latency: `LATENCY` cycles.
    Throughput: one sum a cycle. No handshake and no reset.

    Members
    -------
    a, b : In(32)
    total : Out(32)
    """

    LATENCY = 4

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "total": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.add = add = FusedAdd(width=BINARY32.fraction_bits + 1, latency=self.LATENCY)
        fraction = self.a[: BINARY32.fraction_bits]
        field = self.a[BINARY32.fraction_bits : -1]
        normal = Signal()
        m.d.comb += [
            normal.eq(field != 0),
            add.product.significand.eq(Cat(fraction, normal)),
            # A subnormal has the exponent of field 1. Its leading zeros do no harm, as nothing is shifted out below it.
            add.product.exponent.eq(Cat(field[0] | ~normal, field[1:], Const((PRODUCT_BIAS - BINARY32.bias) >> 8, 2))),
            add.product.sign.eq(self.a[-1]),
            add.product.infinite.eq(field.all() & (fraction == 0)),
            add.product.nan.eq(field.all() & (fraction != 0)),
            add.addend.eq(self.b),
            self.total.eq(add.total),
        ]
        return m
