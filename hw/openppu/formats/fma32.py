"""fusedMultiplyAdd of binary32."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.formats.fused_add import FusedAdd
from openppu.formats.multiply import Multiply
from openppu.formats.spec import BINARY32
from openppu.formats.unpack import Unpack


class FusedMultiplyAdd(wiring.Component):
    """``a * b + c`` in binary32, rounded once: the tile's own steps at the width of binary32.

    Round to nearest, ties to even; subnormals kept; every NaN result is 0x7FC00000. Latency: `LATENCY` cycles.
    Throughput: one result a cycle. No handshake and no reset: the parent knows which results it asked for.

    Members
    -------
    a, b, c : In(32)
    total : Out(32)
    """

    UNPACK_LATENCY = 2
    ADD_LATENCY = 4
    LATENCY = UNPACK_LATENCY + Multiply.LATENCY + ADD_LATENCY

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "c": In(32), "total": Out(32)})

    def elaborate(self, platform):
        m = Module()
        formats = (BINARY32,)
        m.submodules.unpack_a = unpack_a = Unpack(formats=formats, latency=self.UNPACK_LATENCY)
        m.submodules.unpack_b = unpack_b = Unpack(formats=formats, latency=self.UNPACK_LATENCY)
        m.submodules.multiply = multiply = Multiply(formats=formats)
        m.submodules.add = add = FusedAdd(width=multiply.width, latency=self.ADD_LATENCY)
        m.d.comb += [
            unpack_a.bits.eq(self.a),
            unpack_a.format.eq(BINARY32.code),
            unpack_b.bits.eq(self.b),
            unpack_b.format.eq(BINARY32.code),
            multiply.a.eq(unpack_a.operand),
            multiply.b.eq(unpack_b.operand),
            add.product.eq(multiply.product),
            add.addend.eq(delayed(m, self.c, self.UNPACK_LATENCY + Multiply.LATENCY, name="c")),
            self.total.eq(add.total),
        ]
        return m
