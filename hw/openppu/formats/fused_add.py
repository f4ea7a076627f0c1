"""The addition of a fused multiply-add: an exact product plus a binary32 addend, rounded once."""

from types import SimpleNamespace

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.leading_zeros import leading_zeros
from openppu.formats.operand import product_layout

FRACTION_BITS = 23
SIGNIFICAND_BITS = FRACTION_BITS + 1
EXPONENT_ONES = 255
EXPONENT_BITS = 9
"""Width of the sum's exponent, that of the operand with the larger one."""
GUARD_BITS = 3
"""Bits kept below the significand. Three, since a product's leading one may be one bit low: with an exponent difference
of 3 a subtraction then needs two places to the left and one to round."""
REGISTERED = {
    1: ("round",),
    2: ("count", "round"),
    3: ("align", "count", "round"),
    4: ("align", "count", "normalise", "round"),
    5: ("align", "add", "count", "normalise", "round"),
}
"""The steps that end in registers, by latency."""


class FusedAdd(wiring.Component):
    """Adds an exact product to a binary32 number with one rounding: the second half of IEEE 754's fusedMultiplyAdd.

    Round to nearest, ties to even; subnormals kept; every NaN result is 0x7FC00000. Integer products are added modulo
    2**32 by the same adder. Throughput: one sum a cycle. Five steps:

    align: the operand with the larger exponent stays, the other moves right; ``lost`` says that it lost bits.
    add: sum or difference. A difference is had by inversion alone: of the lesser operand, and in the next step again
    of the result if that is negative. If bits were lost, the true difference lies between the result and the next
    integer; if not, a positive one is ``short`` of one unit, which waits for the rounding.
    count: the leading zeros of the sum.
    normalise: the leading one moves to the top, but not past the exponent of the subnormals; overflow and NaN.
    round: one increment; a carry out of the significand raises the exponent by itself.

    Parameters
    ----------
    width : int
        Significand bits of the product: 16 for bf16, 22 for fp16, 48 for binary32, 24 to add a binary32 number.
    integer : bool
        Integer products may come, too.
    latency : int, 1 to 5
        Cycles from ``product`` and ``addend`` to ``total``: 5 has registers after each step; 4 leaves out the ones
        after add, 3 also the ones after normalise, 2 those after align, 1 only has those after round.

    Members
    -------
    product : In(product_layout(width, integer=integer))
        The product.
    addend : In(32)
        A binary32 number, or an int32 when the product is an integer.
    total : Out(32)
        Their sum, ``latency`` cycles later.

    Raises
    ------
    ValueError
        If the latency is not 1 to 5.
    """

    def __init__(self, *, width: int, integer: bool = False, latency: int):
        if latency not in REGISTERED:
            raise ValueError(f"FusedAdd latency {latency}: give 1, 2, 3, 4 or 5")
        self.width = width
        self.integer = integer
        self.latency = latency
        # Significands are `span` bits wide, the window adds the guard bits, the sum a carry.
        self.span = max(width, SIGNIFICAND_BITS)
        self.window = self.span + GUARD_BITS
        self.sum_bits = max(self.window + 1, 32 if integer else 0)
        super().__init__({"product": In(product_layout(width, integer=integer)), "addend": In(32), "total": Out(32)})

    def elaborate(self, platform):
        m = Module()
        values = SimpleNamespace()
        for name, step in (
            ("align", self._align),
            ("add", self._add),
            ("count", self._count),
            ("normalise", self._normalise),
            ("round", self._round),
        ):
            # Signals of their own, not one struct: simulators are slow with values of more than 64 bits.
            after = SimpleNamespace()
            for key, value in step(m, values).items():
                signal = Signal(Value.cast(value).shape(), name=f"{name}_{key}", reset_less=True)
                m.d["sync" if name in REGISTERED[self.latency] else "comb"] += signal.eq(value)
                setattr(after, key, signal)
            values = after
        m.d.comb += self.total.eq(values.total)
        return m

    def _align(self, m, _):
        product, addend = self.product, self.addend
        fraction = addend[:FRACTION_BITS]
        field = addend[FRACTION_BITS:31]
        sign = addend[31]
        normal = Signal(name="addend_normal")
        m.d.comb += normal.eq(field != 0)
        ours = Cat(Const(0, self.span - SIGNIFICAND_BITS), fraction, normal)
        theirs = Cat(Const(0, self.span - self.width), product.significand)

        ahead = Signal(range(-1024, 1024), name="product_ahead")
        behind = Signal(name="product_behind")
        distance = Signal(len(ahead) - 1, name="distance")
        far = Signal(name="distance_far")
        m.d.comb += [
            ahead.eq(product.exponent - Cat(field, Const(2, 2))),
            behind.eq(ahead[-1]),
            distance.eq(Mux(behind, ~ahead, ahead)),
        ]
        # What the distance lacks is in the place where the lesser operand starts. Inverted, a negative difference is
        # one too small; and a subnormal addend has the exponent of field 1, not 0, which brings it one nearer.
        lesser = Signal(self.window, name="lesser")
        later = Mux(normal, Cat(Const(0, 2), theirs, Const(0, 1)), Cat(Const(0, 1), theirs, Const(0, 2)))
        sooner = Mux(normal, Cat(Const(0, GUARD_BITS), ours), Cat(Const(0, GUARD_BITS + 1), ours[:-1]))
        m.d.comb += lesser.eq(Mux(behind, later, sooner))

        # In steps, so that the bits lost in each are few: by eights, by twos, by one.
        bits = self.window.bit_length()
        most = 8 * ((1 << (bits - 3)) - 1)
        by_eights = Signal(self.window, name="lesser_by_eights")
        by_twos = Signal(self.window, name="lesser_by_twos")
        by_one = Signal(self.window, name="lesser_by_one")
        lost_all = Signal(name="lost_all")
        lost_eights = Signal(most, name="lost_by_eights")
        lost_rest = Signal(7, name="lost_by_less")
        m.d.comb += [
            far.eq(distance[bits:].any()),
            by_eights.eq(lesser >> Cat(Const(0, 3), distance[3:bits])),
            by_twos.eq(Mux(far, 0, by_eights >> Cat(Const(0, 1), distance[1:3]))),
            by_one.eq(by_twos >> distance[0]),
            lost_all.eq(far & Mux(behind, product.significand.any(), normal | (fraction != 0))),
            lost_eights.eq(lesser & (Const((1 << most) - 1, most) >> Cat(Const(0, 3), ~distance[3:bits]))),
            lost_rest.eq(by_eights & (Const(0x7F, 7) >> ~distance[:3])),
        ]

        special = Signal(name="addend_special")
        addend_nan = Signal()
        addend_infinite = Signal()
        infinite = Signal(name="either_infinite")
        subtract = Signal(name="signs_differ")
        m.d.comb += [
            special.eq(field == EXPONENT_ONES),
            addend_nan.eq(special & (fraction != 0)),
            addend_infinite.eq(special & (fraction == 0)),
            infinite.eq(addend_infinite | product.infinite),
            subtract.eq((sign ^ product.sign) & ~infinite),
        ]
        after = {
            "greater": Cat(Const(0, GUARD_BITS), Mux(behind, ours, theirs)),
            "lesser": Mux(subtract, ~by_one, by_one)[: self.window],
            "subtract": subtract,
            "lost_much": lost_all | lost_eights.any(),
            "lost_little": lost_rest.any(),
            "sign": Mux(Mux(infinite, addend_infinite, behind), sign, product.sign),
            "exponent": Mux(behind, Cat(field[0] | ~normal, field[1:]), product.exponent)[:EXPONENT_BITS],
            "nan": addend_nan | product.nan | (addend_infinite & product.infinite & (sign != product.sign)),
            "infinite": infinite,
        }
        if self.integer:
            pad = Const(0, self.sum_bits - self.window)
            after |= {
                "greater": Mux(product.integer, addend, after["greater"]),
                "lesser": Mux(product.integer, product.significand.as_signed(), Cat(after["lesser"], pad)),
                "subtract": subtract & ~product.integer,
                "integer": product.integer,
            }
            after["lesser"] = after["lesser"][: self.sum_bits]
        return after

    def _add(self, m, before):
        after = {key: getattr(before, key) for key in ("subtract", "sign", "exponent", "nan", "infinite")}
        if self.integer:
            after["integer"] = before.integer
        total = (before.greater + before.lesser)[: self.sum_bits]
        return after | {"sum": total, "lost": before.lost_much | before.lost_little}

    def _count(self, m, before):
        total = before.sum
        # A subtraction that does not carry out is not positive. Equal exponents may leave the greater operand second,
        # and so may a subnormal addend, whose exponent is larger than its size tells.
        carry = total[self.window]
        negative = Signal()
        magnitude = Signal(self.window + 1)
        m.d.comb += negative.eq(before.subtract & ~carry)
        m.d.comb += magnitude.eq(
            total[: self.window + 1] ^ Cat(negative.replicate(self.window), carry & before.subtract)
        )
        # The leading one of a magnitude is where the sum's bits first differ from its sign, so counting need not wait
        # for the carry. A one below them all stops the count of a sum that is short of one unit.
        changes = Signal(self.window + 2)
        above = Cat(total[1 : self.window], carry ^ before.subtract)
        m.d.comb += changes.eq(Cat(1, total[: self.window] ^ above, magnitude[-1]))
        after = {
            "magnitude": magnitude,
            "zeros": leading_zeros(m, changes, name="sum_zeros"),
            "zero": before.subtract & ~before.lost & total[: self.window].all(),
            "lost": before.lost,
            "short": before.subtract & carry & ~before.lost,
            "sign": before.sign ^ negative,
            "exponent": before.exponent,
            "nan": before.nan,
            "infinite": before.infinite,
        }
        if self.integer:
            after |= {"integer": before.integer, "integer_total": total[:32]}
        return after

    def _normalise(self, m, before):
        # The sum's top bit is worth one more than the exponent says.
        exponent = Signal(range(-1 << EXPONENT_BITS, 1 << EXPONENT_BITS), name="exponent_less_zeros")
        limited = Signal()
        tiny = Signal()
        special = Signal(name="total_special")
        amount = Signal(len(before.zeros), name="normalise_amount")
        m.d.comb += [
            exponent.eq(before.exponent - before.zeros),
            limited.eq(exponent[-1]),
            tiny.eq(limited | before.zero),
            special.eq(before.nan | before.infinite | (~tiny & (exponent[:-1] >= EXPONENT_ONES - 1))),
            amount.eq(Mux(limited, before.exponent, before.zeros)),
        ]
        bits = len(before.magnitude)
        rest = Signal(bits - SIGNIFICAND_BITS, name="rest")
        significand = Signal(SIGNIFICAND_BITS, name="significand")
        # To the left by `amount` is to the right by its inverse from a place that much higher.
        filler = before.short.replicate((1 << len(amount)) - 1)
        m.d.comb += Cat(rest, significand).eq(Cat(filler, before.magnitude) >> ~amount)
        # The first bit below the significand, and what the others make of it. A sum that is short of one unit, with
        # nothing but ones below, is the next one up: half, if the first bit is 0.
        below = rest[:-1]
        after = {
            "fraction": Mux(special, Cat(Const(0, FRACTION_BITS - 1), before.nan), significand[:FRACTION_BITS]),
            "hidden": significand[-1] & ~special,
            "exponent": Mux(special, EXPONENT_ONES, Mux(tiny, 0, exponent))[:8],
            "sign": before.sign & ~before.zero & ~before.nan,
            "half": rest[-1] & ~special,
            "beyond_half": before.lost | before.short | below.any(),
            "short_of_half": before.short & below.all() & ~special,
        }
        if self.integer:
            # An integer takes the places of a float's parts, with nothing to add.
            parts = ("fraction", "exponent", "sign")
            total = before.integer_total
            integers = (total[:FRACTION_BITS], total[FRACTION_BITS:31], total[31])
            after |= {key: Mux(before.integer, x, after[key]) for key, x in zip(parts, integers, strict=True)}
            after |= {key: after[key] & ~before.integer for key in ("hidden", "half", "short_of_half")}
        return after

    def _round(self, m, before):
        odd = before.fraction[0]
        round_up = Mux(before.half, before.beyond_half | odd, before.short_of_half & odd)
        increment = Cat(round_up, Const(0, FRACTION_BITS - 1), before.hidden)
        magnitude = Signal(31, name="rounded")
        m.d.comb += magnitude.eq(Cat(before.fraction, before.exponent) + increment)
        return {"total": Cat(magnitude, before.sign)}
