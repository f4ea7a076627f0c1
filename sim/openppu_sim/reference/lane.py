"""A lane of the vector unit with numpy, from the meaning of its operations; nothing is shared with the hardware.

Words are uint32 arrays of any shape, which broadcast; binary32 patterns, int32 in two's complement, or plain bits.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, FORMATS
from openppu.vector.operation import Operation

from .arithmetic import add32, fma32, mul32
from .formats import (
    Bits32,
    binary32_to_int32,
    bits_dtype,
    canonical_binary32,
    from_binary32,
    int32_to_binary32,
    to_binary32,
)

SIGN = np.uint32(1 << 31)
SEED_PLACES = 9
"""Bits behind the point of a first guess."""


def run_lane(operation: Operation, a: Any, b: Any = 0, c: Any = 0) -> Bits32:
    """What a lane makes of three words.

    Raises
    ------
    KeyError
        If there is no such operation.
    """
    words = (np.atleast_1d(np.asarray(x, dtype=np.uint32)) for x in (a, b, c))
    x, y, z = np.broadcast_arrays(*words)
    with np.errstate(all="ignore"):
        return np.asarray(_MEANING[operation](x, y, z)).astype(np.uint32)


def exponent_of(bits: Bits32) -> NDArray[np.int64]:
    """floor(log2 |x|); of zero -150, of infinities and NaNs 128."""
    magnitude = np.abs(_value(bits))
    _, power = np.frexp(magnitude)
    exponent = np.where(magnitude == 0, -150, power - 1)
    return np.where(np.isfinite(magnitude), exponent, 128).astype(np.int64)


def _value(bits: Bits32) -> NDArray[np.float64]:
    return bits.view(np.float32).astype(np.float64)


def _significand(bits: Bits32) -> Bits32:
    magnitude = np.abs(_value(bits))
    with np.errstate(all="ignore"):
        scaled = np.where(np.isfinite(magnitude), np.ldexp(magnitude, -exponent_of(bits)), magnitude)
    return canonical_binary32(scaled.astype(np.float32))


def _scale(bits: Bits32, power: Bits32) -> Bits32:
    # Exact in float64 for every power that leaves anything: down to 2**-1074 the significand's 24 bits fit.
    far = np.clip(power.view(np.int32), -600, 600)
    return canonical_binary32(np.ldexp(_value(bits), far).astype(np.float32))


def _extreme(bits_a: Bits32, bits_b: Bits32, *, greatest: bool) -> Bits32:
    """IEEE 754-2019, 9.6: minimum and maximum."""
    a, b = _value(bits_a), _value(bits_b)
    first = (a > b) if greatest else (a < b)
    equal_signs = np.where(greatest, np.signbit(b), np.signbit(a))  # of zeros, the first is wanted if so
    first = np.where(a == b, equal_signs, first)
    chosen = np.where(first, bits_a, bits_b)
    return np.where(np.isnan(a) | np.isnan(b), np.uint32(BINARY32.nan_bits), chosen)


def _truth(condition: NDArray[np.bool_]) -> Bits32:
    return np.where(condition, np.uint32(0xFFFFFFFF), np.uint32(0))


def _by_format(convert: Callable[[Bits32, Any, bool], Bits32], bits: Bits32, choice: Bits32) -> Bits32:
    """Each word by the format that its ``choice`` names; 0 where that is none."""
    result = np.zeros(bits.shape, np.uint32)
    for fmt in FORMATS.values():
        if fmt.is_float:
            for saturate in (False, True):
                here = ((choice & 7) == fmt.code) & ((choice >> 3 & 1) == saturate)
                result[here] = convert(bits[here], fmt, saturate)
    return result


def _widen(bits: Bits32, choice: Bits32) -> Bits32:
    return _by_format(lambda x, fmt, _: to_binary32(x.astype(bits_dtype(fmt)), fmt), bits, choice)


def _narrow(bits: Bits32, choice: Bits32) -> Bits32:
    return _by_format(lambda x, fmt, saturate: from_binary32(x, fmt, saturate=saturate), bits, choice)


def _reciprocal_seed(bits: Bits32) -> Bits32:
    middle = 1 + ((bits >> 16 & 0x7F) + 0.5) / 128
    return _rounded(1 / middle)


def _root_seed(bits: Bits32) -> Bits32:
    odd = (bits >> 23 & 1) == 0  # from 2 on
    middle = (1 + ((bits >> 17 & 0x3F) + 0.5) / 64) * np.where(odd, 2, 1)
    return _rounded(1 / np.sqrt(middle))


def _rounded(value: NDArray[np.float64]) -> Bits32:
    places = 2.0**SEED_PLACES
    return (np.floor(value * places + 0.5) / places).astype(np.float32).view(np.uint32)


def _signed(bits: Bits32) -> NDArray[np.int32]:
    return bits.view(np.int32)


_MEANING: dict[Any, Callable[[Bits32, Bits32, Bits32], Any]] = {
    Operation.ADD: lambda a, b, c: add32(a, b),
    Operation.SUBTRACT: lambda a, b, c: add32(a, b ^ SIGN),
    Operation.MULTIPLY: lambda a, b, c: mul32(a, b),
    Operation.MULTIPLY_ADD: lambda a, b, c: fma32(a, b, c),
    Operation.SUBTRACT_PRODUCT: lambda a, b, c: fma32(a ^ SIGN, b, c),
    Operation.COPY: lambda a, b, c: a,
    Operation.ABSOLUTE: lambda a, b, c: a & ~SIGN,
    Operation.NEGATE: lambda a, b, c: a ^ SIGN,
    Operation.COPY_SIGN: lambda a, b, c: (a & ~SIGN) | (b & SIGN),
    Operation.MINIMUM: lambda a, b, c: _extreme(a, b, greatest=False),
    Operation.MAXIMUM: lambda a, b, c: _extreme(a, b, greatest=True),
    Operation.EQUAL: lambda a, b, c: _truth(_value(a) == _value(b)),
    Operation.LESS: lambda a, b, c: _truth(_value(a) < _value(b)),
    Operation.LESS_EQUAL: lambda a, b, c: _truth(_value(a) <= _value(b)),
    Operation.SELECT: lambda a, b, c: np.where(a & 1, b, c),
    Operation.ADD_INTEGER: lambda a, b, c: a + b,
    Operation.SUBTRACT_INTEGER: lambda a, b, c: a - b,
    Operation.MULTIPLY_INTEGER: lambda a, b, c: a.astype(np.uint64) * b & 0xFFFFFFFF,
    Operation.MINIMUM_INTEGER: lambda a, b, c: np.minimum(_signed(a), _signed(b)).view(np.uint32),
    Operation.MAXIMUM_INTEGER: lambda a, b, c: np.maximum(_signed(a), _signed(b)).view(np.uint32),
    Operation.EQUAL_INTEGER: lambda a, b, c: _truth(a == b),
    Operation.LESS_INTEGER: lambda a, b, c: _truth(_signed(a) < _signed(b)),
    Operation.AND: lambda a, b, c: a & b,
    Operation.OR: lambda a, b, c: a | b,
    Operation.EXCLUSIVE_OR: lambda a, b, c: a ^ b,
    Operation.SHIFT_LEFT: lambda a, b, c: a << (b & 31),
    Operation.SHIFT_RIGHT: lambda a, b, c: a >> (b & 31),
    Operation.SHIFT_ARITHMETIC: lambda a, b, c: (_signed(a) >> (b & 31).astype(np.int32)).view(np.uint32),
    Operation.TO_INTEGER: lambda a, b, c: binary32_to_int32(a),
    Operation.FROM_INTEGER: lambda a, b, c: int32_to_binary32(a),
    Operation.NARROW: lambda a, b, c: _narrow(a, b),
    Operation.WIDEN: lambda a, b, c: _widen(a, b),
    Operation.EXPONENT: lambda a, b, c: exponent_of(a).astype(np.int32).view(np.uint32),
    Operation.SIGNIFICAND: lambda a, b, c: _significand(a),
    Operation.SCALE: lambda a, b, c: _scale(a, b),
    Operation.RECIPROCAL_SEED: lambda a, b, c: _reciprocal_seed(a),
    Operation.ROOT_SEED: lambda a, b, c: _root_seed(a),
}
