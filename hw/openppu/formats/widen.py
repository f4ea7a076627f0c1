"""From an operand format to binary32."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.formats.operand import EXPONENT_BIAS, OperandKind, require_operand_floats
from openppu.formats.spec import BF16, BINARY32, Format
from openppu.formats.unpack import Unpack


class Widen(wiring.Component):
    """Turns a number of a float format, chosen cycle by cycle, into the same number in binary32.

    Exact; any NaN becomes 0x7FC00000. Latency: `LATENCY` cycles. Throughput: one number a cycle. No handshake and no
    reset.

    Parameters
    ----------
    formats : tuple of Format
        Float operand formats that are built in.

    Members
    -------
    bits : In(n)
        The encoded number, in the low bits; n is the widest format's width.
    format : In(3)
        The format's code; must be one of ``formats``.
    result : Out(32)
        The binary32 number.

    Raises
    ------
    ValueError
        If there are no formats, or one is not a float of 8 or 16 bits.
    """

    LATENCY = Unpack.LATENCY + 1

    def __init__(self, *, formats: tuple[Format, ...]):
        require_operand_floats(formats, "Widen")
        self.formats = formats
        super().__init__({"bits": In(max(fmt.bits for fmt in formats)), "format": In(3), "result": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unpack = unpack = Unpack(formats=self.formats)
        m.d.comb += [unpack.bits.eq(self.bits), unpack.format.eq(self.format)]
        operand = unpack.operand
        bits = delayed(m, self.bits, Unpack.LATENCY, name="bits")
        code = delayed(m, self.format, Unpack.LATENCY, name="format")

        # Normalised, every number but bf16's subnormals is a normal one of binary32.
        fraction_bits = len(operand.factor) - 1
        zero = ~operand.factor[-1]
        exponent = Signal(8)
        fraction = Cat(Const(0, BINARY32.fraction_bits - fraction_bits), operand.factor[:-1])
        m.d.comb += exponent.eq(Mux(zero, 0, operand.exponent - (EXPONENT_BIAS - BINARY32.bias)))
        magnitude = Signal(31)
        m.d.comb += magnitude.eq(Cat(fraction, exponent))
        with m.If(operand.kind == OperandKind.INFINITE):
            m.d.comb += magnitude.eq(BINARY32.infinity_bits)
        if BF16 in self.formats:
            with m.If(code == BF16.code):  # the upper half of binary32 as it stands
                m.d.comb += magnitude.eq(Cat(Const(0, 16), bits[:15]))
        result = Signal(32, reset_less=True)
        m.d.sync += result.eq(Mux(operand.kind == OperandKind.NAN, BINARY32.nan_bits, Cat(magnitude, operand.sign)))
        m.d.comb += self.result.eq(result)
        return m
