"""The exact product of two operands."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.operand import OperandKind, is_mixed, operand_layout, product_layout, significand_bits
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
        self.is_mixed = is_mixed(formats)
        self.width = 2 * significand_bits(formats)
        super().__init__(
            {
                "a": In(self.layout),
                "b": In(self.layout),
                "product": Out(product_layout(self.width, is_float=self.is_float, integer=self.is_mixed)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        a, b = self.a, self.b
        product = Signal(self.product.shape(), reset_less=True)
        m.d.comb += self.product.eq(product)
        m.d.sync += product.significand.eq(a.factor * b.factor)
        if not self.is_float:
            return m

        pad = Signal()
        nan = Signal()
        infinite = Signal()
        m.d.comb += [
            pad.eq(a.kind == OperandKind.PAD),
            infinite.eq((a.kind == OperandKind.INFINITE) | (b.kind == OperandKind.INFINITE)),
            # A zero is an operand without a leading one. An infinity has one, a NaN's does not matter.
            nan.eq(
                (a.kind == OperandKind.NAN)
                | (b.kind == OperandKind.NAN)
                | (infinite & ~(self._leading(a) & self._leading(b)))
            ),
        ]
        m.d.sync += [
            product.exponent.eq(a.exponent + b.exponent),
            product.sign.eq((a.sign ^ b.sign) | pad),
            product.nan.eq(nan & ~pad),
            product.infinite.eq(infinite & ~pad),
        ]
        if self.is_mixed:
            m.d.sync += product.integer.eq(a.integer)
        return m

    def _leading(self, operand):
        return operand.factor[self.width // 2 - 1]
