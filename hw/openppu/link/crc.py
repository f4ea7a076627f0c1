"""The CRC of a flit, a beat at a time.

Bits are taken in the order in which they are sent: bit 0 of byte 0 first. The polynomials:

- 16 bits: x^16 + x^15 + x^2 + 1, which UCIe takes for its flits. Any two flits that are right differ in 4 bits or more.
- 32 bits: CRC-32C (Castagnoli, Bräuer, Herrmann, "Optimization of Cyclic Redundancy-Check Codes with 24 and 32 Parity
  Bits", IEEE Trans. Commun. 41(6), 1993). They differ in 6 bits or more.
- 64 bits: that of ECMA-182, as CRC-64/XZ has it.

Each register begins with ones and is sent inverted, so the check values of the 9 bytes "123456789" are those of
CRC-16/USB, CRC-32C and CRC-64/XZ: B4C8, E3069283, 995DC9BBDF1939FA. Then, which no check value shows, bits 8 to 23 of
the flit's number are added (XOR) to the lowest bits: a flit that is taken for one of 256 earlier or later fails.
"""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig

POLYNOMIALS = {16: 0x1_8005, 32: 0x1_1EDC_6F41, 64: 0x1_42F0_E1EB_A9EA_3693}
"""By their degree; bit k is the coefficient of x^k."""


def power(exponent: int, bits: int) -> int:
    """x to the power of ``exponent``, which may be negative, modulo the polynomial of so many bits."""
    polynomial = POLYNOMIALS[bits]
    value = 1
    for _ in range(exponent):
        value = times_x(value, bits)
    for _ in range(-exponent):
        value = (value ^ polynomial if value & 1 else value) >> 1
    return value


def times_x(value: int, bits: int) -> int:
    """A polynomial times x, modulo that of so many bits."""
    return value << 1 ^ (POLYNOMIALS[bits] if value >> bits - 1 & 1 else 0)


def register_of(value: int, bits: int) -> int:
    """A polynomial as the register has it: the coefficient of the highest power in bit 0, for it is sent first."""
    return int(f"{value:0{bits}b}"[::-1], 2)


def transform(columns: list[int], value: Value, bits: int) -> Value:
    """The sum (XOR) of the columns of those bits that are set in ``value``: a matrix times a vector, over GF(2)."""
    masks = [sum((column >> row & 1) << place for place, column in enumerate(columns)) for row in range(bits)]
    return Cat((value & mask).xor() for mask in masks)


class BeatCrc(wiring.Component):
    """Gives the CRC of a flit as its beats come.

    It does not see what is from `LinkConfig.crc_place` on. Latency: 0 cycles. Throughput: a beat a cycle.

    Members
    -------
    beat : In(8 * beat_bytes)
    index : In(range(beats))
        Which of the flit's beats it is; 0 begins a new flit.
    step : In(1)
        There is a beat.
    value : Out(crc_bits)
        The CRC, with the beat that carries its last byte and those behind it.
    before : Out(crc_bits)
        The same in the cycles from the next one on, until a new flit begins and has its first beat.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "beat": In(8 * config.beat_bytes),
                "index": In(range(config.beats)),
                "step": In(1),
                "value": Out(config.crc_bits),
                "before": Out(config.crc_bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits, size, place = self.config.crc_bits, self.config.beat_bytes, self.config.crc_place
        last, covered = divmod(place - 1, size)
        # The register is held divided by x for each bit of the last beat that does not count, so that all beats have
        # the same matrices, and it is the CRC when the last one is in.
        unused = 8 * (size - 1 - covered)
        column, columns = power(bits - unused, bits), []
        for _ in range(8 * size):
            columns.append(register_of(column, bits))
            column = times_x(column, bits)
        columns.reverse()
        column, advance = power(8 * size, bits), []
        for _ in range(bits):
            advance.append(register_of(column, bits))
            column = times_x(column, bits)
        advance.reverse()
        ones = (1 << bits) - 1
        start = 0
        for bit in range(bits):
            start ^= register_of(power(bits - 1 - bit - unused, bits), bits)

        register = Signal(bits)
        seen = Signal(8 * size)
        begun = Signal(bits)
        after = Signal(bits)
        with_beat = Signal(bits)
        m.d.comb += [
            seen.eq(Mux(self.index == last, self.beat & ((1 << 8 * (covered + 1)) - 1), self.beat)),
            begun.eq(Mux(self.index == 0, Const(start, bits), register)),
            with_beat.eq(transform(advance, begun, bits) ^ transform(columns, seen, bits)),
            after.eq(Mux(self.index > last, register, with_beat) if last < self.config.beats - 1 else with_beat),
            self.value.eq(after ^ ones),
            self.before.eq(register ^ ones),
        ]
        with m.If(self.step):
            m.d.sync += register.eq(after)
        return m
