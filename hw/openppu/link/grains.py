"""Moving grains: shifts of wide values by a number of them, or of bytes."""

from amaranth import Cat, Const, Module, Mux, Signal, Value

from openppu.link.config import GRAIN, HEADER_BYTES

GRAIN_BITS = 8 * GRAIN
HEADER_GRAINS = HEADER_BYTES // GRAIN


def moved_up(m: Module, value: Value, places: Value, *, width: int, name: str, unit: int = GRAIN_BITS) -> Value:
    """``value`` shifted towards the higher bits by ``places`` times ``unit`` bits; ``width`` bits of it are kept."""
    for bit, move in enumerate(places):
        moved = Signal(width, name=f"{name}_{1 << bit}")
        m.d.comb += moved.eq(Mux(move, Cat(Const(0, unit << bit), value), value))
        value = moved
    return value


def moved_down(m: Module, value: Value, places: Value, *, name: str, unit: int = GRAIN_BITS) -> Value:
    """``value`` shifted towards the lower bits by ``places`` times ``unit`` bits."""
    for bit, move in enumerate(places):
        moved = Signal(len(value), name=f"{name}_{1 << bit}")
        m.d.comb += moved.eq(Mux(move, value[unit << bit :], value))
        value = moved
    return value
