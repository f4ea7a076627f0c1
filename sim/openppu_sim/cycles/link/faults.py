"""A node with a slow or a dead link, and what is to be expected of many nodes of which some have one."""

import math
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from openppu.link.layouts import TUNNEL_HOPS

from openppu_sim.cycles.link.collective import Estimate, estimates
from openppu_sim.cycles.link.network import Graph
from openppu_sim.cycles.link.ports import Ports
from openppu_sim.cycles.link.topologies import Topology
from openppu_sim.errors import UserError, require


@dataclass(frozen=True)
class Fault:
    """A link between two chips that is dead (``share`` 0), or has only a share of its lanes."""

    a: int
    b: int
    share: float = 0.0


def with_fault(topology: Topology, ports: Ports, fault: Fault) -> tuple[Topology, Graph]:
    """A topology with a fault: its rings laid so that they avoid the link where they can, and its links.

    Of several links between two chips, one is dead or slow. A dead link that was the only one is replaced by the
    shortest detour, on which flits travel in packets and so leave `Ports.tunnel_share` of the rate.

    Raises
    ------
    UserError
        If the chips are not connected, or no other way is short enough.
    """
    a, b = sorted((fault.a, fault.b))
    counts = {(min(one, two), max(one, two)): count for one, two, count in topology.links}
    if (a, b) not in counts:
        raise UserError(f"link {fault.a}-{fault.b}: not a link of {topology.name} of {topology.chips} chips")
    count = counts[a, b]
    left = (count - 1 + fault.share) / count
    graph = topology.network(ports)
    avoiding = replace(topology, rings=_rings_around(topology, a, b))
    if left:
        return avoiding, graph.slowed(graph.links_between(a, b), left)
    way = _detour(counts, a, b)
    if way is None or len(way) - 1 > TUNNEL_HOPS:
        raise UserError(
            f"link {fault.a}-{fault.b}: no other way of {TUNNEL_HOPS} hops or fewer between chips {a} and {b}"
        )
    return avoiding, graph.detoured(way, 1 / ports.tunnel_share)


def _detour(links: Iterable[tuple[int, int]], a: int, b: int) -> list[int] | None:
    """Chips of the shortest way between two chips without the link between them; None if there is none."""
    neighbours: dict[int, list[int]] = {}
    for one, two in links:
        if (one, two) != (a, b):
            neighbours.setdefault(one, []).append(two)
            neighbours.setdefault(two, []).append(one)
    ways: dict[int, list[int]] = {a: [a]}
    waiting = deque([a])
    while waiting:
        chip = waiting.popleft()
        for other in sorted(neighbours.get(chip, ())):
            if other not in ways:
                ways[other] = [*ways[chip], other]
                waiting.append(other)
    return ways.get(b)


def _rings_around(topology: Topology, a: int, b: int) -> tuple[tuple[int, ...], ...]:
    """The rings with the chips renamed so that none goes over a link, where they leave out one at all.

    Only a mesh can have its chips renamed. Elsewhere the rings stay.
    """
    used = {frozenset(pair) for ring in topology.rings for pair in zip(ring, (*ring[1:], ring[0]), strict=True)}
    every = [(one, two) for one, two, _ in topology.links]
    unused = [pair for pair in every if frozenset(pair) not in used]
    if topology.name != "mesh" or not unused:
        return topology.rings
    names = list(range(topology.chips))
    for here, there in zip(unused[0], (a, b), strict=True):
        other = names.index(there)
        names[here], names[other] = names[other], names[here]
    return tuple(tuple(names[chip] for chip in ring) for ring in topology.rings)


def faulty_estimates(operation: str, topology: Topology, ports: Ports, size: int, fault: Fault) -> list[Estimate]:
    """By every algorithm with a fault, the fastest first."""
    changed, graph = with_fault(topology, ports, fault)
    return estimates(operation, changed, ports, size, graph=graph)


@dataclass(frozen=True)
class FaultRates:
    """How often links fail, and for how long.

    Attributes
    ----------
    dead_per_hour, degraded_per_hour : float
        Faults of a link in an hour.
    mend_hours : float
        Until one is mended.
    """

    dead_per_hour: float
    degraded_per_hour: float
    mend_hours: float

    def __post_init__(self) -> None:
        require("dead links", self.dead_per_hour, 0, 1_000_000, "per hour")
        require("slow links", self.degraded_per_hour, 0, 1_000_000, "per hour")
        require("hours to mend", self.mend_hours, 0, 1_000_000)

    def shares(self, links: int) -> tuple[float, float, float]:
        """Shares of the time in which, of so many links, all are well; one is slow and none dead; one is dead.

        Links fail on their own, and each is out for a share of the time, rate x hours / (1 + rate x hours).
        """
        dead, slow = (self._out(rate) for rate in (self.dead_per_hour, self.degraded_per_hour))
        none_dead = math.exp(links * math.log1p(-dead))
        well = none_dead * math.exp(links * math.log1p(-slow))
        return well, none_dead - well, 1 - none_dead

    def _out(self, rate: float) -> float:
        return rate * self.mend_hours / (1 + rate * self.mend_hours)


def expected_ns(times: tuple[float, float, float], rates: FaultRates, links: int) -> float:
    """Time to be expected of what waits for the slowest: of its times well, with a slow link, with a dead link."""
    return sum(share * time for share, time in zip(rates.shares(links), times, strict=True))


def fault_times(operation: str, topology: Topology, ports: Ports, size: int) -> tuple[float, float, float]:
    """Times of an operation: all links well, the worst of them at half its width, the worst of them dead.

    A dead link without a detour is left out: its chip is lost.
    """
    well = estimates(operation, topology, ports, size)[0].time_ns
    slow = dead = well
    for a, b in _kinds(topology):
        slow = max(slow, faulty_estimates(operation, topology, ports, size, Fault(a, b, 0.5))[0].time_ns)
        with suppress(UserError):
            dead = max(dead, faulty_estimates(operation, topology, ports, size, Fault(a, b))[0].time_ns)
    return well, slow, dead


def _kinds(topology: Topology) -> list[tuple[int, int]]:
    """A link of each kind: of each number of links between chips."""
    kinds: dict[int, tuple[int, int]] = {}
    for a, b, count in topology.links:
        kinds.setdefault(count, (a, b))
    return list(kinds.values())
