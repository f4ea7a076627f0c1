"""Numbers of flits: how long they are, and what a received one stands for."""

from amaranth import Module, Mux, Signal, Value

NUMBER_BITS = 24
"""Of a flit's number at both sides, from 0 at the start, modulo 2^24. Its low 8 bits are sent; all are in the CRC."""

HIGH_BITS = 16
"""The rest of it, which the CRC has."""


def ahead(m: Module, number: Value, base: Value, *, name: str) -> Signal:
    """How far an 8-bit number is ahead of ``base``, modulo 256."""
    distance = Signal(8, name=name)
    m.d.comb += distance.eq(number[:8] - base[:8])
    return distance


def later(m: Module, base: Value, distance: Value, *, name: str) -> Signal:
    """The number that is ``distance`` after ``base``."""
    number = Signal(NUMBER_BITS, name=name)
    m.d.comb += number.eq(base + distance)
    return number


def high_of(m: Module, low: Value, base: Value, back: Value, *, name: str) -> Signal:
    """The high bits of the number nearest to ``base`` with these low 8 bits: at or after it, or before it if ``back``.

    Two sums of 16 bits that depend on ``base`` alone, and a choice.
    """
    high = Signal(HIGH_BITS, name=name)
    above, below = base[8:] + 1, base[8:] - 1
    smaller = low < base[:8]
    m.d.comb += high.eq(Mux(back, Mux(smaller, base[8:], below), Mux(smaller, above, base[8:])))
    return high
