"""Matrices in the scratchpad, and the streams that walk over them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32

from openppu_sim.kernels.vector.commands import SetStream, format_named
from openppu_sim.reference.formats import bits_dtype


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Rows of elements in the scratchpad; int32 has the format ``binary32``, as all 32-bit words.

    Parameters
    ----------
    base : int
        Byte address of the first element.
    rows, columns : int
    pitch : int
        Bytes from a row to the next, a multiple of the bytes of L elements.
    format : str
    """

    base: int
    rows: int
    columns: int
    pitch: int
    format: str = BINARY32.name

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return format_named(self.format).bits // 8

    @property
    def end(self) -> int:
        """The first byte address behind it."""
        return self.base + self.rows * self.pitch

    def write(self, memory: NDArray[np.uint8], bits: NDArray[Any]) -> None:
        """Put encoded elements of shape (rows, columns) into a scratchpad."""
        self._view(memory)[...] = bits

    def read(self, memory: NDArray[np.uint8]) -> NDArray[Any]:
        """The encoded elements in a scratchpad."""
        return self._view(memory).copy()

    def _view(self, memory: NDArray[np.uint8]) -> NDArray[Any]:
        dtype = np.dtype(bits_dtype(format_named(self.format)))
        return np.ndarray(
            (self.rows, self.columns), dtype, memory, offset=self.base, strides=(self.pitch, self.element_bytes)
        )


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """A part of a matrix's rows as strips: ``groups`` of ``rows`` rows from row ``first`` on."""

    first: int
    rows: int
    groups: int


def blocks(rows: int, most: int) -> list[Blocks]:
    """All rows, in strips of ``most``, then what is left as a strip of its own."""
    whole, rest = divmod(rows, most)
    parts = [Blocks(first=0, rows=most, groups=whole)] if whole else []
    return parts + ([Blocks(first=whole * most, rows=rest, groups=1)] if rest else [])


def chunks(columns: int, lanes: int) -> int:
    """Words of L elements in a row."""
    return -(-columns // lanes)


def walk(
    stream: int, matrix: Matrix, part: Blocks, lanes: int, *, passes: int = 1, fill: int = 0, **fields: Any
) -> SetStream:
    """A stream over a part's groups, ``passes`` times over each: chunk after chunk, the rows of each."""
    return SetStream(
        stream=stream,
        base=matrix.base + part.first * matrix.pitch,
        counts=(part.rows, chunks(matrix.columns, lanes), passes, part.groups),
        strides=(matrix.pitch, lanes * matrix.element_bytes, 0, part.rows * matrix.pitch),
        format=format_named(matrix.format).code,
        tail=matrix.columns % lanes,
        fill=fill,
        **fields,
    )


def each_row(stream: int, vector: Matrix, part: Blocks, lanes: int, *, passes: int = 1) -> SetStream:
    """A stream that gives every row of a matrix the same row: ``vector``, a matrix of one row."""
    walked = walk(stream, replace(vector, rows=part.rows, pitch=0), replace(part, first=0), lanes, passes=passes)
    return replace(walked, base=vector.base)


def each_column(stream: int, vector: Matrix, part: Blocks) -> SetStream:
    """A stream that gives all lanes of a row the same element, once for each group; ``vector`` has one column."""
    return SetStream(
        stream=stream,
        base=vector.base + part.first * vector.pitch,
        counts=(part.rows, part.groups),
        strides=(vector.pitch, part.rows * vector.pitch),
        format=format_named(vector.format).code,
        single=True,
    )


def packed_column(stream: int, vector: Matrix, part: Blocks, lanes: int) -> SetStream:
    """A stream of packed rows to ``vector``, one element for each row of the part; they lie one behind the other.

    ``part.first`` must be a multiple of the lanes.
    """
    size = lanes * vector.element_bytes
    return SetStream(
        stream=stream,
        base=vector.base + part.first * vector.element_bytes,
        counts=(-(-part.rows // lanes), part.groups),
        strides=(size, part.rows * vector.element_bytes if part.groups > 1 else 0),
        format=format_named(vector.format).code,
        tail=part.rows % lanes,
        tail_dimension=0,
    )


class Layout:
    """Places for matrices in a scratchpad, one behind the other, each row a whole number of chunks.

    Parameters
    ----------
    word_bytes : int
        Of the scratchpad: 4 L.
    start : int
        The first byte that is free.
    """

    def __init__(self, *, word_bytes: int, start: int = 0):
        self.word_bytes = word_bytes
        self.end = start

    def matrix(self, rows: int, columns: int, format: str = BINARY32.name) -> Matrix:
        """The next place."""
        size = format_named(format).bits // 8
        pitch = chunks(columns, self.word_bytes // 4) * self.word_bytes // 4 * size
        base = -(-self.end // self.word_bytes) * self.word_bytes
        self.end = -(-(base + rows * pitch) // self.word_bytes) * self.word_bytes
        return Matrix(base=base, rows=rows, columns=columns, pitch=pitch, format=format)
