"""The check bits of a memory's accesses, by the name of the code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from openppu_sim.reference import secded, symbol_code

ACCESS_BITS = 256


def encode(data: Any, ecc: str) -> NDArray[np.uint8]:
    """The check bits of accesses.

    Parameters
    ----------
    data : array of uint8, (..., 32)
        Bytes of an access, the first beat's first.
    ecc : str
        "secded", "symbol", or "none" for zeros.

    Returns
    -------
    array of uint8, (..., 4)
        The check bits of each beat.

    Raises
    ------
    ValueError
        If the dtype is wrong.
    """
    if ecc == "symbol":
        return symbol_code.encode(data)
    check = secded.encode(np.ascontiguousarray(data).view(np.uint64))
    return check if ecc == "secded" else np.zeros_like(check)


def columns(ecc: str) -> list[int]:
    """Of each data bit of an access, the check bits of the access of that bit alone; all others are sums of these."""
    single = np.packbits(np.eye(ACCESS_BITS, dtype=np.uint8), axis=-1, bitorder="little")
    return [int.from_bytes(check.tobytes(), "little") for check in encode(single, ecc)]
