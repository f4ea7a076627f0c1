"""A value some cycles later, for what must keep step with a pipeline."""

from amaranth import Module, Signal, ValueLike


def delayed(m: Module, value: ValueLike, cycles: int, *, name: str, reset: bool = False) -> ValueLike:
    """``value`` after ``cycles`` registers of module ``m``, by default without reset; for many use `DelayLine`."""
    for place in range(cycles):
        register = Signal.like(value, name=f"{name}_{place}", reset_less=not reset)
        m.d.sync += register.eq(value)
        value = register
    return value
