"""The exact product of two operands."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.operand import OperandKind, ProductKind, operand_layout, product_layout, significand_bits
from openppu.formats.spec import Format


class Multiply(wiring.Component):
    """Multiplies two operands exactly: nothing is rounded before the addition.

    Latency: 1 cycle. Throughput: one product a cycle.

    Parameters
    ----------
    formats : tuple of Format
        Formats that are built in.

    Members
    -------
    a, b : In(operand_layout(formats))
        Operands. Only ``a`` may be a pad, and ``a`` decides whether the product is an integer.
    product : Out(product_layout(2 * S))
        Their product, one cycle later.
    """

    LATENCY = 1

    def __init__(self, *, formats: tuple[Format, ...]):
        self.formats = formats
        self.layout = operand_layout(formats)
        self.is_float = any(fmt.is_float for fmt in formats)
        self.is_mixed = self.is_float and not all(fmt.is_float for fmt in formats)
        self.width = 2 * significand_bits(formats)
        super().__init__(
            {
                "a": In(self.layout),
                "b": In(self.layout),
                "product": Out(product_layout(self.width, is_float=self.is_float)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.product.significand.eq(self.a.factor * self.b.factor)
        if not self.is_float:
            return m

        def either(kind):
            return (self.a.kind == kind) | (self.b.kind == kind)

        pad = Signal()
        nan = Signal()
        infinite = Signal()
        m.d.comb += [
            pad.eq(self.a.kind == OperandKind.PAD),
            infinite.eq(either(OperandKind.INFINITE)),
            # A zero is an operand without a leading one. An infinity has one, a NaN's does not matter.
            nan.eq(either(OperandKind.NAN) | (infinite & ~(self._leading(self.a) & self._leading(self.b)))),
        ]
        m.d.sync += [
            self.product.exponent.eq(self.a.exponent + self.b.exponent),
            self.product.sign.eq((self.a.sign ^ self.b.sign) | pad),
            self.product.kind.eq(ProductKind.FINITE),
        ]
        with m.If(~pad & nan):
            m.d.sync += self.product.kind.eq(ProductKind.NAN)
        with m.Elif(~pad & infinite):
            m.d.sync += self.product.kind.eq(ProductKind.INFINITE)
        if self.is_mixed:
            with m.If(self.a.integer):
                m.d.sync += self.product.kind.eq(ProductKind.INTEGER)
        return m

    def _leading(self, operand):
        return operand.factor[self.width // 2 - 1]
