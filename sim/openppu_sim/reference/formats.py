"""Raw bit patterns of every number format: to and from binary32, int32 and ordinary values.

Written from IEEE 754-2019 (clauses 3.4, 4.3.1, 5.4, 6.2) and OFP8 revision 1.0 (clauses 5.1, 5.2). All functions are
elementwise on arrays of any shape. Patterns are unsigned: ``uint8`` or ``uint16`` for an operand, ``uint32`` for an
accumulator, be it binary32 or int32 (two's complement), so that hardware compares bit for bit.

Rules: round to nearest, ties to even; subnormals kept; a NaN of any pattern is accepted, and a NaN result is the
format's one ``nan_bits`` (0x7FC00000, 0x7FC0, 0x7E00, 0x7E, 0x7F: positive, quiet, no payload).
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, Format

Bits = NDArray[np.unsignedinteger[Any]]
Bits32 = NDArray[np.uint32]


def bits_dtype(fmt: Format) -> type[np.unsignedinteger[Any]]:
    """The unsigned numpy type that holds one pattern of ``fmt``."""
    types: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16, 32: np.uint32}
    return types[fmt.bits]


def accumulator_dtype(fmt: Format) -> type[np.float32] | type[np.int32]:
    """The numpy type of the accumulated values: view an accumulator's ``uint32`` bits as this."""
    return np.float32 if fmt.is_float else np.int32


def require_bits(name: str, bits: Any, fmt: Format) -> Bits:
    """``bits`` as an array, or a ValueError that names it, unless its dtype is the one of ``fmt``."""
    array = np.asarray(bits)
    wanted = np.dtype(bits_dtype(fmt))
    if array.dtype != wanted:
        raise ValueError(
            f"{name} must hold raw {fmt.name} bits as {wanted}, got {array.dtype}; use encode() or .view()"
        )
    return array


def canonical_binary32(values: NDArray[np.float32]) -> Bits32:
    """Bits of float32 ``values`` with every NaN replaced by 0x7FC00000."""
    return np.where(np.isnan(values), np.uint32(BINARY32.nan_bits), values.view(np.uint32))


def to_float64(bits: Any, fmt: Format) -> NDArray[np.float64]:
    """The exact value of each pattern; any NaN pattern gives a NaN."""
    patterns = require_bits("bits", bits, fmt)
    return _decode_fields(patterns, fmt) if fmt.bits > 16 else _value_table(fmt)[patterns]


@cache
def _value_table(fmt: Format) -> NDArray[np.float64]:
    table = _decode_fields(np.arange(1 << fmt.bits, dtype=bits_dtype(fmt)), fmt)
    table.flags.writeable = False
    return table


def _decode_fields(bits: Bits, fmt: Format) -> NDArray[np.float64]:
    """The value by definition: (-1)**sign * significand * 2**(exponent - bias - fraction_bits)."""
    if not fmt.is_float:
        return bits.view(np.int8).astype(np.float64)
    pattern = bits.astype(np.int64)
    sign = pattern >> (fmt.bits - 1)
    exponent = pattern >> fmt.fraction_bits & fmt.exponent_ones
    fraction = pattern & ((1 << fmt.fraction_bits) - 1)

    significand = fraction + ((exponent > 0) << fmt.fraction_bits)
    magnitude = np.ldexp(significand.astype(np.float64), np.maximum(exponent, 1) - fmt.bias - fmt.fraction_bits)
    if fmt.has_infinity:
        special = np.where(fraction == 0, np.inf, np.nan)
        magnitude = np.where(exponent == fmt.exponent_ones, special, magnitude)
    else:
        magnitude = np.where(pattern & ~(1 << (fmt.bits - 1)) == fmt.nan_bits, np.nan, magnitude)
    return np.where(sign == 1, -magnitude, magnitude)


def to_binary32(bits: Any, fmt: Format) -> Bits32:
    """Widen patterns of ``fmt`` to binary32 patterns of the same value (always exact)."""
    return canonical_binary32(np.asarray(to_float64(bits, fmt)).astype(np.float32))


def from_binary32(bits: Any, fmt: Format, *, saturate: bool = True) -> Bits:
    """Round binary32 patterns to a float format.

    Parameters
    ----------
    bits : array of uint32
        Binary32 patterns.
    fmt : Format
        Any float operand format.
    saturate : bool
        OFP8's conversion mode, for the two fp8 formats only. True (SAT): results beyond the largest finite value, and
        infinities, become the largest finite value of that sign. False (NONSAT): they become NaN in E4M3 and infinity
        in E5M2. NaN stays NaN in both. fp16 and bf16 always overflow to infinity, as IEEE 754 says.

    Returns
    -------
    array of uint8 or uint16
        Patterns of ``fmt``, same shape.

    Raises
    ------
    ValueError
        If ``bits`` is not uint32 or ``fmt`` is not a float operand format.
    """
    if not fmt.is_float or fmt.bits > 16:
        raise ValueError(f"from_binary32 rounds to a float operand format, not to {fmt.name}")
    pattern = require_bits("bits", bits, BINARY32).astype(np.int64)
    sign = pattern >> 31 << (fmt.bits - 1)
    magnitude = pattern & 0x7FFFFFFF
    is_nan = magnitude > BINARY32.infinity_bits

    # In units of the last place that fmt has at this exponent, the value rounds to an integer. Exponents below the
    # smallest normal one share its unit (subnormals). Adding the integer to the exponent's field carries by itself from
    # the largest subnormal to the smallest normal, and from one exponent to the next.
    exponent = np.maximum((magnitude >> 23) - BINARY32.bias, 1 - fmt.bias)
    finite = np.where(magnitude < BINARY32.infinity_bits, magnitude, 0).astype(np.uint32)
    value = finite.view(np.float32).astype(np.float64)
    units = np.rint(np.ldexp(value, fmt.fraction_bits - exponent)).astype(np.int64)
    rounded = ((exponent - (1 - fmt.bias)) << fmt.fraction_bits) + units

    saturated = saturate and fmt.bits == 8
    too_large = fmt.max_finite_bits if saturated else fmt.infinity_bits if fmt.has_infinity else fmt.nan_bits
    beyond = (rounded > fmt.max_finite_bits) | (magnitude == BINARY32.infinity_bits)
    # OFP8 leaves the sign of a NaN open; ours is positive, so the sign is added to numbers and infinities only.
    result = sign | np.where(beyond, too_large, rounded)
    result = np.where(is_nan | (beyond & (too_large == fmt.nan_bits)), fmt.nan_bits, result)
    return result.astype(bits_dtype(fmt))


def int32_to_binary32(bits: Any) -> Bits32:
    """Round int32 patterns (uint32, two's complement) to binary32 patterns."""
    integers = require_bits("bits", bits, BINARY32).view(np.int32)
    return integers.astype(np.float64).astype(np.float32).view(np.uint32)


def binary32_to_int32(bits: Any) -> Bits32:
    """Round binary32 patterns to int32 patterns (uint32, two's complement).

    Values out of range, and infinities, saturate to -2**31 or 2**31 - 1. NaN gives 0.
    """
    value = _round_to_integer(require_bits("bits", bits, BINARY32).view(np.float32))
    return np.clip(value, -(2.0**31), 2.0**31 - 1).astype(np.int32).view(np.uint32)


def _round_to_integer(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Nearest integer, ties to even, as a float64; NaN gives 0 and infinities stay."""
    return np.rint(np.where(np.isnan(values), np.float32(0), values).astype(np.float64))


def encode(values: Any, fmt: Format, *, saturate: bool = True) -> Bits:
    """Round ordinary values to patterns of an operand format.

    Parameters
    ----------
    values : array of float32, or of int8 if ``fmt`` is int8
        float32 to int8 rounds to the nearest integer and clamps to [-128, 127] (NaN gives 0); for a scale and a zero
        point see ``quantise``. float64 is refused, because rounding twice is not rounding once.
    saturate : bool
        As for ``from_binary32``.

    Raises
    ------
    ValueError
        If ``values`` has another dtype.
    """
    array = np.asarray(values)
    if not fmt.is_float and array.dtype == np.int8:
        return array.view(np.uint8)
    if array.dtype != np.float32:
        allowed = "float32" if fmt.is_float else "float32 or int8"
        raise ValueError(f"values to encode as {fmt.name} must be {allowed}, got {array.dtype}; use .astype()")
    if not fmt.is_float:
        return np.clip(_round_to_integer(array), -128, 127).astype(np.int8).view(np.uint8)
    return from_binary32(array.view(np.uint32), fmt, saturate=saturate)


def decode(bits: Any, fmt: Format) -> NDArray[np.float32] | NDArray[np.int8]:
    """The values of operand patterns: float32, or int8 if ``fmt`` is int8 (always exact)."""
    if not fmt.is_float:
        return require_bits("bits", bits, fmt).view(np.int8)
    return to_binary32(bits, fmt).view(np.float32)
