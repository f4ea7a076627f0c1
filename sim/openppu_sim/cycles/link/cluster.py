"""Collectives over many nodes: inside each node, then between the chips of one place in all nodes, and inside again."""

import math
from dataclasses import dataclass, field

import numpy as np

from openppu_sim.cycles.link import algorithms, steps
from openppu_sim.cycles.link.algorithms import bus_factor, share
from openppu_sim.cycles.link.collective import best_ns, group_ns
from openppu_sim.cycles.link.fabric import Copies, Fabric, FatTree
from openppu_sim.cycles.link.formulas import best_pieces
from openppu_sim.cycles.link.network import latency
from openppu_sim.cycles.link.ports import Ports
from openppu_sim.cycles.link.schedule import Schedule, renamed, side_by_side
from openppu_sim.cycles.link.topologies import Topology
from openppu_sim.errors import UserError

RAIL_ALGORITHMS: dict[str, tuple[str, ...]] = {
    "ring": ("allreduce", "reducescatter", "allgather"),
    "halving-doubling": ("allreduce", "reducescatter", "allgather", "barrier"),
    "double-tree": ("allreduce",),
    "direct": ("alltoall",),
}
"""The operations that each algorithm does between nodes."""

UNIT = 1 << 40
"""Bytes for which a plan is made that is then scaled."""

PIECES = (1, 2, 4, 8, 16)
"""Into which a vector may be cut, so that one piece is inside the nodes while another is between them."""

MOST_CARDS = 65_536


@dataclass(frozen=True)
class Cluster:
    """Nodes, each of chips linked as a topology, and a rail of a fabric for each place in a node."""

    cards: int
    node: Topology
    ports: Ports
    fabric: Fabric
    _rails: dict[int, FatTree] = field(default_factory=dict, compare=False, hash=False)
    _plans: dict[tuple[int, str], "ScaledPlan"] = field(default_factory=dict, compare=False, hash=False)

    def __post_init__(self) -> None:
        if not 2 <= self.cards <= MOST_CARDS:
            raise UserError(f"{self.cards:,} cards: give 2 to {MOST_CARDS:,}")
        if self.cards % self.node.chips:
            raise UserError(
                f"{self.cards:,} cards in nodes of {self.node.chips}: give a multiple, such as "
                f"{max(1, self.cards // self.node.chips) * self.node.chips:,}, or nodes of another size (--node-chips)"
            )

    @property
    def nodes(self) -> int:
        """How many there are."""
        return self.cards // self.node.chips

    def rail(self, ends: int) -> FatTree:
        """A rail of so many nodes."""
        if ends not in self._rails:
            self._rails[ends] = FatTree(ends, self.fabric)
        return self._rails[ends]

    def rail_algorithms(self, operation: str, ends: int) -> list[str]:
        """Those that do an operation along a rail."""
        if ends == 1:
            return ["none"]
        return [name for name, operations in RAIL_ALGORITHMS.items() if operation in operations]

    def rail_ns(self, operation: str, algorithm: str, ends: int, size: float) -> float:
        """Nanoseconds of an operation along a rail of so many ends."""
        if ends == 1:
            return 0.0
        rail = self.rail(ends)
        if algorithm == "ring":
            return ring_ns(rail, operation, size)
        if algorithm == "double-tree":
            return double_tree_ns(rail, size)
        if algorithm == "direct":
            return all_to_all_ns(rail, size)
        if (ends, operation) not in self._plans:
            self._plans[ends, operation] = ScaledPlan(algorithms.halving_doubling(operation, ends, UNIT), rail)
        return self._plans[ends, operation].time_ns(size)

    def collective(self, operation: str, size: int) -> list["ClusterEstimate"]:
        """An operation over all cards by every algorithm between the nodes, the fastest first.

        Parameters
        ----------
        operation : str
            ``allreduce``, ``reducescatter``, ``allgather``, ``alltoall`` or ``barrier``.
        """
        found = []
        for algorithm in self.rail_algorithms(operation, self.nodes):
            best = None
            for pieces in PIECES if operation in ("allreduce", "reducescatter", "allgather") else (1,):
                inside, between = self._phases(operation, algorithm, math.ceil(size / pieces))
                time = in_pieces(pieces, inside, between)
                if best is None or time < best.time_ns:
                    best = ClusterEstimate(operation, algorithm, self.cards, size, time, pieces)
            assert best is not None
            found.append(best)
        return sorted(found, key=lambda one: one.time_ns)

    def _phases(self, operation: str, algorithm: str, size: int) -> tuple[float, float]:
        """Nanoseconds of one piece: inside the nodes, before and behind; between them."""
        chips = self.node.chips
        between = self.rail_ns(operation, algorithm, self.nodes, share(size, chips))

        def inside(what: str, amount: int) -> float:
            return best_ns(what, self.node, self.ports, amount)

        if operation == "allreduce":
            return inside("reducescatter", size) + inside("allgather", size), between
        if operation == "alltoall":  # first to the chip whose rail leads there, then along the rail
            return inside("alltoall", size), self.rail_ns(operation, algorithm, self.nodes, size)
        if operation == "barrier":
            return inside("barrier", 0) * (2 if self.nodes > 1 else 1), between
        return inside(operation, size), between

    def group_collective(self, operation: str, inner: int, outer: int, size: int, *, spacing: int = 1) -> float:
        """Nanoseconds of the best way for groups that all work at once.

        Parameters
        ----------
        inner : int
            Members of a group in one node, ``spacing`` chips apart.
        outer : int
            Nodes that a group is spread over.
        size : int
            As `openppu_sim.cycles.link.algorithms` counts it.
        """
        chips = self.node.chips
        span = inner * spacing
        groups = [
            [first + offset + spacing * member for member in range(inner)]
            for first in range(0, chips, span)
            for offset in range(spacing)
        ]

        def inside(what: str, amount: int) -> float:
            return group_ns(what, self.node, self.ports, groups, amount)

        if outer == 1:
            return inside(operation, size)
        best = math.inf
        for pieces in PIECES:
            amount = math.ceil(size / pieces)
            part = share(amount, inner)
            between = min(self.rail_ns(operation, name, outer, part) for name in self.rail_algorithms(operation, outer))
            within = 0.0
            if inner > 1:
                within += inside("reducescatter", amount) if operation != "allgather" else 0.0
                within += inside("allgather", amount) if operation != "reducescatter" else 0.0
            best = min(best, in_pieces(pieces, within, between))
        return best


@dataclass(frozen=True)
class ClusterEstimate:
    """An operation over all cards: the algorithm between nodes, and the pieces that overlap."""

    operation: str
    algorithm: str
    cards: int
    size: int
    time_ns: float
    pieces: int

    @property
    def busbw_gbs(self) -> float:
        """As nccl-tests defines it."""
        return self.size / self.time_ns * bus_factor(self.operation, self.cards)


def in_pieces(pieces: int, inside: float, between: float) -> float:
    """Nanoseconds of so many pieces: while one is between the nodes, another is inside; in each place one at a time."""
    return inside + between + (pieces - 1) * max(inside, between)


class ScaledPlan:
    """A schedule for ``UNIT`` bytes on a rail, of which all that does not depend on the size is worked out once."""

    def __init__(self, schedule: Schedule, rail: FatTree) -> None:
        self.rail = rail
        self.steps = [(step, *steps.durations(step, rail)) for step in schedule]

    def time_ns(self, size: float) -> float:
        """Nanoseconds for so many bytes."""
        progress = steps.begin(self.rail, self.steps[0][0])
        for step, duration, arrival in self.steps:
            steps.pass_on(progress, step, duration * (size / UNIT), arrival)
        return progress.end


def ring_ns(rail: FatTree, operation: str, size: float) -> float:
    """Around a ring of all ends, in order.

    A share goes all around, so what it takes is the sum of the hops' latencies, not the longest times the steps. No two
    messages share a link up, since only the last end of a leaf sends out of it.
    """
    ends = rail.chips
    part = share(size, ends)
    around = np.arange(ends)
    hops = latency(rail, rail.paths(around, (around + 1) % ends))
    rounds = 2 if operation == "allreduce" else 1
    travelled = ends * rounds - rounds  # hops of a share; those of the slowest one's way
    whole, rest = divmod(travelled, ends)
    longest = whole * hops.sum() + (hops.sum() - _least_run(hops, ends - rest) if rest else 0.0)
    return float(longest + travelled * part / rail.fabric.gbs)


def _least_run(hops: np.ndarray, length: int) -> float:
    """The least sum of so many neighbouring hops around the ring."""
    doubled = np.concatenate([[0.0], np.cumsum(np.concatenate([hops, hops[:length]]))])
    return float((doubled[length : length + len(hops)] - doubled[: len(hops)]).min())


def double_tree_ns(rail: FatTree, size: float) -> float:
    """Two binary trees, pieces in a pipeline, up and down again: each end passes two messages a step."""
    ends = rail.chips
    levels = max(1, math.ceil(math.log2(ends + 1)) - 1)
    hop = float(latency(rail, rail.paths(np.array([0]), np.array([ends - 1])))[0])
    pieces = best_pieces(min(ends, 1024), size, hop_ns=hop, gbs=rail.fabric.gbs / 2)
    message = share(size, 2 * pieces)
    return 2 * (levels + pieces - 1) * (hop + 2 * message / rail.fabric.gbs)


def all_to_all_ns(rail: FatTree, size: float) -> float:
    """Every end to every other, its own share to each: as long as the fullest link takes."""
    ends = rail.chips
    part = share(size, ends)
    busy = (ends - 1) * part / rail.fabric.gbs
    if rail.tiers > 1:
        busy = max(busy, rail.leaf * (ends - rail.leaf) * part / float(rail.rate[2 * ends]))
    hop = float(latency(rail, rail.paths(np.array([0]), np.array([ends - 1])))[0])
    return busy + hop


def simulate_two_level(cluster: Cluster, size: int, *, across: str = "ring") -> float:
    """Nanoseconds of an all-reduce over all cards, every message of every card followed: no symmetry is made use of.

    Parameters
    ----------
    size : int
        Bytes of the vector.
    across : str
        ``ring`` or ``halving-doubling`` between the nodes.
    """
    node = Copies(cluster.node.network(cluster.ports), cluster.nodes)
    rails = Copies(cluster.rail(cluster.nodes), cluster.node.chips, inner=False)
    return two_level_ns(node, rails, cluster.node.chips, cluster.nodes, size, across=across)


def two_level_ns(
    node: Copies, rails: Copies, chips: int, nodes: int, size: int, *, across: str, store_and_forward: bool = False
) -> float:
    """The same on networks given: direct in the nodes, along the rails, direct in the nodes."""
    make = {"ring": algorithms.ring, "halving-doubling": algorithms.halving_doubling}[across]
    scatter, gather = _in_all(algorithms.direct("allreduce", chips, size), chips, nodes)
    progress = steps.begin(node, scatter)
    steps.advance(progress, scatter, node)
    for step in _along_all(make("allreduce", nodes, share(size, chips)), chips, nodes):
        steps.advance(progress, step, rails, store_and_forward=store_and_forward)
    steps.advance(progress, gather, node)
    return progress.end


def _in_all(schedule: Schedule, chips: int, nodes: int) -> Schedule:
    return side_by_side([renamed(schedule, range(chips * node, chips * (node + 1))) for node in range(nodes)])


def _along_all(schedule: Schedule, chips: int, nodes: int) -> Schedule:
    return side_by_side([renamed(schedule, range(place, chips * nodes, chips)) for place in range(chips)])
