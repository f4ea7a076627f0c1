"""Multiplication by a power of two."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.leading_zeros import leading_zeros
from openppu.formats.spec import BINARY32

FRACTION_BITS = BINARY32.fraction_bits
SIGNIFICAND_BITS = FRACTION_BITS + 1
EXPONENT_BITS = 11
"""Enough for any exponent that still matters, with its sign."""
FAR = 512
"""A power this far away leaves nothing, or infinity, of any number."""


class Scale(wiring.Component):
    """``a * 2**power``, rounded once to binary32: IEEE 754's scaleB, and the exponent and significand of ``a``.

    To nearest, ties to even; subnormals kept; a NaN becomes 0x7FC00000. Latency: `LATENCY` cycles. Throughput: one
    number a cycle. No handshake and no reset.

    Members
    -------
    a : In(32)
        binary32.
    power : In(32)
        int32.
    result : Out(32)
        binary32.
    exponent : Out(32)
        floor(log2 |a|), an int32; of zero -150, of infinities and NaNs 128.
    significand : Out(32)
        |a| / 2**exponent, in [1, 2); of zero 0, of infinities infinity, of NaNs 0x7FC00000.
    """

    LATENCY = 2

    def __init__(self):
        super().__init__({"a": In(32), "power": In(32), "result": Out(32), "exponent": Out(32), "significand": Out(32)})

    def elaborate(self, platform):
        m = Module()
        fraction, field = self.a[:FRACTION_BITS], self.a[FRACTION_BITS:-1]
        subnormal = Signal()
        zeros = Signal(range(SIGNIFICAND_BITS + 1))
        m.d.comb += [subnormal.eq(field == 0), zeros.eq(leading_zeros(m, Cat(fraction, ~subnormal), name="a"))]

        # First the leading one goes to its place, and the power to a size that can be added.
        significand = Signal(SIGNIFICAND_BITS, reset_less=True)
        exponent = Signal(signed(EXPONENT_BITS), reset_less=True)
        power = Signal(signed(EXPONENT_BITS), reset_less=True)
        sign, zero, infinite, nan = (Signal(name=n, reset_less=True) for n in ("sign", "zero", "infinite", "nan"))
        asked = self.power.as_signed()
        m.d.sync += [
            significand.eq(Cat(fraction, ~subnormal) << zeros),
            exponent.eq(Mux(subnormal, 1, field) - BINARY32.bias - zeros),
            power.eq(Mux(asked > FAR, FAR, Mux(asked < -FAR, -FAR, asked))),
            sign.eq(self.a[-1]),
            zero.eq(subnormal & (fraction == 0)),
            infinite.eq(field.all() & (fraction == 0)),
            nan.eq(field.all() & (fraction != 0)),
        ]

        # Then what lies below the last place of a subnormal result is rounded away.
        biased = Signal(signed(EXPONENT_BITS + 1))
        shift = Signal(range(SIGNIFICAND_BITS + 2))
        kept, lost = Signal(SIGNIFICAND_BITS + 1), Signal(SIGNIFICAND_BITS + 1)
        below = Signal(signed(EXPONENT_BITS + 2))
        m.d.comb += [
            biased.eq(exponent + power + BINARY32.bias),
            below.eq(1 - biased),
            shift.eq(Mux(biased > 0, 0, Mux(below > SIGNIFICAND_BITS + 1, SIGNIFICAND_BITS + 1, below))),
            kept.eq(significand >> shift),
            lost.eq(Cat(Const(0, SIGNIFICAND_BITS + 1), significand)[0 : 2 * SIGNIFICAND_BITS + 1] >> shift),
        ]
        return self._round(m, biased, kept, lost, sign, zero, infinite, nan, exponent, significand)

    def _round(self, m, biased, kept, lost, sign, zero, infinite, nan, exponent, significand):
        half = lost[-1]
        up = Signal()
        base = Signal(8)
        magnitude = Signal(32)
        m.d.comb += [
            up.eq(half & (lost[:-1].any() | kept[0])),
            # The hidden bit counts as one in the exponent's field.
            base.eq(Mux(biased > 0, (biased - 1)[:8], 0)),
            magnitude.eq(Cat(Const(0, FRACTION_BITS), base) + kept + up),
        ]
        result, shown, of_one = (
            Signal(32, name=n, reset_less=True) for n in ("result_1", "exponent_1", "significand_1")
        )
        beyond = infinite | (biased >= 2 * BINARY32.bias + 1)
        special = infinite | nan
        infinity = BINARY32.infinity_bits
        m.d.sync += [
            result.eq(Mux(nan, BINARY32.nan_bits, Cat(Mux(zero, 0, Mux(beyond, infinity, magnitude))[:31], sign))),
            shown.eq(Mux(special, BINARY32.bias + 1, Mux(zero, -150, exponent))),
            of_one.eq(
                Mux(
                    special,
                    Mux(nan, BINARY32.nan_bits, infinity),
                    Mux(zero, 0, Cat(significand[:FRACTION_BITS], Const(BINARY32.bias, 9))),
                )
            ),
        ]
        m.d.comb += [self.result.eq(result), self.exponent.eq(shown), self.significand.eq(of_one)]
        return m
