"""Requantisation to int8, in steps that hardware has too.

A value is multiplied by a binary32 scale (rounded to nearest even), rounded to an integer (nearest even), the zero
point is added, and the sum is clamped to [-128, 127]. An int32 value is first rounded to binary32.

The integer saturates to int32 before the zero point is added, so infinities give -128 or 127; a NaN (from a NaN scale
or value, or from 0 * infinity) counts as 0 and gives the zero point. As a zero point is an int8, saturating to any
range that includes [-256, 255] gives the same result.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import mul32
from .formats import binary32_to_int32, int32_to_binary32


def binary32_to_int8(bits: Any, scale: Any, zero_point: Any = 0) -> NDArray[np.uint8]:
    """Requantise binary32 patterns.

    Parameters
    ----------
    bits : array of uint32
        Binary32 patterns.
    scale : array of uint32
        Binary32 patterns of the multiplier (not a divisor); broadcast, so one a tensor or one a channel.
    zero_point : int or array of integers
        From -128 to 127; broadcast.

    Returns
    -------
    array of uint8
        int8 patterns.

    Raises
    ------
    ValueError
        If a dtype is wrong or a zero point out of range.
    """
    zero = np.asarray(zero_point)
    if zero.dtype.kind not in "iu":
        raise ValueError(f"zero_point must be an integer from -128 to 127, got {zero.dtype}")
    if zero.size and (zero.min() < -128 or zero.max() > 127):
        raise ValueError(f"zero_point must lie from -128 to 127, got {zero.min()} to {zero.max()}")
    steps = binary32_to_int32(mul32(bits, scale)).view(np.int32)
    return np.clip(steps.astype(np.int64) + zero.astype(np.int64), -128, 127).astype(np.int8).view(np.uint8)


def int32_to_int8(bits: Any, scale: Any, zero_point: Any = 0) -> NDArray[np.uint8]:
    """Requantise int32 patterns (uint32, two's complement); otherwise as ``binary32_to_int8``."""
    return binary32_to_int8(int32_to_binary32(bits), scale, zero_point)
