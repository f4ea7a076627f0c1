"""Proofs of a flit's forward error correction: whatever it holds, a wrong byte in each code word is mended.

All that is made of a flit here is a sum (XOR) of what is made of each of its bytes, so what the syndromes of a wrong
flit are is what those of its wrong bytes are, the rest being zero. Expected values are worked out with the arithmetic
of `openppu_sim.reference.link_flit`.
"""

from dataclasses import replace

from amaranth import Cat, Const, Module, Mux, Signal, Value
from openppu.link.config import FEC_BYTES, FLIT_BYTES, LinkConfig
from openppu.link.fec import CODES, BeatSyndromes, Locate, check_bytes
from openppu_sim.reference.link_flit import multiply

from openppu_verif.formal.harness import Harness

CONFIG = LinkConfig(ports=1, lanes=16, lane_bits=64, fec=True)
"""Flits of two beats: the fewest cycles."""

SMALLER = replace(CONFIG, lane_bits=32)
"""Flits of four beats, which divide into code words in another order."""

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


def double(code: int) -> Harness:
    """Two wrong bytes of a code word never look like none; where they look like one, it is within the word.

    What is changed then is a third byte, or one of the two by another value: the CRC tells.
    """
    h = Harness()
    h.m.submodules.dut = dut = Locate()
    places = [h.free(f"{name}_place", PLACE_BITS) for name in ("first", "second")]
    values = [h.free(f"{name}_value", 8) for name in ("first", "second")]
    first, second = (
        _weighted(h.m, place, value, code, f"weighted_{number}")
        for number, (place, value) in enumerate(zip(places, values, strict=True))
    )
    h.m.d.comb += [
        dut.syndromes.sum[code].eq(values[0] ^ values[1]),
        dut.syndromes.weighted[code].eq(first ^ second),
    ]
    two = (places[0] < places[1]) & (places[1] < _length(code)) & values[0].any() & values[1].any()
    h.check(dut.syndromes.sum[code].any() | dut.syndromes.weighted[code].any(), when=two)
    fix = dut.fixes[code]
    within = Cat(fix.byte == byte for byte in range(code, FLIT_BYTES, CODES)).any()
    h.check(within, when=h.history(two, 1, "two")[1] & fix.change.any())
    return h


def syndromes(config: LinkConfig = CONFIG) -> Harness:
    """A flit of zeros but for one byte, any by any value: the sums of its code word are as defined, the others zero."""
    h = Harness()
    m = h.m
    index, place, value, word = _flit(h, config, FLIT_BYTES)
    m.submodules.received = received = BeatSyndromes(config, last=config.beats - 1)
    m.d.comb += [received.beat.eq(word), received.index.eq(index), received.step.eq(1)]
    begun = Signal()
    with m.If(index == 0):
        m.d.sync += begun.eq(1)
    done = begun & (index == config.beats - 1)
    weighted = Signal(8)
    owner = Signal(range(CODES))
    with m.Switch(place):
        for byte in range(FLIT_BYTES):
            with m.Case(byte):
                m.d.comb += [weighted.eq(_times(POWERS[_exponent(byte)], value)), owner.eq(byte % CODES)]
    for code in range(CODES):
        mine = owner == code
        h.check(received.value.sum[code] == Mux(mine, value, 0), when=done)
        h.check(received.value.weighted[code] == Mux(mine, weighted, 0), when=done)
    return h


def check(config: LinkConfig = CONFIG) -> Harness:
    """The check bytes of a flit of zeros but for one byte of data make all its sums zero."""
    h = Harness()
    m = h.m
    size, last, data_bytes = config.beat_bytes, config.beats - 1, FLIT_BYTES - FEC_BYTES
    index, _, _, word = _flit(h, config, data_bytes)
    m.submodules.sent = sent = BeatSyndromes(config, last=(data_bytes - 1) // size)
    m.submodules.back = back = BeatSyndromes(config, last=last)
    parity = Signal(8 * size)
    m.d.comb += [
        sent.beat.eq(word),
        sent.index.eq(index),
        sent.step.eq(1),
        parity.eq(Mux(index == last, Cat(Const(0, 8 * (data_bytes - last * size)), check_bytes(m, sent.value)), 0)),
        back.beat.eq(word | parity),
        back.index.eq(index),
        back.step.eq(1),
    ]
    begun = Signal()
    with m.If(index == 0):
        m.d.sync += begun.eq(1)
    h.check(~Value.cast(back.value).any(), when=begun & (index == last))
    return h


def _flit(h: Harness, config: LinkConfig, count: int) -> tuple[Signal, Value, Value, Signal]:
    """A flit that is zero but for one byte of the first ``count``: the beat's index, the byte's place and value in the
    flit, and the beat."""
    m, size, beats = h.m, config.beat_bytes, config.beats
    index, word = Signal(range(beats)), Signal(8 * size)
    m.d.sync += index.eq(Mux(index == beats - 1, 0, index + 1))
    drawn = [h.free("place", 8), h.free("value", 8)]
    kept = [Signal.like(each, name=f"{each.name}_kept") for each in drawn]
    with m.If(index == 0):
        m.d.sync += [old.eq(new) for old, new in zip(kept, drawn, strict=True)]
    place, value = (Mux(index == 0, new, old) for new, old in zip(drawn, kept, strict=True))
    for byte in range(size):
        there = [beat * size + byte for beat in range(beats) if beat * size + byte < count]
        here = Cat((place == each) & (index == each // size) for each in there).any()
        m.d.comb += word.word_select(byte, 8).eq(Mux(here, value, 0))
    return index, place, value, word
