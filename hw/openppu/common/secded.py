"""SECDED(72, 64): corrects one wrong bit of 72, detects any two.

M. Y. Hsiao, "A Class of Optimal Minimum Odd-weight-column SEC-DED Codes", IBM J. Res. Dev. 14(4), 1970: the columns
of the parity-check matrix are different and of odd weight, so that two wrong bits give a syndrome of even weight, which
is no column; as few ones as can be, as many in each row.

Here the column of data bit 0 to 55 is the number of three ones out of eight bits that is next in increasing order, that
of data bit ``56 + i`` is 0b00011111 rotated left by ``i``, and that of check bit ``i`` is ``1 << i``: 26 data bits to
each check bit.
"""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

DATA_BITS = 64
CHECK_BITS = 8

COLUMNS = (
    *(number for number in range(1 << CHECK_BITS) if number.bit_count() == 3),
    *((0b11111 << i | 0b11111 >> CHECK_BITS - i) & 0xFF for i in range(CHECK_BITS)),
)
"""The syndrome of each single wrong data bit."""


def check_bits(data):
    """The check bits of 64 data bits, as an expression."""
    rows = [[bit for bit, column in zip(data, COLUMNS, strict=True) if column >> row & 1] for row in range(CHECK_BITS)]
    return Cat(Cat(*row).xor() for row in rows)


class SecdedCorrect(wiring.Component):
    """Corrects a word by its syndrome, which is what was read of the check bits XOR `check_bits` of what was read.

    Combinational.

    Members
    -------
    i : In(64)
    syndrome : In(8)
    o : Out(64)
        The data, right if at most one of the 72 bits was wrong.
    corrected : Out(1)
        A bit was wrong, of the data or of the check bits.
    uncorrectable : Out(1)
        More than one was; ``o`` is what was read.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(DATA_BITS),
                "syndrome": In(CHECK_BITS),
                "o": Out(DATA_BITS),
                "corrected": Out(1),
                "uncorrectable": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        wrong = Signal(DATA_BITS)
        wrong_check = Signal(CHECK_BITS)
        m.d.comb += [
            wrong.eq(Cat(self.syndrome == column for column in COLUMNS)),
            wrong_check.eq(Cat(self.syndrome == 1 << row for row in range(CHECK_BITS))),
            self.o.eq(self.i ^ wrong),
            self.corrected.eq(wrong.any() | wrong_check.any()),
            self.uncorrectable.eq(self.syndrome.any() & ~self.corrected),
        ]
        return m
