"""What one lane sends: training blocks, scrambled data, skip words, or a test pattern."""

from amaranth import Array, Cat, Const, Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.block import BLOCK_BITS, HALF_BITS, MASK, SYNC, block_words, lane_part
from openppu.link.prbs import Pattern, PrbsGenerator
from openppu.link.scrambler import Scrambler

SKIP = 0x96A5_5A69_C33C_F00F
"""A skip word is the lowest bits of this, unscrambled."""


class Sends(enum.Enum, shape=2):
    """What a lane sends in a clock."""

    BLOCK = 0
    DATA = 1
    SKIP = 2
    TEST = 3


class LaneTransmit(wiring.Component):
    """Sends one lane's words. Latency: 1 clock. Throughput: a word a clock.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    lane : In(4)
        The lane's number; a constant.
    logical, active : In(4), In(1)
        Its place among the active lanes, if it is one.
    what : In(Sends)
        `DATA` begins behind a whole block at the earliest.
    half : In(64)
        Second half of the block, as `openppu.link.block.second_half` makes it of the fields common to all lanes.
    place : In
        Which word of the block.
    word : In(bits)
        Data.
    pattern : In(Pattern)
    send : Out(bits)

    Raises
    ------
    ValueError
        If a block is not made of whole words, two or more.
    """

    def __init__(self, bits: int):
        if BLOCK_BITS % bits or bits > HALF_BITS:
            raise ValueError(f"LaneTransmit bits = {bits}: a block has {BLOCK_BITS} bits and two words or more")
        self.bits = bits
        super().__init__(
            {
                "lane": In(4),
                "logical": In(4),
                "active": In(1),
                "what": In(Sends),
                "half": In(HALF_BITS),
                "place": In(range(block_words(bits))),
                "word": In(bits),
                "pattern": In(Pattern),
                "send": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.scrambler = scrambler = Scrambler(self.bits)
        m.submodules.prbs = prbs = PrbsGenerator(self.bits)
        m.d.comb += [
            scrambler.lane.eq(self.lane),
            scrambler.restart.eq((self.what == Sends.BLOCK) & (self.place == 0)),
            scrambler.advance.eq(self.what == Sends.DATA),
            prbs.pattern.eq(self.pattern),
            prbs.enable.eq(self.what == Sends.TEST),
        ]

        second = Signal(HALF_BITS)
        m.d.comb += second.eq(self.half ^ lane_part(self.lane, self.logical, self.active) ^ MASK)
        block = Cat(Const(SYNC, HALF_BITS), second)
        block_word = Signal(self.bits)
        m.d.comb += block_word.eq(
            Array(block[at : at + self.bits] for at in range(0, BLOCK_BITS, self.bits))[self.place]
        )

        with m.Switch(self.what):
            with m.Case(Sends.BLOCK):
                m.d.sync += self.send.eq(block_word)
            with m.Case(Sends.DATA):
                m.d.sync += self.send.eq(self.word ^ scrambler.key)
            with m.Case(Sends.SKIP):
                m.d.sync += self.send.eq(Const(SKIP, HALF_BITS)[: self.bits])
            with m.Case(Sends.TEST):
                m.d.sync += self.send.eq(prbs.word)
        return m
