"""Forward error correction of a flit: three interleaved codes, each of which corrects one wrong byte.

Byte i of the flit is in code word i modulo 3, so three neighbouring wrong bytes are one in each. Byte i is the
coefficient of z^((255 - i) div 3); the code words are the multiples of (z + 1)(z + a) over the field GF(256) of
x^8 + x^4 + x^3 + x^2 + 1, a = 2: Reed-Solomon codes with two check bytes each (`openppu.common.symbol_code` says
where they are from), which are the flit's last six bytes. They are corrected alone; whether the result is right, the
CRC tells.
"""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.symbol_code import product
from openppu.link.config import FEC_BYTES, FLIT_BYTES, LinkConfig
from openppu.link.crc import transform

CODES = 3


def _powers() -> tuple[int, ...]:
    powers = [1]
    while len(powers) < 255:
        powers.append(product(powers[-1], 2))
    return tuple(powers)


POWERS = _powers()
"""Of a, from 0 to 254; a^255 is 1 again."""


def times(factor: int, value: Value) -> Value:
    """A byte times a constant of the field."""
    return transform([product(factor, 1 << bit) for bit in range(8)], value, 8)


def syndromes_layout() -> data.StructLayout:
    """Of the code words: the sums of their bytes, and of their bytes times a to the power of their place."""
    return data.StructLayout({"sum": data.ArrayLayout(8, CODES), "weighted": data.ArrayLayout(8, CODES)})


def fix_layout() -> data.StructLayout:
    """A byte of a flit, and what it is to be changed by; zero for nothing."""
    return data.StructLayout({"byte": range(FLIT_BYTES), "change": 8})


class BeatSyndromes(wiring.Component):
    """Gives the syndromes of a flit as its beats come.

    Latency: 0 cycles. Throughput: a beat a cycle.

    Parameters
    ----------
    config : LinkConfig
    last : int
        The index of the beat that is the last to count.

    Members
    -------
    beat : In(8 * beat_bytes)
    index : In(range(beats))
        Which of the flit's beats it is; 0 begins a new flit.
    step : In(1)
        There is a beat.
    value : Out(syndromes_layout)
        With the beat ``last`` and those behind it.
    """

    def __init__(self, config: LinkConfig, *, last: int):
        self.config = config
        self.last = last
        super().__init__(
            {
                "beat": In(8 * config.beat_bytes),
                "index": In(range(config.beats)),
                "step": In(1),
                "value": Out(syndromes_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size = self.config.beat_bytes
        # The place of byte j of beat b is q + (s - j) div 3, with 255 - size * b = 3 * q + s.
        phases = [-size * index % CODES for index in range(self.last + 1)]
        phase = Signal(range(CODES))
        before = Signal(range(CODES))
        m.d.comb += phase.eq(Mux(self.index == 0, 0, before))
        with m.If(self.step):
            m.d.sync += before.eq(Mux(phase >= size % CODES, phase - size % CODES, phase + CODES - size % CODES))

        # By the place in the beat: byte 3 * k + r counts a^(-k), and a^(-1) more if s is less than r.
        plain = [Signal(8, name=f"plain_{r}") for r in range(CODES)]
        weighted = [Signal(8, name=f"weighted_{r}") for r in range(CODES)]
        for r in range(CODES):
            bits = Signal(8 * len(range(r, size, CODES)), name=f"bytes_{r}")
            m.d.comb += bits.eq(Cat(self.beat[8 * j : 8 * (j + 1)] for j in range(r, size, CODES)))
            ones = [1 << bit % 8 for bit in range(len(bits))]
            columns = [product(POWERS[-(bit // 8) % 255], 1 << bit % 8) for bit in range(len(bits))]
            total = transform(columns, bits, 8) if len(bits) else 0
            m.d.comb += plain[r].eq(transform(ones, bits, 8) if len(bits) else 0)
            less = Signal(8, name=f"less_{r}")
            m.d.comb += [less.eq(total), weighted[r].eq(Mux(phase < r, times(POWERS[-1], less), less) if r else less)]

        # By code word; those of the beats before are moved up by as many places as the beat has.
        register = Signal(syndromes_layout())
        after = Signal(syndromes_layout())
        with m.Switch(phase):
            for s in range(CODES):
                with m.Case(s):
                    earlier = (s + size) % CODES
                    moved = POWERS[(size + s - earlier) // CODES]
                    for code in range(CODES):
                        r = (code + s) % CODES
                        m.d.comb += [
                            after.sum[code].eq(register.sum[code] ^ plain[r]),
                            after.weighted[code].eq(times(moved, register.weighted[code]) ^ weighted[r]),
                        ]
        with m.If(self.index == 0):
            m.d.comb += [after.sum[code].eq(plain[code]) for code in range(CODES)]
            m.d.comb += [after.weighted[code].eq(weighted[code]) for code in range(CODES)]
        if self.last < self.config.beats - 1:
            with m.If(self.index > self.last):
                m.d.comb += after.eq(register)
        with m.If(self.step):
            m.d.sync += register.eq(after)
        scale = POWERS[(255 - size * self.last - phases[-1]) // CODES]
        m.d.comb += self.value.sum.eq(after.sum)
        m.d.comb += [self.value.weighted[code].eq(times(scale, after.weighted[code])) for code in range(CODES)]
        return m


def check_bytes(m: Module, syndromes: data.View) -> Signal:
    """The flit's last six bytes, from the syndromes of all before them."""
    check = Signal(8 * FEC_BYTES)
    inverse = next(each for each in range(1, 256) if product(each, 1 ^ 2) == 1)
    for code in range(CODES):
        # With the check bytes at places 1 and 0, both syndromes become zero.
        both, upper = Signal(8, name=f"both_{code}"), Signal(8, name=f"upper_{code}")
        m.d.comb += [both.eq(syndromes.sum[code] ^ syndromes.weighted[code]), upper.eq(times(inverse, both))]
        first = (code - (FLIT_BYTES - FEC_BYTES)) % CODES
        m.d.comb += [
            check.word_select(first, 8).eq(upper),
            check.word_select(first + CODES, 8).eq(upper ^ syndromes.sum[code]),
        ]
    return check


class Locate(wiring.Component):
    """Finds the wrong byte of each code word.

    Latency: 1 cycle. Throughput: a flit a cycle.

    Members
    -------
    syndromes : In(syndromes_layout)
    fixes : Out(a fix_layout a code word)
        Of the syndromes of the cycle before.
    """

    def __init__(self) -> None:
        super().__init__({"syndromes": In(syndromes_layout()), "fixes": Out(data.ArrayLayout(fix_layout(), CODES))})

    def elaborate(self, platform):
        m = Module()
        logarithms = [0] * 256
        for exponent, value in enumerate(POWERS):
            logarithms[value] = exponent
        m.submodules.table = table = memory.Memory(shape=8, depth=256, init=logarithms)
        held = Signal(syndromes_layout())
        m.d.sync += held.eq(self.syndromes)
        for code in range(CODES):
            ports = [table.read_port(), table.read_port()]
            place = Signal(9, name=f"place_{code}")
            highest = FLIT_BYTES - 1 - -code % CODES
            difference = ports[1].data - ports[0].data
            found = held.sum[code].any() & held.weighted[code].any() & (place <= highest // CODES)
            m.d.comb += [
                ports[0].addr.eq(self.syndromes.sum[code]),
                ports[1].addr.eq(self.syndromes.weighted[code]),
                place.eq(Mux(difference < 0, difference + 255, difference)),
                self.fixes[code].byte.eq(highest - CODES * place),
                self.fixes[code].change.eq(Mux(found, held.sum[code], 0)),
            ]
        return m
