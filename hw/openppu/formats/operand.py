"""How a number looks inside the datapath: unpacked, normalised, one shape for all the formats that are built in."""

from amaranth import signed
from amaranth.lib import data, enum

from openppu.formats.spec import FORMATS, Format

EXPONENT_BITS = 9
"""Width of an operand's exponent, enough for every binary32 and below, normalised."""

EXPONENT_BIAS = 320
"""Of an operand's exponent. A product's exponent is the sum of two, so its bias is `PRODUCT_BIAS` for free."""

ZERO_EXPONENT = 0
"""Exponent of a zero: so small that a zero product is always the lesser addend, and loses nothing in its shift."""

PRODUCT_EXPONENT_BITS = 10
PRODUCT_BIAS = 512 + 127
"""Of a product's exponent: binary32's, and 512 to keep small ones from turning negative."""


class OperandKind(enum.Enum, shape=2):
    """What a float operand is, as far as it changes how it is multiplied."""

    FINITE = 0
    INFINITE = 1
    NAN = 2
    PAD = 3
    """Not there: the product is -0 whatever it meets, which leaves any sum as it is."""


def significand_bits(formats: tuple[Format, ...]) -> int:
    """Width of the widest significand, hidden bit included; int8 counts as 8 so that its product fits too."""
    return max(fmt.fraction_bits + 1 for fmt in formats)


def formats_named(names: tuple[str, ...]) -> tuple[Format, ...]:
    """The descriptions of the formats that a configuration names."""
    return tuple(FORMATS[name] for name in names)


def require_operand_floats(formats: tuple[Format, ...], user: str) -> None:
    """Raise ValueError, with the name of who uses them, if there are no formats or one is no float of 8 or 16 bits."""
    wrong = [fmt.name for fmt in formats if not fmt.is_float or fmt.bits > 16]
    if wrong or not formats:
        raise ValueError(f"{user} formats {', '.join(wrong) or 'none'}: give float operand formats")


def is_mixed(formats: tuple[Format, ...]) -> bool:
    """Whether there are both int8 and floats, so that each operand must say which it is."""
    return len({fmt.is_float for fmt in formats}) == 2


def operand_layout(formats: tuple[Format, ...]) -> data.StructLayout:
    """An unpacked operand of any of ``formats``.

    ``factor`` is what the multiplier takes: the significand, normalised, leading one at bit S-1 (0 for a zero), or the
    integer. The value of a float is ``factor / 2**(S-1) * 2**(exponent - EXPONENT_BIAS)``. A layout for int8 alone has
    only the factor; when int8 and a float are both built in, the factor is signed and ``integer`` tells them apart.
    """
    width = significand_bits(formats)
    if not any(fmt.is_float for fmt in formats):
        return data.StructLayout({"factor": signed(width)})
    fields = {"factor": width, "exponent": EXPONENT_BITS, "sign": 1, "kind": OperandKind}
    if is_mixed(formats):
        fields |= {"factor": signed(width + 1), "integer": 1}
    return data.StructLayout(fields)


def product_layout(width: int, *, is_float: bool = True, integer: bool = False) -> data.StructLayout:
    """An exact product of ``width`` bits, on its way to be added.

    The value of a float product is ``significand / 2**(width-1) * 2**(exponent - PRODUCT_BIAS)``; its leading one is at
    bit width-1 or width-2. An integer product is the significand read as two's complement.

    Parameters
    ----------
    width : int
        Significand bits: twice an operand's.
    is_float : bool
        Whether float products exist; with integers alone only the significand is left.
    integer : bool
        Whether integer products exist beside floats; ``integer`` tells them apart.
    """
    if not is_float:
        return data.StructLayout({"significand": width})
    fields = {"significand": width, "exponent": PRODUCT_EXPONENT_BITS, "sign": 1, "nan": 1, "infinite": 1}
    return data.StructLayout(fields | ({"integer": 1} if integer else {}))
