"""Choosing among the entries of a queue, whose place is their age: the lowest bit is the oldest."""

from collections.abc import Sequence
from functools import reduce
from operator import or_

from amaranth import Const, Mux, Value, ValueLike


def oldest(candidates: Value) -> Value:
    """The lowest set bit alone, or nothing."""
    return (candidates & (~candidates + 1))[: len(candidates)]


def gather(chosen: Value, values: Sequence[ValueLike]) -> Value:
    """The value at the one set bit of ``chosen``; the OR of several, and 0 of none."""
    return tree(or_, [Mux(chosen[place], value, 0) for place, value in enumerate(values)])


def tree(combine, values: list) -> Value:
    """``values`` joined by an associative operation, in the depth of a balanced tree."""
    while len(values) > 1:
        values = [reduce(combine, values[place : place + 2]) for place in range(0, len(values), 2)]
    return values[0]


def at_least(count: int, mask: Value) -> Value:
    """Whether so many bits are set."""
    for _ in range(count - 1):
        mask = mask & (mask - 1)[: len(mask)]
    return mask.any()


def one_hot(place: Value, width: int) -> Value:
    """``width`` bits, of which the one at ``place`` is set."""
    return (Const(1, width) << place)[:width]
