"""A value some cycles later, for what must keep step with a pipeline."""

from amaranth import Module, Signal, ValueLike


def delayed(m: Module, value: ValueLike, cycles: int, *, name: str) -> ValueLike:
    """``value`` after ``cycles`` registers of module ``m``, without reset; for many cycles use `DelayLine`."""
    for place in range(cycles):
        register = Signal.like(value, name=f"{name}_{place}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value
