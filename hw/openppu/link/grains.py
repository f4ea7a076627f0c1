"""Moving grains: shifts of wide values by a number of grains."""

from amaranth import Cat, Const, Module, Mux, Signal, Value

from openppu.link.config import GRAIN, HEADER_BYTES

GRAIN_BITS = 8 * GRAIN
HEADER_GRAINS = HEADER_BYTES // GRAIN


def moved_up(m: Module, value: Value, places: Value, *, grains: int, name: str) -> Value:
    """``value`` shifted towards the higher grains by ``places``; ``grains`` of it are kept."""
    for bit, move in enumerate(places):
        moved = Signal(grains * GRAIN_BITS, name=f"{name}_{1 << bit}")
        m.d.comb += moved.eq(Mux(move, Cat(Const(0, GRAIN_BITS << bit), value), value))
        value = moved
    return value


def moved_down(m: Module, value: Value, places: Value, *, name: str) -> Value:
    """``value`` shifted towards the lower grains by ``places``."""
    for bit, move in enumerate(places):
        moved = Signal(len(value), name=f"{name}_{1 << bit}")
        m.d.comb += moved.eq(Mux(move, value[GRAIN_BITS << bit :], value))
        value = moved
    return value
