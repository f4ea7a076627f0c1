"""Requantisation to int8."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.formats.binary32_to_int32 import Binary32ToInt32
from openppu.formats.int32_to_binary32 import Int32ToBinary32
from openppu.formats.mul32 import Multiply32


class Requantise(wiring.Component):
    """``round(value * scale) + zero_point``, clamped to int8.

    An int32 value is rounded to binary32 first. The product is rounded to binary32, then to an integer (all to nearest,
    ties to even) that saturates to int32; a NaN counts as 0. Latency: `LATENCY` cycles. Throughput: one value a cycle,
    each with its own scale and zero point. No handshake and no reset.

    Members
    -------
    bits : In(32)
        An int32 or a binary32 number.
    is_integer : In(1)
        Which of the two.
    scale : In(32)
        A binary32 number.
    zero_point : In(signed(8))
    result : Out(signed(8))
    """

    LATENCY = Int32ToBinary32.LATENCY + Multiply32.LATENCY + Binary32ToInt32.LATENCY + 1

    def __init__(self):
        super().__init__(
            {
                "bits": In(32),
                "is_integer": In(1),
                "scale": In(32),
                "zero_point": In(signed(8)),
                "result": Out(signed(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.widen = widen = Int32ToBinary32()
        m.submodules.multiply = multiply = Multiply32()
        m.submodules.round = whole = Binary32ToInt32()
        is_integer = delayed(m, self.is_integer, widen.LATENCY, name="is_integer")
        m.d.comb += [
            widen.bits.eq(self.bits),
            multiply.a.eq(Mux(is_integer, widen.result, delayed(m, self.bits, widen.LATENCY, name="bits"))),
            multiply.b.eq(delayed(m, self.scale, widen.LATENCY, name="scale")),
            whole.bits.eq(multiply.product),
        ]

        zero_point = delayed(m, self.zero_point, self.LATENCY - 1, name="zero_point")
        total = Signal(signed(33))
        result = Signal(signed(8), reset_less=True)
        fits = total[7:].all() | ~total[7:].any()
        limit = Mux(total < 0, -128, 127)
        m.d.comb += [total.eq(whole.result.as_signed() + zero_point), self.result.eq(result)]
        m.d.sync += result.eq(Mux(fits, total, limit))
        return m
