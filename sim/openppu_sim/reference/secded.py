"""SECDED(72, 64) with numpy, from the definition of a Hsiao code; nothing is shared with the hardware.

A word of 72 bits is right if H times it is zero, modulo 2, where H = [columns of data bits | identity]. The columns are
different and of odd weight, so a single wrong bit gives its own column as the syndrome, and any two give a syndrome of
even weight, which is no column. Which columns: all 56 of weight three, in increasing order as numbers, then 0b00011111
rotated left by 0 to 7.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

DATA_BITS = 64
CHECK_BITS = 8

_THREES = sorted(sum(1 << bit for bit in bits) for bits in combinations(range(CHECK_BITS), 3))
_FIVES = [sum(1 << (bit + turn) % CHECK_BITS for bit in range(5)) for turn in range(CHECK_BITS)]
_COLUMNS = np.array([*_THREES, *_FIVES, *(1 << bit for bit in range(CHECK_BITS))], dtype=np.uint8)

MATRIX = (_COLUMNS[np.newaxis, :] >> np.arange(CHECK_BITS, dtype=np.uint8)[:, np.newaxis]) & 1
"""H: 8 rows of 72 ones and zeros; column i is that of data bit i, column 64 + i that of check bit i."""


def encode(data: Any) -> NDArray[np.uint8]:
    """The check bits of words of data.

    Parameters
    ----------
    data : array of uint64

    Returns
    -------
    array of uint8, of the same shape

    Raises
    ------
    ValueError
        If the dtype is wrong.
    """
    return _pack(_bits(data, np.dtype(np.uint64)) @ MATRIX[:, :DATA_BITS].T % 2)


def decode(data: Any, check: Any) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """What was read, corrected.

    Parameters
    ----------
    data : array of uint64
    check : array of uint8, of the same shape

    Returns
    -------
    data : array of uint64
        Corrected; as it was read where that is impossible.
    syndrome : array of uint8
    corrected, uncorrectable : arrays of bool
        One bit was wrong; several were.

    Raises
    ------
    ValueError
        If a dtype is wrong.
    """
    word = np.concatenate([_bits(data, np.dtype(np.uint64)), _bits(check, np.dtype(np.uint8))], axis=-1)
    syndrome = word @ MATRIX.T % 2
    # At most one column equals the syndrome.
    wrong = (syndrome[..., np.newaxis, :] == MATRIX.T).all(axis=-1)
    corrected = wrong.any(axis=-1)
    values = np.uint64(1) << np.arange(DATA_BITS, dtype=np.uint64)
    flips = (wrong[..., :DATA_BITS] * values).sum(axis=-1, dtype=np.uint64)
    return np.asarray(data) ^ flips, _pack(syndrome), corrected, syndrome.any(axis=-1) & ~corrected


def _bits(words: Any, wanted: np.dtype[Any]) -> NDArray[np.uint8]:
    array = np.asarray(words)
    if array.dtype != wanted:
        raise ValueError(f"give words as {wanted}, not {array.dtype}")
    places = np.arange(8 * wanted.itemsize, dtype=wanted)
    return (array[..., np.newaxis] >> places & wanted.type(1)).astype(np.uint8)


def _pack(bits: NDArray[Any]) -> NDArray[np.uint8]:
    return np.packbits(bits.astype(np.uint8), axis=-1, bitorder="little")[..., 0]
