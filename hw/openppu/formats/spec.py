"""The number formats, as one table that hardware and reference share.

Sources: binary16 and binary32, IEEE 754-2019 table 3.5 (widths, bias) and clause 6.2.1 (a quiet NaN has the leading
fraction bit set); E4M3 and E5M2, OCP 8-bit Floating Point Specification (OFP8) revision 1.0 (2023), section 5, tables
1 and 2; bfloat16, the upper half of binary32 ("BFLOAT16 - Hardware Numerics Definition", Intel, 2018), here with
subnormals kept. All floats are sign, exponent, fraction from the most significant bit down, and an exponent field of 0
means a subnormal or a zero.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One number format.

    Parameters
    ----------
    name : str
        Name in configurations, commands and reports.
    code : int, 0 to 7
        Encoding of the format in a command's 3-bit format field.
    bits : int
        Width of an encoded value.
    exponent_bits, fraction_bits : int
        Widths of the two fields below the sign bit. For int8 they are 0 and 7.
    bias : int
        A normal value is ``(-1)**sign * (1 + fraction / 2**fraction_bits) * 2**(exponent - bias)``.
    has_infinity : bool
        True: an all-ones exponent holds infinity and NaNs, as in IEEE 754. False for a float (E4M3): an all-ones
        exponent holds ordinary values, and only an all-ones exponent and fraction is a NaN.
    is_float : bool
        False for int8 alone, which is two's complement and accumulates in int32; floats accumulate in binary32.
    max_finite : float
        Largest finite value.
    """

    name: str
    code: int
    bits: int
    exponent_bits: int
    fraction_bits: int
    bias: int
    has_infinity: bool
    is_float: bool
    max_finite: float

    @property
    def exponent_ones(self) -> int:
        """The all-ones exponent field, not shifted."""
        return (1 << self.exponent_bits) - 1

    @property
    def infinity_bits(self) -> int:
        """Encoding of +infinity. Only for formats with ``has_infinity``."""
        if not self.has_infinity:
            raise ValueError(f"{self.name} has no infinity; ask has_infinity first")
        return self.exponent_ones << self.fraction_bits

    @property
    def max_finite_bits(self) -> int:
        """Encoding of ``max_finite``."""
        if not self.is_float:
            return (1 << self.fraction_bits) - 1
        return self.infinity_bits - 1 if self.has_infinity else self.nan_bits - 1

    @property
    def nan_bits(self) -> int:
        """Encoding of the only NaN that OpenPPU produces: positive and quiet. Any NaN pattern is accepted as input."""
        if not self.is_float:
            raise ValueError(f"{self.name} has no NaN; ask is_float first")
        if self.has_infinity:
            return self.infinity_bits | (1 << (self.fraction_bits - 1))
        return (1 << (self.bits - 1)) - 1


INT8 = Format("int8", 0, 8, 0, 7, 0, False, False, 127.0)
FP8_E4M3 = Format("fp8_e4m3", 1, 8, 4, 3, 7, False, True, 448.0)
FP8_E5M2 = Format("fp8_e5m2", 2, 8, 5, 2, 15, True, True, 57344.0)
FP16 = Format("fp16", 3, 16, 5, 10, 15, True, True, 65504.0)
BF16 = Format("bf16", 4, 16, 8, 7, 127, True, True, (2 - 2**-7) * 2.0**127)

# The accumulator's format. Code 7 is never an operand's; it lets a command name binary32 as source or result.
BINARY32 = Format("binary32", 7, 32, 8, 23, 127, True, True, (2 - 2**-23) * 2.0**127)

# The operand formats, by name.
FORMATS = {fmt.name: fmt for fmt in (INT8, FP8_E4M3, FP8_E5M2, FP16, BF16)}
