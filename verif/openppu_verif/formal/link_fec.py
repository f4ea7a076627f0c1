"""Proofs of a flit's forward error correction: whatever it holds, a wrong byte in each code word is mended.

All that is made of a flit here is a sum (XOR) of what is made of each of its bytes, so what the syndromes of a wrong
flit are is what those of its wrong bytes are, the rest being zero. Expected values are worked out with the arithmetic
of `openppu_sim.reference.link_flit`.
"""

from amaranth import Cat, Module, Signal, Value
from openppu.link.config import FLIT_BYTES
from openppu.link.fec import CODES, Locate
from openppu_sim.reference.link_flit import multiply

from openppu_verif.formal.harness import Harness

PLACE_BITS = 7
"""Of a byte's place in its code word."""


def _powers() -> list[int]:
    powers = [1]
    while len(powers) < 256:
        powers.append(multiply(powers[-1], 2))
    return powers


POWERS = _powers()


def _exponent(byte: int) -> int:
    """The power of z whose coefficient in its code word a byte of the flit is."""
    return (255 - byte) // CODES


def _times(factor: int, value: Value) -> Value:
    """A byte times a constant: bit k of the result is the sum of the bits that bring it."""
    return Cat(Cat(value[bit] for bit in range(8) if multiply(factor, 1 << bit) >> out & 1).xor() for out in range(8))


def _weighted(m: Module, place: Value, value: Value, code: int, name: str) -> Signal:
    """What the byte at a place of a code word adds to the weighted sum; none at a place behind its end."""
    result = Signal(8, name=name)
    with m.Switch(place):
        for number, byte in enumerate(range(code, FLIT_BYTES, CODES)):
            with m.Case(number):
                m.d.comb += result.eq(_times(POWERS[_exponent(byte)], value))
    return result


def _length(code: int) -> int:
    """Bytes of a code word."""
    return len(range(code, FLIT_BYTES, CODES))


def location(code: int) -> Harness:
    """A wrong byte of a code word, any by any value, is found, and so is none."""
    h = Harness()
    h.m.submodules.dut = dut = Locate()
    place, value = h.free("place", PLACE_BITS), h.free("value", 8)
    h.m.d.comb += [
        dut.syndromes.sum[code].eq(value),
        dut.syndromes.weighted[code].eq(_weighted(h.m, place, value, code, "weighted")),
    ]
    inside = h.history(place < _length(code), 1, "inside")[1]
    place_was, value_was = h.history(place, 1, "place")[1], h.history(value, 1, "value")[1]
    fix = dut.fixes[code]
    h.check(fix.change == value_was, when=inside)
    h.check(fix.byte == code + CODES * place_was, when=inside & value_was.any())
    return h
