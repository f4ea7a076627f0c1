"""A matrix product as commands and buffer images of the matmul tile (``docs/tile.md``)."""

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from openppu.config import TileConfig
from openppu.formats.spec import FORMATS

from openppu_sim.errors import UserError

MOST_PIECES = 500_000
"""N blocks of all commands together that a plan may have: half a minute's work for the cycle model."""


class Addend(IntEnum):
    """What the first K block of a command adds to."""

    ZERO = 0
    ACCUMULATOR = 1
    STREAM = 2


@dataclass(frozen=True, kw_only=True)
class TileCommand:
    """One command of the tile, field by field as ``docs/tile.md`` describes them; any integers that fit the fields."""

    format: int
    addend: int
    emit: int
    m: int
    n_blocks: int
    k_blocks: int
    k_last: int
    accumulator: int
    a_base: int
    a_k_stride: int
    a_row_stride: int
    b_base: int
    b_k_stride: int
    b_n_stride: int
    b_row_stride: int

    @property
    def rows(self) -> int:
        """Activation rows that the command issues, and requests."""
        return self.m * self.n_blocks * self.k_blocks

    def weight_rows(self, config: TileConfig) -> int:
        """Weight rows that the command requests."""
        return ((self.k_blocks - 1) * config.rows + self.k_last) * self.n_blocks

    def bound_cycles(self, config: TileConfig) -> int:
        """Sum over the command's blocks of max(m, R); a padded last K block counts R."""
        return max(self.m, config.rows) * self.n_blocks * self.k_blocks

    def is_refused(self, config: TileConfig) -> bool:
        """Whether the tile takes the command and does nothing else."""
        codes = [FORMATS[name].code for name in config.formats]
        counts = (self.m, self.n_blocks, self.k_blocks, self.k_last)
        return 0 in counts or self.k_last > config.rows or self.addend not in tuple(Addend) or self.format not in codes


@dataclass(frozen=True, kw_only=True)
class TilePlan:
    """D = A x B (+ C) as the tile runs it; made by `plan`.

    Parameters
    ----------
    m, k, n : int
        Shape: A is m x k, B is k x n, C and D are m x n.
    format : str
        Operand format.
    config : TileConfig
        The tile that it is made for.
    commands : tuple of TileCommand
        In the order in which they must be given.
    chunks : tuple of (int, int)
        First row and number of rows of each piece of M; a command computes one of them.
    groups : tuple of (int, int)
        First N block and number of N blocks of each piece of N; a command computes one of them.
    a_base, b_base : int
        Address of the first beat of each operand buffer image.
    next_accumulator : int
        Accumulator row at which a following plan does best to start.
    """

    m: int
    k: int
    n: int
    format: str
    config: TileConfig
    commands: tuple[TileCommand, ...]
    chunks: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, int], ...]
    a_base: int
    b_base: int
    next_accumulator: int

    @property
    def bound_cycles(self) -> int:
        """Sum over the blocks of all commands of max(M', R) for their M' rows; a padded last K block counts R."""
        return sum(command.bound_cycles(self.config) for command in self.commands)

    def activation_image(self, a: np.ndarray) -> np.ndarray:
        """Lay out A for the activation buffer.

        Parameters
        ----------
        a : ndarray, shape (m, k)
            Encoded operands.

        Returns
        -------
        ndarray, shape (beats, R), a's dtype
            Beat i belongs to address ``a_base + i``: K block by K block, and in each row by row; zeros past K.
        """
        _check_shape("A", a, (self.m, self.k))
        rows = self.config.rows
        k_blocks = -(-self.k // rows)
        padded = np.pad(a, ((0, 0), (0, k_blocks * rows - self.k)))
        return padded.reshape(self.m, k_blocks, rows).swapaxes(0, 1).reshape(-1, rows)

    def weight_image(self, b: np.ndarray) -> np.ndarray:
        """Lay out B for the weight buffer.

        Parameters
        ----------
        b : ndarray, shape (k, n)
            Encoded operands.

        Returns
        -------
        ndarray, shape (beats, C), b's dtype
            Beat i belongs to address ``b_base + i``: N block by N block, and in each row by row; zeros past N.
        """
        _check_shape("B", b, (self.k, self.n))
        return self._in_n_blocks(b).swapaxes(0, 1).reshape(-1, self.config.columns)

    def addend_rows(self, c: np.ndarray) -> np.ndarray:
        """The beats of the ``addends`` stream, in order: shape (results, C), c's dtype, from c of shape (m, n)."""
        _check_shape("C", c, (self.m, self.n))
        return self._in_n_blocks(c)[self._result_order()]

    def assemble(self, rows: np.ndarray) -> np.ndarray:
        """Put D together, shape (m, n), from the beats of the ``results`` stream in order, shape (results, C)."""
        n_blocks = -(-self.n // self.config.columns)
        _check_shape("the results", rows, (self.m * n_blocks, self.config.columns))
        d = np.empty((self.m, n_blocks, self.config.columns), rows.dtype)
        d[self._result_order()] = rows
        return d.reshape(self.m, -1)[:, : self.n]

    def _in_n_blocks(self, matrix: np.ndarray) -> np.ndarray:
        """A matrix of n columns as (rows, N blocks, C), with zeros past n."""
        columns = self.config.columns
        n_blocks = -(-self.n // columns)
        padded = np.pad(matrix, ((0, 0), (0, n_blocks * columns - self.n)))
        return padded.reshape(-1, n_blocks, columns)

    def _result_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Row of D and N block of each beat of ``results`` and ``addends``."""
        rows, blocks = [], []
        for row, m in self.chunks:
            for block, n_blocks in self.groups:
                rows.append(np.tile(np.arange(row, row + m), n_blocks))
                blocks.append(np.repeat(np.arange(block, block + n_blocks), m))
        return np.concatenate(rows), np.concatenate(blocks)


def plan(
    m: int,
    k: int,
    n: int,
    fmt: str,
    config: TileConfig,
    *,
    addend: Addend = Addend.ZERO,
    accumulator: int = 0,
    a_base: int = 0,
    b_base: int = 0,
    resident: bool = True,
) -> TilePlan:
    """Plan D = A x B (+ C) for one tile.

    M is cut into even chunks and N into even groups of blocks. One command computes one chunk of one group with k
    outermost, so that with enough blocks in a group no row waits for its own accumulator. Commands use the accumulator
    memory as a ring: a row of it is used again as late as possible, long after its result has left.

    Parameters
    ----------
    m, k, n : int, at least 1
        Shape: A is m x k, B is k x n.
    fmt : str
        Operand format, one that is built in.
    config : TileConfig
        The tile.
    addend : Addend
        ``ZERO``, or ``STREAM`` when the rows of C come on ``addends``.
    accumulator : int
        Accumulator row to start at, such as the ``next_accumulator`` of the plan before.
    a_base, b_base : int
        Addresses at which the buffer images start.
    resident : bool
        Whether A and B must fit their buffers whole. False: addresses wrap, as though the buffers were refilled in
        time; for predictions of problems larger than the buffers.

    Raises
    ------
    UserError
        If a size is not positive, the format is not built in, an operand does not fit its buffer, or the product is
        cut into more than `MOST_PIECES` pieces.
    """
    for name, size in (("M", m), ("K", k), ("N", n)):
        if size < 1:
            raise UserError(f"{name} = {size}: a matrix product needs M, K and N of at least 1; give non-empty arrays")
    if fmt not in config.formats:
        built = ", ".join(config.formats)
        raise UserError(f"format {fmt!r} is not built in (tile.formats = {built}): use one of these, or add it there")
    if addend not in (Addend.ZERO, Addend.STREAM):
        raise ValueError(f"a plan starts from zero or from the stream, not from {addend!r}")

    k_blocks, n_blocks = -(-k // config.rows), -(-n // config.columns)
    if resident:
        _check_fits("A", f"{m} x {k}", m * k_blocks, a_base, "activation", "M", config)
        _check_fits("B", f"{k} x {n}", k * n_blocks, b_base, "weight", "N", config)

    k_most = (1 << config.count_bits) - 1
    least = n_blocks * -(-k_blocks // k_most)
    pieces = least * -(-m // config.accumulators)
    if pieces > MOST_PIECES:
        raise UserError(
            f"a {_size(m)} x {_size(k)} x {_size(n)} product takes {_size(pieces)} pieces, at most {MOST_PIECES:,} are "
            "planned: give a larger tile.accumulators, tile.rows or tile.columns, or a smaller product"
        )
    chunks, groups = _cut(m, k_blocks, n_blocks, config, most=MOST_PIECES // least)
    address_mask = (1 << config.address_bits) - 1
    commands = []
    for row, chunk_m in chunks:
        for block, group_blocks in groups:
            for k_block in range(0, k_blocks, k_most):
                k_end = min(k_block + k_most, k_blocks)
                commands.append(
                    TileCommand(
                        format=FORMATS[fmt].code,
                        addend=int(addend if k_block == 0 else Addend.ACCUMULATOR),
                        emit=int(k_end == k_blocks),
                        m=chunk_m,
                        n_blocks=group_blocks,
                        k_blocks=k_end - k_block,
                        k_last=min(k - (k_end - 1) * config.rows, config.rows),
                        accumulator=accumulator,
                        a_base=(a_base + k_block * m + row) & address_mask,
                        a_k_stride=m & address_mask,
                        a_row_stride=1,
                        b_base=(b_base + block * k + k_block * config.rows) & address_mask,
                        b_k_stride=config.rows & address_mask,
                        b_n_stride=k & address_mask,
                        b_row_stride=1,
                    )
                )
            accumulator = (accumulator + chunk_m * group_blocks) % config.accumulators
    return TilePlan(
        m=m,
        k=k,
        n=n,
        format=fmt,
        config=config,
        commands=tuple(commands),
        chunks=chunks,
        groups=groups,
        a_base=a_base,
        b_base=b_base,
        next_accumulator=accumulator,
    )


Pieces = tuple[tuple[int, int], ...]


def _cut(m: int, k_blocks: int, n_blocks: int, config: TileConfig, *, most: int) -> tuple[Pieces, Pieces]:
    """At most ``most`` chunks of M, and groups of N blocks: the fewest chunks among those that cost fewest cycles."""
    rows, accumulators = config.rows, config.accumulators
    round_trip = rows * config.latency + 3 if k_blocks > 1 else 0
    best: tuple[int, int, int] | None = None
    least = -(-m // min(m, accumulators))
    for chunk_count in range(least, max(least, min(m // rows, most)) + 1):
        largest = -(-m // chunk_count)
        group_most = min(n_blocks, accumulators // largest)
        group_count = -(-n_blocks // group_most)
        chunk_sizes = ((largest, m - (largest - 1) * chunk_count), (largest - 1, largest * chunk_count - m))
        group = -(-n_blocks // group_count)
        group_sizes = ((group, n_blocks - (group - 1) * group_count), (group - 1, group * group_count - n_blocks))
        cost = sum(
            chunks * groups * max(blocks * max(size, rows), round_trip)
            for size, chunks in chunk_sizes
            for blocks, groups in group_sizes
        )
        ideal = n_blocks * sum(chunks * max(size, rows) for size, chunks in chunk_sizes)
        if best is None or cost < best[0]:
            best = (cost, chunk_count, group_count)
        if cost == ideal:
            break
    assert best is not None
    return _even(m, best[1]), _even(n_blocks, best[2])


def _size(number: int) -> str:
    """A size in a message, however large."""
    return f"{number:,}" if number < 10**15 else f"more than 10**{(len(hex(number)) - 3) * 6 // 5}"


def _even(total: int, count: int) -> Pieces:
    """(start, size) of ``count`` pieces of ``total`` whose sizes differ by one at most."""
    starts = [total * i // count for i in range(count + 1)]
    return tuple((start, end - start) for start, end in pairwise(starts))


def _check_fits(name: str, shape: str, beats: int, base: int, buffer: str, dimension: str, config: TileConfig) -> None:
    room = 1 << config.address_bits
    if base + beats <= room:
        return
    bits = (base + beats - 1).bit_length()
    wider = f"set tile.address_bits to {bits}, or " if bits <= 32 else ""
    start = f" from address {base} on" if base else ""
    raise UserError(
        f"{name} ({shape}) needs {beats} beats of the {buffer} buffer{start}, which has {room} "
        f"(tile.address_bits = {config.address_bits}): {wider}cut the problem along {dimension} or K"
    )


def _check_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, the plan is for {shape}")
