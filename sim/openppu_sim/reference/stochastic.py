"""Stochastic rounding with random bits that depend on a place and a seed alone (``docs/matmul.md``)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, Format

from openppu_sim.reference.formats import Bits, bits_dtype, require_bits

ROUNDS = 8
STEPS = 16
"""Bits of a random number, and of what is cut off that is looked at."""


def position_random(rows: Any, columns: Any, seed: int) -> NDArray[np.uint16]:
    """16 bits for each row and column: rounds of Speck32's round function, the halves of the seed as keys.

    Parameters
    ----------
    rows, columns : array of int
        Below 2**16; broadcast.
    seed : int
        32 bits.
    """
    x, y = (np.asarray(value).astype(np.int64) for value in np.broadcast_arrays(rows, columns))
    for number in range(ROUNDS):
        key = seed >> (16 if number % 2 else 0) & 0xFFFF
        x = ((x >> 7 | x << 9) + y & 0xFFFF) ^ key ^ number
        y = ((y << 2 | y >> 14) & 0xFFFF) ^ x
    return x.astype(np.uint16)


def narrow_stochastically(bits: Any, fmt: Format, random: Any, *, saturate: bool = True) -> Bits:
    """Round binary32 patterns to a float format, away from zero with the probability that the rest says.

    A number between two neighbours of the format goes to the one away from zero if the first bits of the part of a step
    that is cut off (16, or as many as binary32 has more than the format, if those are fewer) and ``random``, both as
    fractions, make 1 or more. What is too large, infinities and NaNs are treated as by rounding to nearest.

    Parameters
    ----------
    bits : array of uint32
    fmt : Format
        A float format of 8 or 16 bits.
    random : array of uint16
    saturate : bool
        As for ``from_binary32``.
    """
    pattern = require_bits("bits", bits, BINARY32).astype(np.int64)
    sign = pattern >> 31 << (fmt.bits - 1)
    magnitude = pattern & 0x7FFFFFFF
    finite = np.where(magnitude < BINARY32.infinity_bits, magnitude, 0).astype(np.uint32).view(np.float32)
    exponent = np.maximum((magnitude >> 23) - BINARY32.bias, 1 - fmt.bias)
    exact = np.ldexp(finite.astype(np.float64), fmt.fraction_bits - exponent)
    whole = np.floor(exact)
    more = BINARY32.fraction_bits - fmt.fraction_bits
    looked_at = min(STEPS, more)
    rest = np.floor((exact - whole) * (1 << looked_at)).astype(np.int64) << (STEPS - looked_at)
    units = whole.astype(np.int64) + (rest + np.asarray(random).astype(np.int64) >> STEPS)
    rounded = ((exponent - (1 - fmt.bias)) << fmt.fraction_bits) + units

    saturated = saturate and fmt.bits == 8
    too_large = fmt.max_finite_bits if saturated else fmt.infinity_bits if fmt.has_infinity else fmt.nan_bits
    beyond = (rounded > fmt.max_finite_bits) | (magnitude == BINARY32.infinity_bits)
    result = sign | np.where(beyond, too_large, rounded)
    is_nan = (magnitude > BINARY32.infinity_bits) | (beyond & (too_large == fmt.nan_bits))
    return np.where(is_nan, fmt.nan_bits, result).astype(bits_dtype(fmt))
