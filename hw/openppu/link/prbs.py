"""Pseudo-random bits to measure a lane with: generator and checker."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.ones import ones
from openppu.link.shift_register import product, steps


class Pattern(enum.Enum, shape=2):
    """The sequences of ITU-T O.150, none inverted: each bit is the XOR of the two that came so long before."""

    PRBS7 = 0
    PRBS15 = 1
    PRBS23 = 2
    PRBS31 = 3


TAPS = {Pattern.PRBS7: (7, 6), Pattern.PRBS15: (15, 14), Pattern.PRBS23: (23, 18), Pattern.PRBS31: (31, 28)}

STATE_BITS = 31

LOCK_WORDS = 8
"""Right words in a row, after which the checker trusts its own sequence."""

LOSS_WORDS = 16
"""Wrong words in a row, after which it takes the sequence from the line again."""


def next_word(pattern: Signal, recent: Value, bits: int) -> Value:
    """The next ``bits`` of a sequence, after its last `STATE_BITS` bits, the oldest lowest."""
    words = []
    for taps in TAPS.values():
        length = max(taps)
        out, _ = steps(taps, length + bits)
        words.append(product([row << STATE_BITS - length for row in out[length:]], recent))
    low = Mux(pattern.as_value()[0], words[1], words[0])
    high = Mux(pattern.as_value()[0], words[3], words[2])
    return Mux(pattern.as_value()[1], high, low)


def pushed(recent: Value, word: Value) -> Value:
    """The last `STATE_BITS` bits after a word."""
    return Cat(recent, word)[-STATE_BITS:]


class PrbsGenerator(wiring.Component):
    """Makes a word of a sequence each clock, from all ones on while it is not enabled. Latency: 0.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    pattern : In(Pattern)
    enable : In(1)
    word : Out(bits)
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__({"pattern": In(Pattern), "enable": In(1), "word": Out(bits)})

    def elaborate(self, platform):
        m = Module()
        recent = Signal(STATE_BITS, init=-1)
        m.d.comb += self.word.eq(next_word(self.pattern, recent, self.bits))
        m.d.sync += recent.eq(Mux(self.enable, pushed(recent, self.word), Const(-1, STATE_BITS)))
        return m


class PrbsChecker(wiring.Component):
    """Compares a lane's words with a sequence that it takes from the lane itself, and counts wrong bits.

    It need not know where words begin, nor the polarity. Once it has locked, it goes on by itself, so that a wrong bit
    counts once.

    Parameters
    ----------
    bits : int
        Of a word.

    Members
    -------
    pattern : In(Pattern)
    enable : In(1)
    word : In(bits)
    valid : In(1)
    locked : Out(1)
    wrong : Out(range(bits + 1))
        Wrong bits of a word that came two clocks before; zero without lock.
    """

    def __init__(self, bits: int):
        self.bits = bits
        super().__init__(
            {
                "pattern": In(Pattern),
                "enable": In(1),
                "word": In(bits),
                "valid": In(1),
                "locked": Out(1),
                "wrong": Out(range(bits + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        recent = Signal(STATE_BITS)
        expected, difference, counted = Signal(self.bits), Signal(self.bits), Signal(self.bits)
        right, wrong = Signal(range(LOCK_WORDS)), Signal(range(LOSS_WORDS))
        word, inverse = Signal(self.bits), Signal()
        # What an inverted sequence differs in from the one expected after it.
        crossed = Signal(self.bits)
        m.d.comb += [
            crossed.eq(~next_word(self.pattern, Const(-1, STATE_BITS), self.bits)),
            word.eq(self.word ^ inverse.replicate(self.bits)),
            expected.eq(next_word(self.pattern, recent, self.bits)),
            difference.eq(expected ^ word),
            self.locked.eq(self.enable & (right == LOCK_WORDS - 1)),
        ]
        m.d.sync += [counted.eq(0), self.wrong.eq(ones(counted))]
        with m.If(~self.enable):
            m.d.sync += [right.eq(0), wrong.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += recent.eq(pushed(recent, Mux(self.locked, expected, word)))
            with m.If(self.locked):
                m.d.sync += [counted.eq(difference), wrong.eq(Mux(difference.any(), wrong + 1, 0))]
                with m.If(difference.any() & (wrong == LOSS_WORDS - 1)):
                    m.d.sync += right.eq(0)
            with m.Else():
                # A lane of zeros follows every sequence: it is none.
                m.d.sync += right.eq(Mux(difference.any() | ~word.any(), 0, right + 1))
                with m.If(difference == crossed):
                    m.d.sync += [inverse.eq(~inverse), recent.eq(~pushed(recent, word))]
        return m
