"""Closed forms: what a collective takes where no two messages of a step share a link and each goes one hop.

A step whose messages have M bytes then takes h + m(M) / b: h is a hop with what a step costs, m the bytes that a
message takes on the wire, b the rate of a link (or of the links between two chips). A collective takes s once, and its
steps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openppu_sim.cycles.link.algorithms import MOST_PIECES, factors, share, tree_parents
from openppu_sim.cycles.link.network import Endpoint

Steps = list[tuple[int, float]]
"""How many steps, and the bytes of a message in each."""

FREE = {"mesh", "pair"}
"""Topologies where every pair of chips has links of its own."""


@dataclass(frozen=True)
class Formula:
    """A closed form: for people, and as steps of ``chips``, ``size`` (S), ``rings`` (r) and ``pieces`` (k)."""

    text: str
    steps: Callable[[int, float, int, int], Steps]

    def time_ns(
        self, chips: int, size: float, rings: int, pieces: int, *, endpoint: Endpoint, hop_ns: float, gbs: float
    ) -> float:
        """Nanoseconds, for a hop with what a step costs, and the rate of a link."""
        total = endpoint.start_ns
        for times, part in self.steps(chips, size, rings, pieces):
            total += times * (hop_ns + float(endpoint.wire(np.array([part]))[0]) / gbs)
        return total


def _halvings(chips: int, size: float) -> tuple[Steps, bool]:
    """The stages of halving-doubling, one way, and whether some chips fold before."""
    stages = factors(chips)
    folds = stages is None
    if stages is None:
        stages = [2] * (chips.bit_length() - 1)
    parts, steps = 1, []
    for group in stages:
        parts *= group
        steps.append((1, share(size, parts)))
    return steps, folds


def _halving(chips: int, size: float, *, both: bool, first: float, last: float) -> Steps:
    steps, folds = _halvings(chips, size)
    return steps * (2 if both else 1) + ([(1, first), (1, last)] if folds else [])


def _levels(chips: int) -> int:
    """Steps from the leaves to the root of the deeper of two trees."""
    deepest = 0
    for parents in tree_parents(chips):
        for chip in range(chips):
            depth, at = 0, chip
            while (above := parents[at]) is not None:
                depth, at = depth + 1, above
            deepest = max(deepest, depth)
    return deepest


_FOLD = "; with a prime above 7 in n, 2 h + 2 m(S)/b more, and n the power of two below"
FORMULAS: dict[tuple[str, str], Formula] = {
    ("allreduce", "ring"): Formula("s + 2(n-1)(h + m(S/nr)/b)", lambda n, s, r, k: [(2 * (n - 1), share(s, n * r))]),
    ("reducescatter", "ring"): Formula("s + (n-1)(h + m(S/nr)/b)", lambda n, s, r, k: [(n - 1, share(s, n * r))]),
    ("allgather", "ring"): Formula("s + (n-1)(h + m(S/nr)/b)", lambda n, s, r, k: [(n - 1, share(s, n * r))]),
    ("barrier", "ring"): Formula("s + (n-1)(h + m(0)/b)", lambda n, s, r, k: [(n - 1, 0.0)]),
    ("allreduce", "direct"): Formula("s + 2(h + m(S/n)/b)", lambda n, s, r, k: [(2, share(s, n))]),
    ("reducescatter", "direct"): Formula("s + h + m(S/n)/b", lambda n, s, r, k: [(1, share(s, n))]),
    ("allgather", "direct"): Formula("s + h + m(S/n)/b", lambda n, s, r, k: [(1, share(s, n))]),
    ("alltoall", "direct"): Formula("s + h + m(S/n)/b", lambda n, s, r, k: [(1, share(s, n))]),
    ("broadcast", "direct"): Formula("s + 2(h + m(S/n)/b)", lambda n, s, r, k: [(2, share(s, n))]),
    ("barrier", "direct"): Formula("s + h + m(0)/b", lambda n, s, r, k: [(1, 0.0)]),
    ("allreduce", "halving-doubling"): Formula(
        "s + 2 sum of h + m(S/p)/b, p = 2, 4, ... n (or by n's factors)" + _FOLD,
        lambda n, s, r, k: _halving(n, s, both=True, first=s, last=s),
    ),
    ("reducescatter", "halving-doubling"): Formula(
        "s + sum of h + m(S/p)/b, p = 2, 4, ... n (or by n's factors)" + _FOLD,
        lambda n, s, r, k: _halving(n, s, both=False, first=s, last=share(s, n)),
    ),
    ("allgather", "halving-doubling"): Formula(
        "s + sum of h + m(S/p)/b, p = n, ... 4, 2 (or by n's factors)" + _FOLD,
        lambda n, s, r, k: _halving(n, s, both=False, first=share(s, n), last=s),
    ),
    ("barrier", "halving-doubling"): Formula(
        "s + log2(n), rounded up, times (h + m(0)/b)", lambda n, s, r, k: [((n - 1).bit_length(), 0.0)]
    ),
    ("allreduce", "double-tree"): Formula(
        "s + 2(l + k-1)(h + m(S/2k)/b), l the trees' levels, k pieces",
        lambda n, s, r, k: [(2 * (_levels(n) + k - 1), share(s, 2 * k))],
    ),
    ("barrier", "double-tree"): Formula("s + 2l(h + m(0)/b)", lambda n, s, r, k: [(2 * _levels(n), 0.0)]),
}


def holds(topology: str, operation: str, algorithm: str) -> bool:
    """Whether there is a closed form, and no two messages of a step share a link there."""
    if (operation, algorithm) not in FORMULAS:
        return False
    return topology in FREE or (topology in ("ring", "groups") and algorithm == "ring")


def best_pieces(chips: int, size: float, *, hop_ns: float, gbs: float) -> int:
    """Pieces of a pipeline along two trees at which what each step costs, and what filling it costs, are balanced."""
    levels = max(1, _levels(chips))
    best = math.sqrt(max(1, levels - 1) * size / (2 * gbs * hop_ns)) if hop_ns else 1.0
    return int(min(MOST_PIECES, max(1, 2 ** round(math.log2(max(1.0, best))))))
