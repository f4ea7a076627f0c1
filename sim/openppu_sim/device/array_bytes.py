"""Arrays that a device is given or asked for, made sure of: numbers, shapes, bytes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from openppu_sim.checks import whole
from openppu_sim.errors import UserError

NUMBERS = "biufcV"
"""Kinds of numpy's types that are bits in memory; V: bfloat16 and its like, and records."""


def bytes_of(array: object) -> bytes:
    """The bytes of an array's elements, in C order, the low byte of each first.

    Raises
    ------
    UserError
        If it is no array, or one whose elements are no numbers.
    """
    if not isinstance(array, np.ndarray | np.generic):
        raise UserError(f"{type(array).__name__}: give a numpy array, such as numpy.array(..., numpy.int32)")
    return np.ascontiguousarray(array, _kind(array.dtype).newbyteorder("<")).tobytes()


def array_of(data: bytes, sizes: tuple[int, ...], kind: np.dtype) -> NDArray[Any]:
    """The array of bytes as `bytes_of` makes them, in the byte order that its type has."""
    return np.frombuffer(data, kind.newbyteorder("<")).reshape(sizes).astype(kind)


def place_of(shape: int | Sequence[int], dtype: DTypeLike) -> tuple[tuple[int, ...], np.dtype, int]:
    """The shape of an array, its elements' type, and its bytes.

    Raises
    ------
    UserError
        If there is no such array.
    """
    given: Any = shape if isinstance(shape, Sequence | np.ndarray) else (shape,)
    sizes = tuple(whole("shape", size) for size in given)
    if any(size < 0 for size in sizes):
        raise UserError(f"shape = {shape}: give sizes of 0 or more")
    try:
        kind = _kind(np.dtype(dtype))
    except (TypeError, ValueError) as error:
        raise UserError(f"dtype = {dtype!r}: {error}; give one of numpy's, such as numpy.int32") from None
    return sizes, kind, math.prod(sizes) * kind.itemsize


def _kind(dtype: np.dtype) -> np.dtype:
    if dtype.hasobject or dtype.kind not in NUMBERS or not dtype.itemsize:
        raise UserError(f"elements of type {dtype}: give numbers, such as numpy.int32")
    return dtype
