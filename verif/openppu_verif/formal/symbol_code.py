"""Proof of the code over the memory's bursts."""

from amaranth import Mux, Signal
from amaranth.hdl import Assume
from openppu.common.symbol_code import (
    CHECK_BITS,
    DATA_BITS,
    DATA_SYMBOLS,
    SYMBOL_BITS,
    SYMBOLS,
    SymbolCorrect,
    check_bit,
    check_bits,
    data_bit,
)
from openppu.hbm.error_code import POISON

from openppu_verif.formal.harness import Harness


def symbols() -> Harness:
    """Any word with at most one wrong symbol is corrected, and if it was poisoned, told to be uncorrectable.

    The syndrome is worked out from the wrong bits alone: each check bit is a parity of data bits, so those of the right
    word and of what was read differ by them.
    """
    h = Harness()
    h.m.submodules.dut = correct = SymbolCorrect()
    # A register, since the provers want one.
    right = Signal(DATA_BITS)
    h.m.d.sync += right.eq(h.free("data", DATA_BITS))
    poisoned = h.free("poisoned")
    place, value = h.free("place", len(correct.symbol)), h.free("value", SYMBOL_BITS)
    h.m.d.comb += Assume(place < SYMBOLS)
    data, check = Signal(DATA_BITS), Signal(CHECK_BITS)
    for symbol in range(SYMBOLS):
        wrong = Mux(place == symbol, value, 0)
        for bit in range(SYMBOL_BITS):
            if symbol < DATA_SYMBOLS:
                h.m.d.comb += data[data_bit(symbol, bit)].eq(wrong[bit])
            else:
                h.m.d.comb += check[check_bit(symbol - DATA_SYMBOLS, bit)].eq(wrong[bit])
    h.m.d.comb += [
        correct.i.eq(right ^ data),
        correct.syndrome.eq(check_bits(data) ^ check ^ Mux(poisoned, POISON, 0)),
    ]
    h.check(~correct.uncorrectable, correct.corrected == value.any(), correct.o == right, when=~poisoned)
    h.check(correct.symbol == Mux(value.any(), place, 0), when=~poisoned)
    h.check(correct.uncorrectable, ~correct.corrected, correct.o == correct.i, when=poisoned)
    return h
