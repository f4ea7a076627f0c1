"""Multiply, add and fused multiply-add on bit patterns, each rounded once (IEEE 754-2019, clauses 5.4.1 and 6).

How one rounding is had from float64 arithmetic. The product of two binary32 values has at most 48 significant bits
and lies between 2**-298 and 2**256, so it is exact in float64. Its sum with a binary32 value is split, without error,
into a float64 ``total`` and the ``rest`` that float64's rounding dropped (Knuth's TwoSum). If ``rest`` is not zero,
``total`` is moved to the neighbour whose last bit is 1 on the side of ``rest`` (rounding to odd). That value lies on
the same side of every binary32 value, and of every midpoint between two of them, as the exact sum, since float64 has 29
bits more; so rounding it to binary32 rounds the exact sum correctly, subnormals and overflow included (Boldo and
Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers 57(4), 2008).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, Format

from .formats import Bits32, canonical_binary32, require_bits, to_float64


def round_sum(product: NDArray[np.float64], addend: NDArray[np.float64]) -> NDArray[np.float32]:
    """``product + addend`` rounded once to binary32.

    Parameters
    ----------
    product, addend : array of float64
        Exact product of two binary32 values, and a binary32 value; shapes broadcast.

    Returns
    -------
    array of float32
        NaNs have any sign and payload. numpy's floating-point warnings are the caller's to silence.
    """
    total = np.empty(np.broadcast_shapes(product.shape, addend.shape))
    np.add(product, addend, out=total)
    part = total - product
    rest = (product - (total - part)) + (addend - part)
    # With an infinity or a NaN about, rest is NaN, both comparisons are false and total stands.
    bits = total.view(np.int64)
    bits -= rest * total < 0
    bits |= np.abs(rest) > 0
    return total.astype(np.float32)


def fma(a: Any, b: Any, c: Any, fmt: Format) -> Bits32:
    """One step of a matrix product: ``a * b + c``.

    Parameters
    ----------
    a, b : array of uint8 or uint16
        Patterns of ``fmt``.
    c : array of uint32
        Accumulator patterns: binary32, or int32 if ``fmt`` is int8. Shapes broadcast.

    Returns
    -------
    array of uint32
        Floats: fusedMultiplyAdd in binary32, any NaN is 0x7FC00000. int8: the sum modulo 2**32.

    Raises
    ------
    ValueError
        If a dtype is wrong.
    """
    left = to_float64(require_bits("a", a, fmt), fmt)
    right = to_float64(require_bits("b", b, fmt), fmt)
    addend = require_bits("c", c, BINARY32)
    with np.errstate(all="ignore"):
        product = np.asarray(left * right)
        if not fmt.is_float:
            return product.astype(np.int32).view(np.uint32) + addend
        return canonical_binary32(round_sum(product, _widen32(addend)))


def fma32(a: Any, b: Any, c: Any) -> Bits32:
    """fusedMultiplyAdd of binary32 patterns (uint32, shapes broadcast): ``a * b + c``; any NaN is 0x7FC00000."""
    left, right, addend = (require_bits(name, x, BINARY32) for name, x in (("a", a), ("b", b), ("c", c)))
    with np.errstate(all="ignore"):
        product = np.asarray(_widen32(left) * _widen32(right))
        return canonical_binary32(round_sum(product, _widen32(addend)))


def add32(a: Any, b: Any) -> Bits32:
    """Sum of binary32 patterns (uint32, shapes broadcast); any NaN is 0x7FC00000."""
    left, right = require_bits("a", a, BINARY32), require_bits("b", b, BINARY32)
    with np.errstate(all="ignore"):
        return canonical_binary32(round_sum(_widen32(left), _widen32(right)))


def mul32(a: Any, b: Any) -> Bits32:
    """Product of binary32 patterns (uint32, shapes broadcast); any NaN is 0x7FC00000."""
    left, right = require_bits("a", a, BINARY32), require_bits("b", b, BINARY32)
    with np.errstate(all="ignore"):
        return canonical_binary32(np.asarray(_widen32(left) * _widen32(right)).astype(np.float32))


def _widen32(bits: Any) -> NDArray[np.float64]:
    """binary32 patterns as float64 values, exactly."""
    return bits.view(np.float32).astype(np.float64)
