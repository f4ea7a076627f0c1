"""What a lane of the vector unit can do to a word."""

from amaranth.lib import enum


class Operation(enum.Enum, shape=6):
    """Of up to three words ``a``, ``b``, ``c``; each binary32, int32 or plain bits, as the operation takes it.

    Additions, multiplications and roundings are IEEE 754's, to nearest, ties to even, subnormals kept; any NaN result
    is 0x7FC00000. Integers wrap modulo 2**32. Comparisons give 0xFFFFFFFF or 0.
    """

    ADD = 0
    """a + b"""
    SUBTRACT = 1
    """a - b"""
    MULTIPLY = 2
    """a * b"""
    MULTIPLY_ADD = 3
    """a * b + c, rounded once"""
    SUBTRACT_PRODUCT = 4
    """c - a * b, rounded once"""

    COPY = 8
    """a, bit for bit"""
    ABSOLUTE = 9
    """a without its sign bit"""
    NEGATE = 10
    """a with its sign bit inverted"""
    COPY_SIGN = 11
    """a with the sign bit of b"""
    MINIMUM = 12
    """IEEE 754-2019 minimum: a NaN if one is, and -0 is less than +0"""
    MAXIMUM = 13
    """IEEE 754-2019 maximum, likewise"""
    EQUAL = 14
    """a = b; -0 equals +0, a NaN nothing"""
    LESS = 15
    """a < b, likewise"""
    LESS_EQUAL = 16
    """a <= b, likewise"""
    SELECT = 17
    """b where bit 0 of a is set, else c"""

    ADD_INTEGER = 18
    """a + b"""
    SUBTRACT_INTEGER = 19
    """a - b"""
    MULTIPLY_INTEGER = 20
    """a * b, the low 32 bits"""
    MINIMUM_INTEGER = 21
    MAXIMUM_INTEGER = 22
    EQUAL_INTEGER = 23
    LESS_INTEGER = 24
    """a < b, signed"""
    AND = 25
    OR = 26
    EXCLUSIVE_OR = 27
    SHIFT_LEFT = 28
    """a by b modulo 32 places"""
    SHIFT_RIGHT = 29
    """a by b modulo 32 places, zeros from the left"""
    SHIFT_ARITHMETIC = 30
    """a by b modulo 32 places, copies of the sign from the left"""

    TO_INTEGER = 32
    """binary32 to the nearest int32, ties to even; saturates, a NaN is 0"""
    FROM_INTEGER = 33
    """int32 to the nearest binary32"""
    NARROW = 34
    """binary32 to the float format whose code is in b[0:3]; b[3]: saturating (`openppu.formats.narrow`)"""
    WIDEN = 35
    """the float format whose code is in b[0:3], in a's low bits, to binary32"""
    EXPONENT = 36
    """floor(log2 |a|) as int32; of zero -150, of infinities and NaNs 128"""
    SIGNIFICAND = 37
    """|a| / 2**EXPONENT in [1, 2); of zero 0, of infinities infinity, of NaNs 0x7FC00000"""
    SCALE = 38
    """a * 2**b with b an int32, rounded once"""
    RECIPROCAL_SEED = 39
    """Of a in [1, 2): 1 / a within 2**-7.9, from a table (`openppu.vector.seeds`)"""
    ROOT_SEED = 40
    """Of a in [1, 4): 1 / sqrt(a) within 2**-7.9, from a table"""


FUSED = (
    Operation.ADD,
    Operation.SUBTRACT,
    Operation.MULTIPLY,
    Operation.MULTIPLY_ADD,
    Operation.SUBTRACT_PRODUCT,
)
"""Those of the multiplier and adder; all others pass beside them."""
