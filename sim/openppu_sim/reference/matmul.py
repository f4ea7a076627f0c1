"""The matrix product that defines what the tile computes, to the last bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, Format

from .arithmetic import round_sum
from .formats import Bits32, canonical_binary32, require_bits, to_float64

# Outputs worked on together: their temporaries (64 KiB each) stay in a core's cache.
_BLOCK = 8192


def matmul(a: Any, b: Any, c: Any | None, fmt: Format) -> Bits32:
    """``D = A @ B + C`` with one fused multiply-add for each product, in increasing k.

    ``D[m, n] = fma(A[m, K-1], B[K-1, n], ... fma(A[m, 0], B[0, n], C[m, n]))``, so the bits depend neither on the size
    of an array nor on the tiling. Cost: 5 to 10 ns for each multiply-add of floats.

    Parameters
    ----------
    a : array of uint8 or uint16, shape (M, K)
    b : array of uint8 or uint16, shape (K, N)
        Patterns of ``fmt``.
    c : array of uint32, shape (M, N), or None
        Accumulator patterns: binary32, or int32 if ``fmt`` is int8. None stands for +0.0, or 0.
    fmt : Format
        Operand format.

    Returns
    -------
    array of uint32, shape (M, N)
        Accumulator patterns. Floats: any NaN is 0x7FC00000. int8: modulo 2**32.

    Raises
    ------
    ValueError
        If a dtype is wrong, a shape does not fit, or a dimension is 0.
    """
    left, right = require_bits("A", a, fmt), require_bits("B", b, fmt)
    for name, array in (("A", left), ("B", right)):
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"{name} must be a matrix with no dimension of 0, got shape {array.shape}")
    if left.shape[1] != right.shape[0]:
        raise ValueError(f"A of shape {left.shape} and B of shape {right.shape} do not multiply: K differs")
    shape = left.shape[0], right.shape[1]
    start = require_bits("C", np.zeros(shape, np.uint32) if c is None else c, BINARY32)
    if start.shape != shape:
        raise ValueError(f"C must have shape {shape} to be added to A @ B, got {start.shape}")

    if fmt.is_float:
        return _float_matmul(to_float64(left, fmt), to_float64(right, fmt), start)
    # Every partial sum is an integer below 2**53, so float64 is exact in any order.
    exact = to_float64(left, fmt) @ to_float64(right, fmt)
    return exact.astype(np.int64).astype(np.uint32) + start


def _float_matmul(left: NDArray[np.float64], right: NDArray[np.float64], start: Bits32) -> Bits32:
    rows, columns = start.shape
    result = start.view(np.float32).copy()
    column_step = min(columns, _BLOCK)
    row_step = _BLOCK // column_step
    for top in range(0, rows, row_step):
        for first in range(0, columns, column_step):
            block = np.s_[top : top + row_step, first : first + column_step]
            result[block] = _float_block(left[block[0]], right[:, block[1]], result[block])
    return canonical_binary32(result)


def _float_block(
    left: NDArray[np.float64], right: NDArray[np.float64], start: NDArray[np.float32]
) -> NDArray[np.float32]:
    total = start
    with np.errstate(all="ignore"):
        for k in range(left.shape[1]):
            total = round_sum(left[:, k, None] * right[k], total.astype(np.float64))
    return total
