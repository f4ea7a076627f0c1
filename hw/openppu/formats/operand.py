"""How a number looks inside the datapath: unpacked, normalised, one shape for all the formats that are built in."""

from amaranth import signed
from amaranth.lib import data, enum

from openppu.formats.spec import FORMATS, Format

EXPONENT_BITS = 9
"""Signed width of an operand's exponent, enough for every binary32 and below, normalised, and for `ZERO_EXPONENT`."""

EXPONENT_BIAS = 64
"""Added to each operand's exponent, so that a product's sum of exponents carries binary32's bias (plus one) for free."""

ZERO_EXPONENT = -192
"""Exponent of a zero operand: so small that a zero product is always the lesser addend, and shifts nothing out."""

PRODUCT_EXPONENT_BITS = 10
"""Signed width of a product's exponent."""


class OperandKind(enum.Enum, shape=2):
    """What a float operand is, as far as it changes how it is multiplied."""

    FINITE = 0
    INFINITE = 1
    NAN = 2
    PAD = 3
    """Not there: the product is -0 whatever it meets, which leaves any sum as it is."""


class ProductKind(enum.Enum, shape=2):
    """What a product is."""

    FINITE = 0
    INFINITE = 1
    NAN = 2
    INTEGER = 3


def significand_bits(formats: tuple[Format, ...]) -> int:
    """Width of the widest significand, hidden bit included; int8 counts as 8 so that its product fits too."""
    return max(fmt.fraction_bits + 1 for fmt in formats)


def formats_named(names: tuple[str, ...]) -> tuple[Format, ...]:
    """The descriptions of the formats that a configuration names."""
    return tuple(FORMATS[name] for name in names)


def operand_layout(formats: tuple[Format, ...]) -> data.StructLayout:
    """An unpacked operand of any of ``formats``.

    ``factor`` is what the multiplier takes: the significand, normalised, leading one at bit S-1 (0 for a zero), or the
    integer. The value of a float is ``factor / 2**(S-1) * 2**(exponent - EXPONENT_BIAS)``. A layout for int8 alone has
    only the factor; when int8 and a float are both built in, the factor is signed and ``integer`` tells them apart.
    """
    width = significand_bits(formats)
    if not any(fmt.is_float for fmt in formats):
        return data.StructLayout({"factor": signed(width)})
    fields = {"factor": width, "exponent": signed(EXPONENT_BITS), "sign": 1, "kind": OperandKind}
    if not all(fmt.is_float for fmt in formats):
        fields |= {"factor": signed(width + 1), "integer": 1}
    return data.StructLayout(fields)


def product_layout(width: int, *, is_float: bool = True) -> data.StructLayout:
    """An exact product of ``width`` bits, on its way to be added.

    The value of a float product is ``significand / 2**(width-1) * 2**(exponent - 127)``; its leading one is at bit
    width-1 or width-2. An integer product is the significand read as two's complement.

    Parameters
    ----------
    width : int
        Significand bits: twice an operand's.
    is_float : bool
        Whether float products exist; with integers alone only the significand is left.
    """
    if not is_float:
        return data.StructLayout({"significand": width})
    return data.StructLayout(
        {
            "significand": width,
            "exponent": signed(PRODUCT_EXPONENT_BITS),
            "sign": 1,
            "kind": ProductKind,
        }
    )
