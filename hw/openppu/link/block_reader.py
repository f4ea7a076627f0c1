"""Finds training blocks in a lane's words, once these are cut at the right bit."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.link.block import (
    CRC_BITS,
    CRC_POLYNOMIAL,
    CRC_START,
    FIELD_BITS,
    GOOD_CRC,
    HALF_BITS,
    MASK,
    SYNC,
    Fields,
)
from openppu.link.shift_register import crc_steps, product


class BlockReader(wiring.Component):
    """Looks for the sync pattern at every word, and checks the CRC of what follows it.

    Latency: 1 clock from the last word of a block to ``good``. Throughput: a word a clock.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    word, valid : In(bits), In(1)
    sync, inverted : Out(1)
        The last 64 bits are the sync pattern, or its inverse; for a clock.
    good : Out(1)
        A block has ended whose CRC is right and whose words are as long as these; for a clock.
    fields : Out(Fields)
        With ``good``, of that block.
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__(
            {
                "word": In(bits),
                "valid": In(1),
                "sync": Out(1),
                "inverted": Out(1),
                "good": Out(1),
                "fields": Out(Fields),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = HALF_BITS // self.bits
        recent = Signal(HALF_BITS)
        pushed = Signal()
        m.d.sync += pushed.eq(self.valid)
        with m.If(self.valid):
            m.d.sync += recent.eq(Cat(recent, self.word)[self.bits :])

        crc, count = Signal(CRC_BITS), Signal(range(words + 1))
        reading = Signal()
        begun, taken = Signal(CRC_BITS), Signal(range(words + 1))
        m.d.comb += [
            self.sync.eq(pushed & (recent == SYNC)),
            self.inverted.eq(pushed & (recent == ~Const(SYNC, HALF_BITS))),
            begun.eq(Mux(self.sync, CRC_START, crc)),
            taken.eq(Mux(self.sync, 0, count)),
        ]
        with m.If(self.sync | reading):
            rows = crc_steps(CRC_POLYNOMIAL, CRC_BITS, self.bits)
            m.d.sync += [
                reading.eq(1),
                crc.eq(Mux(self.valid, product(rows, begun, self.word), begun)),
                count.eq(taken + self.valid),
            ]

        code = (self.bits // 16).bit_length() - 1
        m.d.comb += self.fields.eq((recent ^ MASK)[:FIELD_BITS])
        with m.If(reading & ~self.sync & (count == words)):
            m.d.sync += reading.eq(0)
            m.d.comb += self.good.eq((crc == GOOD_CRC) & (self.fields.word == code))
        return m
