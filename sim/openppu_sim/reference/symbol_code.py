"""The Reed-Solomon code of the memory's bursts with numpy, from its definition; nothing is shared with the hardware.

The field is GF(256) with x^8 + x^4 + x^3 + x^2 + 1, whose element 2 makes all others but zero. A burst is a polynomial
of 36 symbols: check symbols 0 to 3 are the coefficients of z^0 to z^3, data symbol i that of z^(4 + i). It is right if
it is zero at z = 1, 2, 4 and 8. The check symbols are what is left of the data's part divided by (z+1)(z+2)(z+4)(z+8).

Bit 2b + n of a symbol is, of beat b, wire 2i + n of the 64 data wires or of the 8 check wires.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BEATS, DATA_BYTES, CHECK_SYMBOLS, SYMBOLS = 4, 32, 4, 36
_ORDER = 255


def _powers() -> list[int]:
    powers = [1]
    for _ in range(_ORDER - 1):
        doubled = powers[-1] << 1
        powers.append(doubled ^ 0x11D if doubled > _ORDER else doubled)
    return powers


_POWERS = np.array(_powers() * 2, dtype=np.uint8)
_LOGS = np.zeros(256, dtype=np.int64)
_LOGS[_POWERS[:_ORDER]] = np.arange(_ORDER)


def multiply(a: Any, b: Any) -> NDArray[np.uint8]:
    """Products in the field, element by element, of arrays of uint8."""
    a, b = np.asarray(a, dtype=np.uint8), np.asarray(b, dtype=np.uint8)
    return np.where((a == 0) | (b == 0), np.uint8(0), _POWERS[_LOGS[a] + _LOGS[b]])


def encode(data: Any) -> NDArray[np.uint8]:
    """The check bits of bursts.

    Parameters
    ----------
    data : array of uint8, (..., 32)
        Bytes of a burst, the first beat's first.

    Returns
    -------
    array of uint8, (..., 4)
        The check bits of each beat.

    Raises
    ------
    ValueError
        If the dtype or the shape is wrong.
    """
    symbols = _symbols(data, DATA_BYTES)
    divisor = [1]
    for root in _POWERS[:CHECK_SYMBOLS]:
        divisor = [int(x) for x in multiply([0, *divisor], root) ^ np.array([*divisor, 0], dtype=np.uint8)]
    # Long division, the highest power first; divisor[0] is 1.
    left = np.concatenate([symbols[..., ::-1], np.zeros((*symbols.shape[:-1], CHECK_SYMBOLS), np.uint8)], axis=-1)
    for place in range(DATA_BYTES):
        left[..., place : place + len(divisor)] ^= multiply(left[..., place, np.newaxis], divisor)
    return _bursts(left[..., : DATA_BYTES - 1 : -1])


def values_at_roots(data: Any, check: Any) -> NDArray[np.uint8]:
    """Bursts as polynomials, at z = 1, 2, 4 and 8: (..., 4); four zeros for each that is right."""
    symbols = np.concatenate([_symbols(check, CHECK_SYMBOLS), _symbols(data, DATA_BYTES)], axis=-1)
    powers = np.arange(SYMBOLS)
    terms = [multiply(symbols, _POWERS[root * powers % _ORDER]) for root in range(CHECK_SYMBOLS)]
    return np.stack([np.bitwise_xor.reduce(each, axis=-1) for each in terms], axis=-1)


def decode(data: Any, check: Any) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """What was read, corrected.

    Parameters
    ----------
    data : array of uint8, (..., 32)
    check : array of uint8, (..., 4)

    Returns
    -------
    data : array of uint8, (..., 32)
        Corrected; as it was read where that is impossible.
    corrected : array of bool
        One symbol was wrong.
    symbol : array of int
        Which: 0 to 31 of the data, 32 to 35 of the check symbols; 0 if none was corrected.
    uncorrectable : array of bool
        Several were.

    Raises
    ------
    ValueError
        If a dtype or a shape is wrong.
    """
    data = np.asarray(data)
    values = values_at_roots(data, check)
    # A symbol wrong by v at z^p leaves v, v * 2^p, v * 4^p, v * 8^p.
    logs = _LOGS[values]
    steps = np.diff(logs, axis=-1) % _ORDER
    place = steps[..., 0]
    corrected = (values != 0).all(axis=-1) & (steps == place[..., np.newaxis]).all(axis=-1) & (place < SYMBOLS)
    wrong = corrected[..., np.newaxis] & (place[..., np.newaxis] == CHECK_SYMBOLS + np.arange(DATA_BYTES))
    errors = np.where(wrong, values[..., :1], np.uint8(0))
    symbol = np.where(corrected, (place - CHECK_SYMBOLS) % SYMBOLS, 0)
    return data ^ _bursts(errors), corrected, symbol, (values != 0).any(axis=-1) & ~corrected


def _symbols(burst: Any, count: int) -> NDArray[np.uint8]:
    """Bytes in the order of beats to symbols along the wires: (..., count) both."""
    array = np.asarray(burst)
    if array.dtype != np.uint8 or array.ndim == 0 or array.shape[-1] != count:
        raise ValueError(f"give bursts as uint8 (..., {count}), not {array.dtype} {array.shape}")
    bits = np.unpackbits(array.reshape(*array.shape[:-1], BEATS, count // BEATS), axis=-1, bitorder="little")
    pairs = bits.reshape(*array.shape[:-1], BEATS, count, 2)
    along = np.moveaxis(pairs, -3, -2).reshape(*array.shape[:-1], count, 2 * BEATS)
    return np.packbits(along, axis=-1, bitorder="little")[..., 0]


def _bursts(symbols: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Symbols along the wires to bytes in the order of beats: (..., count) both."""
    count = symbols.shape[-1]
    bits = np.unpackbits(symbols[..., np.newaxis], axis=-1, bitorder="little")
    pairs = np.moveaxis(bits.reshape(*symbols.shape, BEATS, 2), -2, -3)
    return np.packbits(pairs.reshape(*symbols.shape[:-1], BEATS, 2 * count), axis=-1, bitorder="little").reshape(
        *symbols.shape
    )
