"""Counting leading zeros."""

from amaranth import Cat, Const, Module, Mux, Signal, Value


def leading_zeros(m: Module, value: Value, *, name: str) -> Signal:
    """A new signal of module ``m`` with the number of zeros above the leading one of ``value``.

    Combinational; halves the value at each step, so its depth is ``log2`` of the width. For a value of 0 the result is
    the largest that the steps give, which is at least ``len(value) - 1``.
    """
    levels = max(1, (len(value) - 1).bit_length())
    window = Cat(Const(0, (1 << levels) - len(value)), value)
    bits: list[Value] = []
    for level in reversed(range(levels)):
        half = 1 << level
        empty = Signal(name=f"{name}_empty_{half}")
        rest = Signal(half, name=f"{name}_top_{half}")
        m.d.comb += empty.eq(window[half:] == 0)
        m.d.comb += rest.eq(Mux(empty, window[:half], window[half:]))
        bits.insert(0, empty)
        window = rest
    count = Signal(levels, name=name)
    m.d.comb += count.eq(Cat(*bits))
    return count
