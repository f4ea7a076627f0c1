"""Which engine's port leads to which other engine: what the planner must know of a topology."""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

from openppu.link import topology
from openppu.link.collective.config import CollectiveConfig
from openppu.link.topology import GROUP, PORTS, Peers, Topology
from openppu.section import ConfigError


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """The peers of every rank.

    Parameters
    ----------
    name : str
    peers : tuple of tuples
        ``peers[rank][port]`` is the rank and port at the other end, or None. Ports are streams of the engine: one may
        lead to a neighbour, or to any chip by routing.
    groups : tuple of tuples of int
        Ranks by group. Those of a group are linked all to all; the k-th ranks of all groups are linked in a ring at
        least.
    direct : tuple of tuples
        ``direct[rank][port]`` is the chip's port that the stream goes out by; None: as the routing table says. For
        `openppu.link.router.Router`.
    """

    name: str
    peers: Peers
    groups: tuple[tuple[int, ...], ...]
    direct: tuple[tuple[int | None, ...], ...]

    @property
    def ranks(self) -> int:
        """How many there are."""
        return len(self.peers)

    @cached_property
    def _links(self) -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
        links: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for rank, ports in enumerate(self.peers):
            for port, peer in enumerate(ports):
                if peer is not None:
                    links.setdefault((rank, peer[0]), []).append((port, peer[1]))
        return {ends: tuple(ports) for ends, ports in links.items()}

    def links(self, rank: int, other: int) -> tuple[tuple[int, int], ...]:
        """The links between two ranks, as (port at ``rank``, port at ``other``); none if they are not linked."""
        return self._links.get((rank, other), ())

    def neighbours(self, rank: int) -> tuple[int, ...]:
        """The ranks that a rank is linked to, each once, in the order of its ports."""
        return tuple(dict.fromkeys(peer[0] for peer in self.peers[rank] if peer is not None))

    def meshed(self, ranks: tuple[int, ...]) -> bool:
        """Whether every two of the ranks are linked."""
        return all(self.links(a, b) for a in ranks for b in ranks if a != b)

    def paths(self, root: int) -> dict[int, tuple[int, ...]]:
        """A shortest path from ``root`` to every rank, both included; ports in their order decide between equals."""
        paths: dict[int, tuple[int, ...]] = {root: (root,)}
        queue = deque([root])
        while queue:
            at = queue.popleft()
            for other in self.neighbours(at):
                if other not in paths:
                    paths[other] = (*paths[at], other)
                    queue.append(other)
        return paths

    def check(self, config: CollectiveConfig) -> None:
        """Raise ConfigError unless the engines have ports enough."""
        needed = max(len(ports) for ports in self.peers)
        if needed > config.ports:
            raise ConfigError(f"link.ports = {config.ports}: topology {self.name} needs {needed}")


def of(made: Topology) -> Wiring:
    """The wiring of chips whose engines talk to neighbours alone, a stream a port."""
    ranks = range(made.chips)
    if all(made.ports_to(chip, other) for chip in ranks for other in ranks if chip != other):
        groups: tuple[tuple[int, ...], ...] = (tuple(ranks),)
    elif made.ports < PORTS:
        groups = tuple((rank,) for rank in ranks)
    else:
        groups = tuple(tuple(range(low, low + GROUP)) for low in range(0, made.chips, GROUP))
    direct = tuple(tuple(range(len(ports))) for ports in made.peers)
    return Wiring(name=made.name, peers=made.peers, groups=groups, direct=direct)


def pair() -> Wiring:
    """Two ranks, one link."""
    return of(topology.pair())


def ring(ranks: int) -> Wiring:
    """Port 0 leads to the next rank, port 1 to the one before."""
    return of(topology.ring(ranks))


def mesh(ranks: int) -> Wiring:
    """All to all."""
    return pair() if ranks == 2 else of(topology.mesh(ranks))


def two_groups() -> Wiring:
    """Two groups of four with double links inside; port 6 leads to the twin."""
    return of(topology.two_groups())


def four_groups() -> Wiring:
    """Sixteen chips, four groups of four. Streams 0 to 2 lead to the others of the group, by the second of their two
    links, 3 to 5 to the rank in the same place of the other groups, by routing, which takes the first."""
    peers = []
    for rank in range(GROUP * GROUP):
        inside = tuple((rank ^ distance, distance - 1) for distance in range(1, GROUP))
        across = tuple((rank ^ GROUP * distance, distance + 2) for distance in range(1, GROUP))
        peers.append((*inside, *across))
    groups = tuple(tuple(range(GROUP * g, GROUP * (g + 1))) for g in range(GROUP))
    direct = ((1, 3, 5, None, None, None),) * len(peers)
    return Wiring(name="four groups of 4", peers=tuple(peers), groups=groups, direct=direct)


def named(name: str, ranks: int) -> Wiring:
    """The wiring of a topology's name as a user writes it: pair, ring, mesh or groups.

    Raises
    ------
    ConfigError
        If there is no such one, or not with so many ranks.
    """
    made = topology.named(name, ranks)
    return four_groups() if isinstance(made, topology.FourGroups) else of(made)
