"""Closed forms: what a collective takes where no two messages of a step share a link and each goes one hop.

h is a hop with what a step costs, m(M) the bytes that M bytes of data take on the wire, b the rate of a link (or of the
links between two chips), P the data that must be there to be sent on. The engine streams: it sends on what has come
while the rest still comes, P bytes behind, so hops hide behind bytes. k steps of M bytes take

    T(k, M) = (k-1) max(m(M)/b, h + m(P)/b) + m(M)/b + h

or, where a chip waits for all of a step, T(k, M) = k (h + m(M)/b). A collective takes s once, and its steps.
`Formula.time_ns` follows steps of any sizes, in both ways.
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
        sent = received = first = endpoint.start_ns
        for times, part in self.steps(chips, size, rings, pieces):
            message = np.array([part])
            whole = float(endpoint.wire(message)[0]) / gbs
            lead = whole * float(endpoint.first(message)[0])
            for _ in range(times):
                begun = max(first, sent)
                sent = max(begun + whole, received + lead)
                received, first = sent + hop_ns, begun + lead + hop_ns
        return received


def _halving(operation: str, chips: int, size: float) -> Steps:
    """The stages of halving, or doubling, or both; a step before and behind where some chips fold."""
    stages = factors(chips)
    folds = stages is None
    parts, down = 1, []
    for group in stages if stages is not None else [2] * (chips.bit_length() - 1):
        parts *= group
        down.append((1, share(size, parts)))
    up = down[::-1]
    part = share(size, chips)
    first, last = part if operation == "allgather" else size, part if operation == "reducescatter" else size
    steps = {"allreduce": down + up, "reducescatter": down, "allgather": up}[operation]
    return [(1, first), *steps, (1, last)] if folds else steps


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


_FOLD = "(by n's factors; with a prime above 7 in it, a step of S before and behind, and n the power of two below)"
FORMULAS: dict[tuple[str, str], Formula] = {
    ("allreduce", "ring"): Formula("s + T(2(n-1), S/nr)", lambda n, s, r, k: [(2 * (n - 1), share(s, n * r))]),
    ("reducescatter", "ring"): Formula("s + T(n-1, S/nr)", lambda n, s, r, k: [(n - 1, share(s, n * r))]),
    ("allgather", "ring"): Formula("s + T(n-1, S/nr)", lambda n, s, r, k: [(n - 1, share(s, n * r))]),
    ("barrier", "ring"): Formula("s + T(n-1, 0)", lambda n, s, r, k: [(n - 1, 0.0)]),
    ("allreduce", "direct"): Formula("s + T(2, S/n)", lambda n, s, r, k: [(2, share(s, n))]),
    ("allreduce", "one-shot"): Formula("s + T(1, S)", lambda n, s, r, k: [(1, s)]),
    ("reducescatter", "direct"): Formula("s + T(1, S/n)", lambda n, s, r, k: [(1, share(s, n))]),
    ("allgather", "direct"): Formula("s + T(1, S/n)", lambda n, s, r, k: [(1, share(s, n))]),
    ("alltoall", "direct"): Formula("s + T(1, S/n)", lambda n, s, r, k: [(1, share(s, n))]),
    ("broadcast", "direct"): Formula("s + T(2, S/n)", lambda n, s, r, k: [(2, share(s, n))]),
    ("barrier", "direct"): Formula("s + T(1, 0)", lambda n, s, r, k: [(1, 0.0)]),
    ("allreduce", "halving-doubling"): Formula(
        f"s + steps of S/2, S/4, ... S/n, S/n, ... S/4, S/2 {_FOLD}",
        lambda n, s, r, k: _halving("allreduce", n, s),
    ),
    ("reducescatter", "halving-doubling"): Formula(
        f"s + steps of S/2, S/4, ... S/n {_FOLD}", lambda n, s, r, k: _halving("reducescatter", n, s)
    ),
    ("allgather", "halving-doubling"): Formula(
        f"s + steps of S/n, ... S/4, S/2 {_FOLD}", lambda n, s, r, k: _halving("allgather", n, s)
    ),
    ("barrier", "halving-doubling"): Formula(
        "s + T(log2(n) rounded up, 0)", lambda n, s, r, k: [((n - 1).bit_length(), 0.0)]
    ),
    ("barrier", "double-tree"): Formula("s + T(2 levels, 0)", lambda n, s, r, k: [(2 * _levels(n), 0.0)]),
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
