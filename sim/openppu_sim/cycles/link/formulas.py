"""Closed forms: what a collective takes where no two messages of a step share a link and each goes one hop.

h is a hop with what a step costs (`Endpoint.after_ns`: a sum, a way through memory), m(M) the bytes that M bytes of
data take on the wire, b the rate of a link (or of the links between two chips), P what must be there to be sent on.
The engine streams: it sends on what has come while the rest still comes, P bytes behind, so hops hide behind bytes. k
steps of M bytes take

    T(k, M) = (k-1) max(m(M)/b, h + m(P)/b) + m(M)/b + h

or, where a chip waits for all of a step, T(k, M) = k (h + m(M)/b). A collective takes s once (`Endpoint.begin_ns`),
and its steps.
`Formula.time_ns` follows steps of any sizes, in both ways.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from openppu_sim.cycles.link.algorithms import MOST_PIECES, factors, share, tree_parents
from openppu_sim.cycles.link.network import Endpoint


@dataclass(frozen=True)
class Leg:
    """Steps that are alike, as `openppu_sim.cycles.link.schedule.Step` has them: how many, the bytes of a message, what
    is added up, whether it is written to memory, and the messages that a chip sends, and that come to it."""

    times: int
    part: float
    operands: int = 0
    stored: bool = True
    sends: int = 1
    comes: int = 1


Legs = list[Leg]

MOST_TWIN_PIECES = 16

FREE = {"mesh", "pair"}
"""Topologies where every pair of chips has links of its own."""


@dataclass(frozen=True)
class Formula:
    """A closed form: for people, and as steps of ``chips``, ``size`` (S), ``rings`` (r) and ``pieces`` (k)."""

    text: str
    legs: Callable[[int, float, int, int], Legs]
    at_once: bool = False
    """Legs are over links of their own: the second begins with the first byte of the first."""

    def time_ns(
        self, chips: int, size: float, rings: int, pieces: int, *, endpoint: Endpoint, hop_ns: float, gbs: float
    ) -> float:
        """Nanoseconds, for a hop, and the rate of a link."""
        legs = self.legs(chips, size, rings, pieces)
        begins = legs[0]
        sent = received = first = endpoint.begin_ns(
            sends=begins.sends, comes=begins.comes, reduces=begins.operands > 0, token=not begins.part
        )
        for leg in legs:
            message = np.array([leg.part])
            whole = float(endpoint.wire(message)[0]) / gbs
            lead = whole * float(endpoint.first(message)[0])
            hop = hop_ns + endpoint.after_ns(operands=leg.operands, stored=leg.stored, token=not leg.part)
            for _ in range(leg.times):
                begun = first if self.at_once else max(first, sent)
                sent = max(begun + whole, received + lead)
                received, first = sent + hop, begun + lead + hop
        return received


def _halving(operation: str, chips: int, size: float) -> Legs:
    """The stages of halving, or doubling, or both; a step before and behind where some chips fold."""
    stages = factors(chips)
    folds = stages is None
    parts, groups = 1, stages if stages is not None else [2] * (chips.bit_length() - 1)
    down: Legs = []
    up: Legs = []
    for group in groups:
        parts *= group
        down.append(Leg(1, share(size, parts), operands=group, sends=group - 1, comes=group - 1))
        up.insert(0, Leg(1, share(size, parts), sends=group - 1, comes=group - 1))
    part = share(size, chips)
    first = Leg(1, part) if operation == "allgather" else Leg(1, size, operands=2)
    last = Leg(1, part if operation == "reducescatter" else size)
    steps = {"allreduce": down + up, "reducescatter": down, "allgather": up}[operation]
    return [first, *steps, last] if folds else steps


def _ring(operation: str, chips: int, size: float, rings: int) -> Legs:
    """Around all rings at once."""
    part = share(size, chips * rings)
    scatter = Leg(chips - 1, part, operands=2, sends=rings, comes=rings)
    gather = Leg(chips - 1, part, sends=rings, comes=rings)
    return {"allreduce": [scatter, gather], "reducescatter": [scatter], "allgather": [gather]}[operation]


def _direct(operation: str, chips: int, size: float) -> Legs:
    """Every chip with every other at once."""
    part, peers = share(size, chips), chips - 1
    scatter = Leg(1, part, operands=chips, sends=peers, comes=peers)
    gather = Leg(1, part, sends=peers, comes=peers)
    return {"allreduce": [replace(scatter, stored=False), gather], "reducescatter": [scatter]}.get(operation, [gather])


def _direct_broadcast(chips: int, size: float) -> Legs:
    """Parts from one to all others, which send them on, over links of their own."""
    part = share(size, chips - 1)
    return [Leg(1, part, sends=0), *([Leg(1, part)] if chips > 2 else [])]


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
    ("allreduce", "ring"): Formula("s + T(2(n-1), S/nr)", lambda n, s, r, k: _ring("allreduce", n, s, r)),
    ("reducescatter", "ring"): Formula("s + T(n-1, S/nr)", lambda n, s, r, k: _ring("reducescatter", n, s, r)),
    ("allgather", "ring"): Formula("s + T(n-1, S/nr)", lambda n, s, r, k: _ring("allgather", n, s, r)),
    ("barrier", "ring"): Formula("s + T(n-1, 0)", lambda n, s, r, k: [Leg(n - 1, 0.0, sends=r, comes=r)]),
    ("allreduce", "direct"): Formula("s + T(2, S/n)", lambda n, s, r, k: _direct("allreduce", n, s)),
    ("allreduce", "one-shot"): Formula("s + T(1, S)", lambda n, s, r, k: [Leg(1, s, operands=n, comes=n - 1)]),
    ("reducescatter", "direct"): Formula("s + T(1, S/n)", lambda n, s, r, k: _direct("reducescatter", n, s)),
    ("allgather", "direct"): Formula("s + T(1, S/n)", lambda n, s, r, k: _direct("allgather", n, s)),
    ("alltoall", "direct"): Formula("s + T(1, S/n)", lambda n, s, r, k: _direct("alltoall", n, s)),
    ("broadcast", "direct"): Formula("s + h + T(1, S/(n-1))", lambda n, s, r, k: _direct_broadcast(n, s), at_once=True),
    ("barrier", "direct"): Formula("s + T(1, 0)", lambda n, s, r, k: [Leg(1, 0.0, comes=n - 1)]),
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
        "s + T(log2(n) rounded up, 0)", lambda n, s, r, k: [Leg((n - 1).bit_length(), 0.0)]
    ),
}

TWINS = Formula(
    "s + 2 h + T(1, S/4)",
    lambda n, s, r, k: [
        Leg(1, share(s, 4), operands=4, stored=False, sends=3, comes=3),
        Leg(1, share(s, 4), operands=2, stored=False),
        Leg(1, share(s, 4)),
    ],
    at_once=True,
)
"""Of the two-level all-reduce of two groups of four: all links carry as much, all three stages work at once."""


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


def twin_pieces(part: float, *, hop_ns: float, gbs: float) -> int:
    """Pieces that a chip's part is cut into between two groups: about as long as a hop each."""
    return int(min(MOST_TWIN_PIECES, max(1, round(part / (gbs * hop_ns))))) if hop_ns else 1
