"""From binary32 to an operand format."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.operand import require_operand_floats
from openppu.formats.spec import BINARY32, Format

STEPS = 16
"""Random bits of stochastic rounding."""


class Narrow(wiring.Component):
    """Rounds a binary32 number to a float format chosen cycle by cycle, to nearest, ties to even.

    Subnormals are kept; any NaN becomes the format's one (`Format.nan_bits`). The fp8 formats have OFP8's two modes:
    what is too large, infinities included, becomes the largest finite number (saturating), or else infinity in E5M2 and
    NaN in E4M3. The 16-bit formats always overflow to infinity. Latency: `LATENCY` cycles. Throughput: one number a
    cycle. No handshake and no reset.

    Parameters
    ----------
    formats : tuple of Format
        Float operand formats that are built in.
    stochastic : bool
        Whether stochastic rounding is built in: away from zero if the first bits of the part of a step that is cut off
        (16, or as many as binary32 has more than the format) and ``random``, both as fractions, make 1 or more.

    Members
    -------
    bits : In(32)
        The binary32 number.
    format : In(3)
        The format's code; must be one of ``formats``.
    saturate : In(1)
        OFP8's saturating mode.
    stochastic, random : In(1), In(16)
        Round stochastically, with these random bits; if it is built in.
    result : Out(n)
        The encoded number, in the low bits; n is the widest format's width.

    Raises
    ------
    ValueError
        If there are no formats, or one is not a float of 8 or 16 bits.
    """

    LATENCY = 2

    def __init__(self, *, formats: tuple[Format, ...], stochastic: bool = False):
        require_operand_floats(formats, "Narrow")
        self.formats = formats
        self.can_be_stochastic = stochastic
        super().__init__(
            {
                "bits": In(32),
                "format": In(3),
                "saturate": In(1),
                **({"stochastic": In(1), "random": In(STEPS)} if stochastic else {}),
                "result": Out(max(fmt.bits for fmt in formats)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fraction = self.bits[: BINARY32.fraction_bits]
        field = self.bits[BINARY32.fraction_bits : -1]
        normal = Signal()
        rebase = Signal(8)
        m.d.comb += normal.eq(field != 0)
        with m.Switch(self.format):
            for fmt in self.formats:
                with m.Case(fmt.code):
                    m.d.comb += rebase.eq(BINARY32.bias - fmt.bias)

        # The exponent field in the format, less one, as the hidden bit will add one; below 0 the number is subnormal.
        exponent = Signal(signed(10))
        amount = Signal(10)
        shifted = Signal(BINARY32.fraction_bits + 1)
        lost = Signal(BINARY32.fraction_bits + 1)
        significand = Cat(fraction, normal)
        m.d.comb += [
            exponent.eq(field - normal - rebase),
            amount.eq(Mux(exponent < 0, -exponent, 0)),
        ]
        far = amount[5:].any()
        m.d.comb += [
            shifted.eq(Mux(far, 0, significand >> amount[:5])),
            lost.eq(Mux(far, significand, significand & ~(Const(-1, 24) << amount[:5])[:24])),
        ]
        kept = Signal(Cat(lost.any(), shifted).shape(), reset_less=True)
        base = Signal(8, reset_less=True)
        sign = Signal(reset_less=True)
        infinite = Signal(reset_less=True)
        nan = Signal(reset_less=True)
        code = Signal(3, reset_less=True)
        saturate = Signal(reset_less=True)
        m.d.sync += [
            kept.eq(Cat(lost.any(), shifted)),
            base.eq(Mux(exponent < 0, 0, exponent)),
            sign.eq(self.bits[-1]),
            infinite.eq(field.all() & (fraction == 0)),
            nan.eq(field.all() & (fraction != 0)),
            code.eq(self.format),
            saturate.eq(self.saturate),
        ]
        chance = None
        if self.can_be_stochastic:
            chance = Signal(1 + STEPS, reset_less=True)
            m.d.sync += chance.eq(Cat(self.stochastic, self.random))

        result = Signal(self.result.shape(), reset_less=True)
        m.d.comb += self.result.eq(result)
        with m.Switch(code):
            for fmt in self.formats:
                with m.Case(fmt.code):
                    m.d.sync += result.eq(self._round(m, fmt, kept, base, sign, infinite, nan, saturate, chance))
        return m

    def _round(self, m, fmt, kept, base, sign, infinite, nan, saturate, chance):
        drop = BINARY32.fraction_bits - fmt.fraction_bits
        rest = kept[: drop + 1]  # with the bit that stands for all that were lost
        significand = kept[drop + 1 :]
        magnitude = Signal(8 + fmt.fraction_bits + 1, name=f"{fmt.name}_magnitude")
        up = rest[-1] & (rest[:-1].any() | significand[0])
        if chance is not None:
            part = rest[1:][-STEPS:]
            total = Cat(Const(0, STEPS - len(part)), part) + chance[1:]
            up = Mux(chance[0], total[STEPS], up)
        m.d.comb += magnitude.eq(Cat(Const(0, fmt.fraction_bits), base) + significand + up)
        beyond = Signal(name=f"{fmt.name}_beyond")
        m.d.comb += beyond.eq(infinite | (magnitude > fmt.max_finite_bits))
        overflow = Const(fmt.infinity_bits if fmt.has_infinity else fmt.nan_bits, fmt.bits - 1)
        if fmt.bits == 8:
            overflow = Mux(saturate, fmt.max_finite_bits, overflow)
        finite = Mux(beyond, overflow, magnitude)[: fmt.bits - 1]
        # The only NaN is positive.
        is_nan = nan | (beyond & ~saturate) if not fmt.has_infinity else nan
        return Mux(is_nan, fmt.nan_bits, Cat(finite, sign))
