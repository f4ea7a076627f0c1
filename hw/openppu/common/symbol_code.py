"""A Reed-Solomon code over a burst: corrects one wrong symbol of 36, detects any two or three.

A burst is four beats of 64 data and 8 check bits, each bit of a beat on its own wire. A symbol is what two
neighbouring wires carry in a burst, so that a wire, or a pair, that fails spoils one symbol: bit ``2 * beat + n`` of
symbol i is wire ``2 * i + n`` in that beat. I. S. Reed, G. Solomon, "Polynomial Codes over Certain Finite Fields",
J. SIAM 8(2), 1960; symbols along the wires as in J. Kim, M. Sullivan, M. Erez, "Bamboo ECC", HPCA 2015.

The field is GF(256) of x^8 + x^4 + x^3 + x^2 + 1. Data symbol i is the coefficient of z^(4 + i) of a polynomial in z,
check symbol j that of z^j, and the polynomial is a multiple of g(z) = (z + 1)(z + a)(z + a^2)(z + a^3), a = 2. So any
two words differ in five symbols or more.
"""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BEATS = 4
DATA_BITS = 256
CHECK_BITS = 32
SYMBOL_BITS = 8
DATA_SYMBOLS = DATA_BITS // SYMBOL_BITS
CHECK_SYMBOLS = CHECK_BITS // SYMBOL_BITS
SYMBOLS = DATA_SYMBOLS + CHECK_SYMBOLS
WIRES = SYMBOL_BITS // BEATS
"""Wires of a symbol."""


def product(a: int, b: int) -> int:
    """Of two elements of the field."""
    result = 0
    for bit in range(SYMBOL_BITS):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(2 * SYMBOL_BITS - 2, SYMBOL_BITS - 1, -1):
        if result >> bit & 1:
            result ^= 0x11D << bit - SYMBOL_BITS
    return result


def _columns() -> tuple[tuple[int, ...], ...]:
    generator = [1]
    root = 1
    for _ in range(CHECK_SYMBOLS):
        lower, upper = [product(each, root) for each in generator], generator
        generator = [low ^ high for low, high in zip([*lower, 0], [0, *upper], strict=True)]
        root = product(root, 2)
    remainder = generator[:CHECK_SYMBOLS]  # of z^4
    found = []
    for _ in range(DATA_SYMBOLS):
        found.append(tuple(remainder))
        top = remainder[-1]
        shifted = [0, *remainder[:-1]]
        remainder = [low ^ product(top, factor) for low, factor in zip(shifted, generator, strict=False)]
    return tuple(found)


COLUMNS = _columns()
"""Of each data symbol, z^(4 + i) modulo g(z): what its value is multiplied by in each check symbol."""


def data_bit(symbol: int, bit: int) -> int:
    """Where a bit of a data symbol lies in a burst's 256 data bits, the first beat lowest."""
    beat, wire = divmod(bit, WIRES)
    return DATA_BITS // BEATS * beat + WIRES * symbol + wire


def check_bit(symbol: int, bit: int) -> int:
    """Where a bit of a check symbol lies in a burst's 32 check bits, the first beat lowest."""
    beat, wire = divmod(bit, WIRES)
    return CHECK_BITS // BEATS * beat + WIRES * symbol + wire


def _masks() -> tuple[int, ...]:
    masks = [0] * CHECK_BITS
    for symbol, column in enumerate(COLUMNS):
        for bit in range(SYMBOL_BITS):
            for row, factor in enumerate(column):
                for place in range(SYMBOL_BITS):
                    if product(factor, 1 << bit) >> place & 1:
                        masks[check_bit(row, place)] |= 1 << data_bit(symbol, bit)
    return tuple(masks)


MASKS = _masks()
"""The data bits whose parity each check bit is."""


def check_bits(data: Value) -> Value:
    """The 32 check bits of 256 data bits, as an expression."""
    return Cat((data & mask).xor() for mask in MASKS)


class SymbolCorrect(wiring.Component):
    """Corrects a burst by its syndrome, which is what was read of the check bits XOR `check_bits` of what was read.

    Combinational.

    Members
    -------
    i : In(256)
    syndrome : In(32)
    o : Out(256)
        The data, right if at most one of the 36 symbols was wrong.
    corrected : Out(1)
        A symbol was wrong, of the data or of the check symbols.
    symbol : Out(range(36))
        Which, if ``corrected``; check symbols are 32 to 35. Else 0.
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
                "symbol": Out(range(SYMBOLS)),
                "uncorrectable": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parts = [Signal(SYMBOL_BITS, name=f"syndrome_{row}") for row in range(CHECK_SYMBOLS)]
        for row, part in enumerate(parts):
            m.d.comb += part.eq(Cat(self.syndrome[check_bit(row, bit)] for bit in range(SYMBOL_BITS)))

        # Every parity of bits of the first part, of which all its multiples consist.
        half = SYMBOL_BITS // 2
        low, high = Signal(1 << half), Signal(1 << half)
        m.d.comb += [
            low.eq(Cat((parts[0][:half] & mask).xor() for mask in range(1 << half))),
            high.eq(Cat((parts[0][half:] & mask).xor() for mask in range(1 << half))),
        ]

        def multiple(factor):
            masks = [
                sum((product(factor, 1 << bit) >> place & 1) << bit for bit in range(SYMBOL_BITS))
                for place in range(SYMBOL_BITS)
            ]
            return Cat(low[mask % (1 << half)] ^ high[mask >> half] for mask in masks)

        # If data symbol i is wrong by v, each part of the syndrome is v times the symbol's factor there.
        found = []
        errors = [None] * DATA_BITS
        wrong = Signal(SYMBOLS)
        for symbol, column in enumerate(COLUMNS):
            inverse = next(each for each in range(1, 1 << SYMBOL_BITS) if product(column[0], each) == 1)
            expected = Cat(multiple(product(inverse, factor)) for factor in column[1:])
            found.append(parts[0].any() & (Cat(parts[1:]) == expected))
            for bit, value in enumerate(multiple(inverse)):
                errors[data_bit(symbol, bit)] = value & wrong[symbol]
        for part in parts:
            found.append(part.any() & ~Cat(other for other in parts if other is not part).any())
        number_masks = [
            sum((symbol >> bit & 1) << symbol for symbol in range(SYMBOLS)) for bit in range(len(self.symbol))
        ]
        m.d.comb += [
            wrong.eq(Cat(found)),
            self.o.eq(self.i ^ Cat(errors)),
            self.corrected.eq(wrong.any()),
            self.symbol.eq(Cat((wrong & mask).any() for mask in number_masks)),
            self.uncorrectable.eq(self.syndrome.any() & ~self.corrected),
        ]
        return m
