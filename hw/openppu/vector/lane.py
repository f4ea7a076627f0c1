"""What one lane of the vector unit computes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.formats.binary32_to_int32 import Binary32ToInt32
from openppu.formats.fma32 import FusedMultiplyAdd
from openppu.formats.int32_to_binary32 import Int32ToBinary32
from openppu.formats.narrow import Narrow
from openppu.formats.spec import BINARY32, FORMATS, Format
from openppu.formats.widen import Widen
from openppu.vector.operation import FUSED, Operation
from openppu.vector.scale import Scale
from openppu.vector.simple import Simple

ONE = BINARY32.bias << BINARY32.fraction_bits
SIGN = 1 << 31
MINUS_ZERO = SIGN
"""What is added to a product that is to be itself: adding +0 would turn a -0 into +0."""


class Lane(wiring.Component):
    """Does an `Operation` to three words.

    Latency: `LATENCY` cycles, the same for every operation. Throughput: one operation a cycle, in any order. No
    handshake and no reset.

    Parameters
    ----------
    formats : tuple of Format
        Float formats that it converts from and to.

    Members
    -------
    operation : In(Operation)
        A code that is none gives any result.
    a, b, c : In(32)
    result : Out(32)

    Raises
    ------
    ValueError
        If there are no formats, or one is not a float of 8 or 16 bits.
    """

    LATENCY = FusedMultiplyAdd.LATENCY

    FORMATS = tuple(fmt for fmt in FORMATS.values() if fmt.is_float)

    def __init__(self, *, formats: tuple[Format, ...] = FORMATS):
        self.formats = formats
        self._narrow = Narrow(formats=formats)  # which checks them
        super().__init__({"operation": In(Operation), "a": In(32), "b": In(32), "c": In(32), "result": Out(32)})

    def elaborate(self, platform):
        m = Module()
        a, b, c = self.a, self.b, self.c

        # One multiplier and adder for all: a + b is a * 1 + b, a * b is a * b + -0.
        m.submodules.fused = fused = FusedMultiplyAdd()
        m.d.comb += [fused.a.eq(a), fused.b.eq(b), fused.c.eq(c)]
        with m.Switch(self.operation):
            with m.Case(Operation.ADD):
                m.d.comb += [fused.b.eq(ONE), fused.c.eq(b)]
            with m.Case(Operation.SUBTRACT):
                m.d.comb += [fused.b.eq(ONE), fused.c.eq(b ^ SIGN)]
            with m.Case(Operation.MULTIPLY):
                m.d.comb += fused.c.eq(MINUS_ZERO)
            with m.Case(Operation.SUBTRACT_PRODUCT):
                m.d.comb += fused.a.eq(a ^ SIGN)

        m.submodules.simple = simple = Simple()
        m.submodules.scale = scale = Scale()
        m.submodules.to_integer = to_integer = Binary32ToInt32()
        m.submodules.from_integer = from_integer = Int32ToBinary32()
        m.submodules.narrow = narrow = self._narrow
        m.submodules.widen = widen = Widen(formats=self.formats)
        m.d.comb += [
            simple.operation.eq(self.operation),
            *(port.eq(value) for port, value in ((simple.a, a), (simple.b, b), (simple.c, c))),
            scale.a.eq(a),
            scale.power.eq(b),
            to_integer.bits.eq(a),
            from_integer.bits.eq(a),
            narrow.bits.eq(a),
            narrow.format.eq(b[:3]),
            narrow.saturate.eq(b[3]),
            widen.bits.eq(a),
            widen.format.eq(b[:3]),
        ]
        factors = Signal(64, reset_less=True)
        product = Signal(32, reset_less=True)
        m.d.sync += [factors.eq(a | b << 32), product.eq(factors[:32] * factors[32:])]

        # What is done after two cycles waits for what takes four, and both for the multiplier and adder.
        soon = Signal(32)
        operation = delayed(m, self.operation, Simple.LATENCY, name="operation")
        m.d.comb += soon.eq(simple.result)
        with m.Switch(operation):
            for case, value in (
                (Operation.MULTIPLY_INTEGER, product),
                (Operation.TO_INTEGER, to_integer.result),
                (Operation.NARROW, narrow.result),
                (Operation.WIDEN, widen.result),
                (Operation.EXPONENT, scale.exponent),
                (Operation.SIGNIFICAND, scale.significand),
                (Operation.SCALE, scale.result),
            ):
                with m.Case(case):
                    m.d.comb += soon.eq(value)
        rest = Int32ToBinary32.LATENCY - Simple.LATENCY
        later = delayed(m, soon, rest, name="soon")
        operation = delayed(m, operation, rest, name="operation_soon")
        beside = Signal(32)
        m.d.comb += beside.eq(Mux(operation == Operation.FROM_INTEGER, from_integer.result, later))
        last = self.LATENCY - Int32ToBinary32.LATENCY
        operation = delayed(m, operation, last, name="operation_late")
        is_fused = Signal()
        m.d.comb += [
            is_fused.eq(sum(operation == each for each in FUSED).any()),
            self.result.eq(Mux(is_fused, fused.total, delayed(m, beside, last, name="beside"))),
        ]
        return m
