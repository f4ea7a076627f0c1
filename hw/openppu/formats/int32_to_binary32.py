"""From integers to binary32."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.fused_add import FusedAdd
from openppu.formats.operand import PRODUCT_BIAS, ZERO_EXPONENT


class Int32ToBinary32(wiring.Component):
    """Rounds an int32 to binary32, to nearest, ties to even: `FusedAdd` of the integer's magnitude and zero.

    Latency: `LATENCY` cycles. Throughput: one number a cycle. No handshake and no reset.

    Members
    -------
    bits : In(32)
        The int32.
    result : Out(32)
        The binary32 number.
    """

    LATENCY = 4

    def __init__(self):
        super().__init__({"bits": In(32), "result": Out(32)})

    def elaborate(self, platform):
        m = Module()
        # With a constant exponent and a constant addend hardly anything is left of the alignment.
        m.submodules.add = add = FusedAdd(width=32, latency=self.LATENCY)
        negative = Signal()
        m.d.comb += [
            negative.eq(self.bits[-1]),
            add.product.significand.eq(Mux(negative, -self.bits, self.bits)),
            add.product.exponent.eq(Mux(self.bits == 0, ZERO_EXPONENT, PRODUCT_BIAS + 31)),
            add.product.sign.eq(negative),
            add.addend.eq(0),
            self.result.eq(add.total),
        ]
        return m
