"""The arithmetic of one cell without the cell: encoded operands in, accumulator out."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.common.delayed import delayed
from openppu.formats.fused_add import FusedAdd
from openppu.formats.multiply import Multiply
from openppu.formats.spec import Format
from openppu.formats.unpack import Unpack


class Datapath(wiring.Component):
    """``a * b + addend``: two `Unpack`, `Multiply` and `FusedAdd`, joined by the latencies they state.

    Throughput: one result a cycle.

    Parameters
    ----------
    formats : tuple of Format
        Formats that are built in.
    add_latency : int, 1 to 5
        Latency of the addition.

    Members
    -------
    a, b : In(n)
        Encoded operands; n is the widest format's width.
    format : In(3)
        Their format's code.
    pad : In(1)
        ``a`` is a pad.
    addend : In(32)
    total : Out(32)
        `latency` cycles later.
    """

    def __init__(self, *, formats: tuple[Format, ...], add_latency: int):
        self.formats = formats
        self.add_latency = add_latency
        bits = max(fmt.bits for fmt in formats)
        super().__init__(
            {"a": In(bits), "b": In(bits), "format": In(3), "pad": In(1), "addend": In(32), "total": Out(32)}
        )

    @property
    def latency(self) -> int:
        """Cycles from the operands to the total."""
        return Unpack.LATENCY + Multiply.LATENCY + self.add_latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.unpack_a = unpack_a = Unpack(formats=self.formats)
        m.submodules.unpack_b = unpack_b = Unpack(formats=self.formats)
        m.submodules.multiply = multiply = Multiply(formats=self.formats)
        m.d.comb += [
            unpack_a.bits.eq(self.a),
            unpack_a.format.eq(self.format),
            unpack_a.pad.eq(self.pad),
            unpack_b.bits.eq(self.b),
            unpack_b.format.eq(self.format),
            multiply.a.eq(unpack_a.operand),
            multiply.b.eq(unpack_b.operand),
        ]

        addend = delayed(m, self.addend, Unpack.LATENCY + Multiply.LATENCY, name="addend")
        integer = any(not fmt.is_float for fmt in self.formats)
        m.submodules.add = add = FusedAdd(width=multiply.width, integer=integer, latency=self.add_latency)
        m.d.comb += [add.product.eq(multiply.product), add.addend.eq(addend), self.total.eq(add.total)]
        return m
