"""The addition of a fused multiply-add: an exact product plus a binary32 addend, rounded once."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.leading_zeros import leading_zeros
from openppu.formats.operand import PRODUCT_EXPONENT_BITS, ProductKind, product_layout

FRACTION_BITS = 23
SIGNIFICAND_BITS = FRACTION_BITS + 1
EXPONENT_ONES = 255
NAN = 0x7FC00000
GUARD_BITS = 3
"""Bits kept below the significand, beside a sticky bit. Three, since a product's leading one may be one bit low: with
an exponent difference of 3 a subtraction then needs two places to the left and one to round."""


class FusedAdd(wiring.Component):
    """Adds an exact product to a binary32 number with one rounding: the second half of IEEE 754's fusedMultiplyAdd.

    Round to nearest, ties to even; subnormals kept; every NaN result is 0x7FC00000. The operand with the larger
    exponent stays, the other moves right with a sticky bit; then sum, normalisation (never below the exponent of the
    subnormals) and rounding. Integer products are added modulo 2**32 by the same adder.

    Latency: ``latency`` cycles from ``product`` and ``addend`` to ``total``. Throughput: one sum a cycle.

    Parameters
    ----------
    width : int
        Significand bits of the product: 16 for bf16, 22 for fp16, 48 for binary32, 24 to add a binary32 number.
    integer : bool
        Integer products may come, too (`ProductKind.INTEGER`).
    latency : int, 1 to 4
        Registers: 4 stand after align, add, normalise and round; 3 leave out the one after normalise, 2 also the one
        after align, 1 only has the one after round.

    Members
    -------
    product : In(product_layout(width))
        The product.
    addend : In(32)
        A binary32 number, or an int32 when the product is an integer.
    total : Out(32)
        Their sum, ``latency`` cycles later.

    Raises
    ------
    ValueError
        If the latency is not 1 to 4.
    """

    def __init__(self, *, width: int, integer: bool = False, latency: int):
        if latency not in (1, 2, 3, 4):
            raise ValueError(f"FusedAdd latency {latency}: give 1, 2, 3 or 4")
        self.width = width
        self.integer = integer
        self.latency = latency
        # Significands are `span` bits wide, the window adds guard and sticky bits, the sum a carry.
        self.span = max(width, SIGNIFICAND_BITS)
        self.window = self.span + GUARD_BITS + 1
        self.sum_bits = max(self.window + 1, 32 if integer else 0)
        super().__init__({"product": In(product_layout(width)), "addend": In(32), "total": Out(32)})

    def elaborate(self, platform):
        m = Module()
        registered = {1: "round", 2: "add round", 3: "align add round", 4: "align add normalise round"}[self.latency]

        def stage(name, step, previous=None):
            fields = step(m) if previous is None else step(m, previous)
            layout = data.StructLayout({key: value.shape() for key, value in fields.items()})
            after = Signal(layout, name=f"{name}_stage", reset_less=True)
            domain = m.d.sync if name in registered.split() else m.d.comb
            domain += [after[key].eq(value) for key, value in fields.items()]
            return after

        aligned = stage("align", self._align)
        added = stage("add", self._add, aligned)
        normalised = stage("normalise", self._normalise, added)
        rounded = stage("round", self._round, normalised)
        m.d.comb += self.total.eq(rounded.total)
        return m

    def _align(self, m):
        """Puts the operand with the larger exponent first and shifts the other one to it."""
        product, addend = self.product, self.addend
        fraction = addend[:FRACTION_BITS]
        field = addend[FRACTION_BITS:31]
        sign = addend[31]

        normal = Signal(name="addend_normal")
        exponent = Signal(8, name="addend_exponent")
        m.d.comb += normal.eq(field != 0)
        m.d.comb += exponent.eq(Cat(field[0] | ~normal, field[1:]))  # a subnormal's exponent is that of field 1
        ours = Cat(Const(0, self.span - SIGNIFICAND_BITS), fraction, normal)
        theirs = Cat(Const(0, self.span - self.width), product.significand)

        ahead = Signal(range(-1024, 1024), name="product_ahead")
        behind = Signal(range(-1024, 1024), name="product_behind")
        product_first = Signal()
        m.d.comb += ahead.eq(product.exponent - exponent)
        m.d.comb += behind.eq(exponent - product.exponent)
        m.d.comb += product_first.eq(~ahead[-1])

        far = Signal(name="shift_far")
        amount = Signal((self.window - 1).bit_length(), name="shift_amount")
        distance = Signal(len(ahead), name="shift_distance")
        m.d.comb += distance.eq(Mux(product_first, ahead, behind))
        m.d.comb += far.eq(distance[len(amount) :].any())
        m.d.comb += amount.eq(distance)

        lesser = Signal(self.window, name="lesser")
        shifted = Signal(self.window, name="lesser_shifted")
        lost = Signal(self.window, name="lesser_lost")
        kept = Signal(self.window, name="lesser_kept")
        m.d.comb += lesser.eq(Cat(Const(0, GUARD_BITS + 1), Mux(product_first, ours, theirs)))
        m.d.comb += shifted.eq(lesser >> amount)
        m.d.comb += lost.eq(lesser & ~(Const(-1, self.window) << amount))
        m.d.comb += kept.eq(Cat(Mux(far, lesser.any(), shifted[0] | lost.any()), Mux(far, 0, shifted[1:])))
        greater = Signal(self.sum_bits, name="greater")
        m.d.comb += greater.eq(Cat(Const(0, GUARD_BITS + 1), Mux(product_first, theirs, ours)))

        special = Signal(name="addend_special")
        addend_nan = Signal()
        addend_infinite = Signal()
        nan = Signal()
        infinite = Signal()
        infinity_sign = Signal()
        m.d.comb += [
            special.eq(field == EXPONENT_ONES),
            addend_nan.eq(special & (fraction != 0)),
            addend_infinite.eq(special & (fraction == 0)),
            nan.eq(
                addend_nan
                | (product.kind == ProductKind.NAN)
                | (addend_infinite & (product.kind == ProductKind.INFINITE) & (sign != product.sign))
            ),
            infinite.eq(addend_infinite | (product.kind == ProductKind.INFINITE)),
            infinity_sign.eq(Mux(addend_infinite, sign, product.sign)),
        ]
        fields = {
            "greater": greater,
            "lesser": self._wide(kept),
            "subtract": (sign ^ product.sign) & ~infinite,
            "sign": Mux(infinite, infinity_sign, Mux(product_first, product.sign, sign)),
            "exponent": Mux(product_first, product.exponent, exponent)[: PRODUCT_EXPONENT_BITS - 1],
            "nan": nan,
            "infinite": infinite,
        }
        if self.integer:
            is_integer = Signal()
            m.d.comb += is_integer.eq(product.kind == ProductKind.INTEGER)
            # Exponent 0 keeps the normalisation from moving the sum; nothing else may touch it.
            fields |= {
                "greater": Mux(is_integer, addend, greater),
                "lesser": Mux(is_integer, product.significand.as_signed(), self._wide(kept))[: self.sum_bits],
                "subtract": fields["subtract"] & ~is_integer,
                "exponent": Mux(is_integer, 0, fields["exponent"]),
                "integer": is_integer,
            }
        return fields

    def _wide(self, value):
        return Cat(value, Const(0, self.sum_bits - self.window))

    def _add(self, m, before):
        """Adds or subtracts; the result is a magnitude, since equal exponents may leave the greater one second."""
        total = Signal(self.sum_bits + 1)
        negative = Signal()
        magnitude = Signal(self.sum_bits)
        second = Mux(before.subtract, ~before.lesser, before.lesser)
        m.d.comb += total.eq(before.greater + second + before.subtract)
        # A subtraction that does not carry out is negative; only an exact one (no sticky bit) can be.
        m.d.comb += negative.eq(before.subtract & ~total[self.sum_bits])
        m.d.comb += magnitude.eq(Mux(negative, -total[: self.sum_bits], total[: self.sum_bits]))
        zero = Signal(name="magnitude_zero")
        m.d.comb += zero.eq(magnitude == 0)
        after = {
            "magnitude": magnitude,
            "sign": Mux(before.subtract & zero, 0, before.sign ^ negative),
            "exponent": before.exponent,
            "nan": before.nan,
            "infinite": before.infinite,
        }
        return after | ({"integer": before.integer} if self.integer else {})

    def _normalise(self, m, before):
        """Moves the leading one to the top, but not past the subnormals' exponent."""
        bits = self.window + 1
        magnitude = before.magnitude[:bits]
        zeros = leading_zeros(m, magnitude, name="magnitude_zeros")
        amount = Signal(len(zeros), name="normalise_amount")
        m.d.comb += amount.eq(Mux(before.exponent < zeros, before.exponent, zeros))
        shifted = Signal(self.sum_bits, name="normalised")
        m.d.comb += shifted.eq(before.magnitude << amount)
        top = Signal(SIGNIFICAND_BITS, name="significand")
        rest = bits - SIGNIFICAND_BITS
        m.d.comb += top.eq(shifted[rest:bits])
        exponent = Signal(PRODUCT_EXPONENT_BITS, name="normalised_exponent")
        m.d.comb += exponent.eq(Mux(top[-1], before.exponent + 1 - amount, 0))
        after = {
            "significand": top[:FRACTION_BITS],
            "exponent": exponent,
            "round_up": shifted[rest - 1] & (shifted[: rest - 1].any() | top[0]),
            "sign": before.sign,
            "nan": before.nan,
            "infinite": before.infinite,
        }
        if self.integer:
            after |= {"integer": before.integer, "integer_total": shifted[:32]}
        return after

    def _round(self, m, before):
        """Rounds to nearest even; a carry out of the significand raises the exponent by itself."""
        magnitude = Signal(PRODUCT_EXPONENT_BITS + FRACTION_BITS, name="rounded")
        m.d.comb += magnitude.eq(Cat(before.significand, before.exponent) + before.round_up)
        infinite = before.infinite | (magnitude[FRACTION_BITS:] >= EXPONENT_ONES)
        finite = Mux(infinite, EXPONENT_ONES << FRACTION_BITS, magnitude[:31])
        total = Mux(before.nan, NAN, Cat(finite[:31], before.sign))
        if self.integer:
            total = Mux(before.integer, before.integer_total, total)
        return {"total": total[:32]}
