"""What collectives give, bit for bit: written from docs/collectives.md, which defines the order of every sum.

Vectors are raw bits: uint32 for binary32 and int32, uint16 for bf16. Sums of bf16 are added in binary32, and rounded
when they are finished; with hops of bf16 also wherever they travel before that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from openppu.formats.spec import BF16

from .arithmetic import add32
from .formats import Bits, Bits32, from_binary32, to_binary32

SLICE_BEATS = 2048


@dataclass(frozen=True, kw_only=True)
class Order:
    """How elements are added.

    Parameters
    ----------
    algorithm : str
        one_shot, direct, halving_doubling, ring, two_level.
    ranks : int
    beat_bytes : int
        Of the link; parts are whole beats.
    groups : tuple of tuples of int
        Ranks by group, for two_level.
    narrow_hops : bool
        bf16 sums travel as bf16.
    """

    algorithm: str
    ranks: int
    beat_bytes: int
    groups: tuple[tuple[int, ...], ...] = ()
    narrow_hops: bool = False


def all_reduce(vectors: Sequence[Bits], fmt: str, order: Order) -> Bits:
    """The sum of all ranks' vectors, which is every rank's result."""
    width = vectors[0].dtype.itemsize
    grain = order.beat_bytes // width
    whole = len(vectors[0])
    result = np.empty_like(vectors[0])
    step = SLICE_BEATS * grain * order.ranks
    for low in range(0, whole, step):
        high = min(low + step, whole)
        beats = -(-(high - low) // grain)
        each = -(-beats // order.ranks) * grain
        for part in range(order.ranks):
            begin, end = (min(low + index * each, high) for index in (part, part + 1))
            result[begin:end] = reduce_part([vector[begin:end] for vector in vectors], part, fmt, order)
    return result


def reduce_scatter(vectors: Sequence[Sequence[Bits]], fmt: str, order: Order) -> list[Bits]:
    """What each rank gets: ``vectors[rank][part]`` are what they have."""
    results = []
    step = SLICE_BEATS * order.beat_bytes // vectors[0][0].dtype.itemsize
    for part in range(order.ranks):
        result = np.empty_like(vectors[0][part])
        for low in range(0, len(result), step):
            cut = slice(low, low + step)
            result[cut] = reduce_part([vector[part][cut] for vector in vectors], part, fmt, order)
        results.append(result)
    return results


def all_gather(vectors: Sequence[Bits]) -> list[Bits]:
    """What every rank gets: the parts of all ranks in their order."""
    return list(vectors)


def all_to_all(vectors: Sequence[Sequence[Bits]]) -> list[list[Bits]]:
    """What each rank gets: of each rank the part that is for it."""
    return [[vector[rank] for vector in vectors] for rank in range(len(vectors))]


def reduce_part(operands: Sequence[Bits], part: int, fmt: str, order: Order) -> Bits:
    """The sum of one part of all ranks' vectors; ``part`` is its number, which is that of the rank that gets it."""
    add, finish, hop = _arithmetic(fmt, order.narrow_hops)
    values = [to_binary32(operand, BF16) if fmt == "bf16" else operand for operand in operands]
    if order.algorithm in ("one_shot", "direct"):
        return finish(_tree(values, add))
    if order.algorithm == "halving_doubling":
        return finish(_tree(values, add, hop))
    if order.algorithm == "two_level":
        inside = [hop(_tree([values[rank] for rank in group], add)) for group in order.groups]
        return finish(_tree(inside, add))
    assert order.algorithm == "ring", order.algorithm
    grain = order.beat_bytes // operands[0].dtype.itemsize
    beats = -(-len(operands[0]) // grain)
    cut = min(-(-beats // 2) * grain, len(operands[0]))
    ranks = order.ranks
    one = [values[(part + step) % ranks][:cut] for step in range(1, ranks + 1)]
    other = [values[(part - step) % ranks][cut:] for step in range(1, ranks + 1)]
    return finish(np.concatenate([_chain(one, add, hop), _chain(other, add, hop)]))


Add = Callable[[Bits32, Bits32], Bits32]
Round = Callable[[Bits32], Bits32]


def _arithmetic(fmt: str, narrow_hops: bool) -> tuple[Add, Callable[[Bits32], Bits], Round]:
    """How to add, what a finished sum becomes, and what one that travels becomes."""
    if fmt == "int32":
        return (lambda a, b: a + b), (lambda total: total), (lambda total: total)
    if fmt == "binary32":
        return add32, (lambda total: total), (lambda total: total)

    def finish(total: Bits32) -> Bits:
        return from_binary32(total, BF16)

    def travel(total: Bits32) -> Bits32:
        return to_binary32(finish(total), BF16)

    return add32, finish, travel if narrow_hops else (lambda total: total)


def _tree(values: Sequence[Bits32], add: Add, hop: Round = lambda total: total) -> Bits32:
    """Neighbours first: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)); what has no neighbour goes up alone."""
    level = list(values)
    while len(level) > 1:
        pairs = [level[place : place + 2] for place in range(0, len(level), 2)]
        level = [add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        if len(level) > 1:
            level = [hop(total) for total in level]
    return level[0]


def _chain(values: Sequence[Bits32], add: Add, hop: Round) -> Bits32:
    """One after the other, in order."""
    total = values[0]
    for place, value in enumerate(values[1:]):
        total = add(hop(total) if place else total, value)
    return total
