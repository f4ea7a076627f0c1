"""From a format's bits to the datapath's operand."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.formats.leading_zeros import leading_zeros
from openppu.formats.operand import (
    EXPONENT_BIAS,
    ZERO_EXPONENT,
    OperandKind,
    is_mixed,
    operand_layout,
    significand_bits,
)
from openppu.formats.spec import Format


class Unpack(wiring.Component):
    """Unpacks and normalises one operand of a format chosen cycle by cycle.

    Done once at the array's edge, so that no cell has to treat a subnormal apart. Throughput: one operand a cycle.

    Parameters
    ----------
    formats : tuple of Format
        Formats that are built in; the formats of IEEE 754's shape cost one small decoder each.
    latency : int, 1 or 2
        Cycles from ``bits`` to ``operand``; 2 has registers between the count of leading zeros and the shift, for
        wide significands.

    Members
    -------
    bits : In(n)
        The encoded operand, in the low bits; n is the widest format's width.
    format : In(3)
        The format's code; must be one of ``formats``.
    pad : In(1)
        The operand is not there (`OperandKind.PAD`).
    operand : Out(operand_layout(formats))
        The operand, ``latency`` cycles later.

    Raises
    ------
    ValueError
        If there are no formats, or the latency is not 1 or 2.
    """

    LATENCY = 1

    def __init__(self, *, formats: tuple[Format, ...], latency: int = LATENCY):
        if not formats:
            raise ValueError("Unpack needs at least one format, got none")
        if latency not in (1, 2):
            raise ValueError(f"Unpack latency {latency}: give 1 or 2")
        self.formats = formats
        self.latency = latency
        self.layout = operand_layout(formats)
        super().__init__(
            {
                "bits": In(max(fmt.bits for fmt in formats)),
                "format": In(3),
                "pad": In(1),
                "operand": Out(self.layout),
            }
        )

    def elaborate(self, platform):
        m = Module()
        operand = Signal(self.layout, reset_less=True)
        m.d.comb += self.operand.eq(operand)
        floats = [fmt for fmt in self.formats if fmt.is_float]

        def early(value, name):
            return delayed(m, value, self.latency - 1, name=name)

        pad = early(self.pad, "pad_early")
        integer_factor = early(self.bits[:8].as_signed(), "integer_early")
        if not floats:
            m.d.sync += operand.factor.eq(Mux(pad, 0, integer_factor))
            return m

        # Each format's fields, brought to one shape: significand with the hidden bit, left-justified, and exponent.
        width = significand_bits(self.formats)
        sign = Signal()
        significand = Signal(width)
        exponent = Signal(len(operand.exponent))
        kind = Signal(OperandKind)
        with m.Switch(self.format):
            for fmt in floats:
                with m.Case(fmt.code):
                    self._decode(m, fmt, sign, significand, exponent, kind)

        zeros = early(leading_zeros(m, significand, name="zeros"), "zeros_early")
        significand = early(significand, "significand_early")
        factor = Signal(width)
        m.d.comb += factor.eq(significand << zeros)
        absent = pad | (significand == 0)
        m.d.sync += [
            operand.factor.eq(Mux(pad, 0, factor)),
            operand.sign.eq(early(sign, "sign_early")),
            operand.exponent.eq(Mux(absent, ZERO_EXPONENT, early(exponent, "exponent_early") - zeros)),
            operand.kind.eq(Mux(pad, OperandKind.PAD, early(kind, "kind_early"))),
        ]
        if is_mixed(self.formats):
            integer = Signal()
            m.d.comb += integer.eq(Cat(self.format == fmt.code for fmt in self.formats if not fmt.is_float).any())
            integer = early(integer, "is_integer_early")
            m.d.sync += operand.integer.eq(integer)
            with m.If(integer):
                m.d.sync += operand.factor.eq(Mux(pad, 0, integer_factor))
        return m

    def _decode(self, m, fmt, sign, significand, exponent, kind):
        fraction = self.bits[: fmt.fraction_bits]
        field = self.bits[fmt.fraction_bits : fmt.bits - 1]
        hidden = Signal(name=f"{fmt.name}_hidden")
        special = Signal(name=f"{fmt.name}_special")
        m.d.comb += hidden.eq(field != 0)
        m.d.comb += sign.eq(self.bits[fmt.bits - 1])
        m.d.comb += significand.eq(Cat(Const(0, len(significand) - fmt.fraction_bits - 1), fraction, hidden))
        # A subnormal has the exponent of the smallest normal, which is field 1.
        m.d.comb += exponent.eq(field + ~hidden - fmt.bias + EXPONENT_BIAS)
        if fmt.has_infinity:
            m.d.comb += special.eq(field.all())
            with m.If(special):
                m.d.comb += kind.eq(Mux(fraction == 0, OperandKind.INFINITE, OperandKind.NAN))
        else:
            m.d.comb += special.eq(self.bits[: fmt.bits - 1].all())
            with m.If(special):
                m.d.comb += kind.eq(OperandKind.NAN)
