"""The check bits of an access, by the configured code, and what they correct."""

from amaranth import Cat, Const, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common import secded, symbol_code
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import CHECK_BITS, DATA_BITS

BEATS = DATA_BITS // secded.DATA_BITS

POISON = 0x7F7F7F7F
"""What inverts the check bits of a poisoned word: seven of each beat's eight.

With SECDED the syndrome of each beat has odd weight and is no column: any one more wrong bit in a beat makes the weight
even, which no column has. With symbols the syndrome is that of no one or two wrong symbols, so with one more wrong
symbol it is still that of no single one. So a poisoned word is uncorrectable whatever one bit of each beat, or one
symbol, suffers besides.
"""


def check_bits(config: ChannelConfig, word: Value) -> Value:
    """The 32 check bits of an access's 256 data bits, as an expression."""
    if config.ecc == "secded":
        return Cat(secded.check_bits(word.word_select(beat, secded.DATA_BITS)) for beat in range(BEATS))
    return symbol_code.check_bits(word)


def syndrome(config: ChannelConfig, data: Value, check: Value) -> Value:
    """Of what was read, as an expression: zeros if it is right, or there is no code."""
    return Const(0, CHECK_BITS) if config.ecc == "none" else check_bits(config, data) ^ check


class Correct(wiring.Component):
    """Corrects an access by its `syndrome`. Combinational.

    Members
    -------
    i : In(256)
    syndrome : In(32)
    o : Out(256)
        Corrected, as far as that can be done.
    corrected : Out(1)
        Something was, and what is said to be uncorrectable excepted, ``o`` is right.
    symbol : Out(6)
        With ``ecc="symbol"``, which symbol was corrected, else 0.
    uncorrectable : Out(1)
        Something could not be corrected.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "i": In(DATA_BITS),
                "syndrome": In(CHECK_BITS),
                "o": Out(DATA_BITS),
                "corrected": Out(1),
                "symbol": Out(range(symbol_code.SYMBOLS)),
                "uncorrectable": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.config.ecc == "secded":
            beats = [secded.SecdedCorrect() for _ in range(BEATS)]
            for beat, correct in enumerate(beats):
                m.submodules[f"beat_{beat}"] = correct
                m.d.comb += [
                    correct.i.eq(self.i.word_select(beat, secded.DATA_BITS)),
                    correct.syndrome.eq(self.syndrome.word_select(beat, secded.CHECK_BITS)),
                    self.o.word_select(beat, secded.DATA_BITS).eq(correct.o),
                ]
            m.d.comb += [
                self.corrected.eq(Cat(correct.corrected for correct in beats).any()),
                self.uncorrectable.eq(Cat(correct.uncorrectable for correct in beats).any()),
            ]
        elif self.config.ecc == "symbol":
            m.submodules.burst = burst = symbol_code.SymbolCorrect()
            m.d.comb += [
                burst.i.eq(self.i),
                burst.syndrome.eq(self.syndrome),
                self.o.eq(burst.o),
                self.corrected.eq(burst.corrected),
                self.symbol.eq(burst.symbol),
                self.uncorrectable.eq(burst.uncorrectable),
            ]
        else:
            m.d.comb += self.o.eq(self.i)
        return m
