"""Which engine's port leads to which other engine: what the planner must know of a topology."""

from collections import deque
from dataclasses import dataclass
from functools import cached_property

from openppu.link.collective.config import CollectiveConfig
from openppu.section import ConfigError

MOST_MESH = 8
GROUP = 4
MOST_RING = 64


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """The peers of every rank.

    Parameters
    ----------
    name : str
    peers : tuple of tuples
        ``peers[rank][port]`` is the rank and port at the other end, or None. A peer may be a neighbour, or be reached
        by routing: the engine sees no difference.
    groups : tuple of tuples of int
        Ranks by group. Those of a group are linked all to all; the k-th ranks of all groups are linked in a ring at
        least.
    """

    name: str
    peers: tuple[tuple[tuple[int, int] | None, ...], ...]
    groups: tuple[tuple[int, ...], ...]

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


def pair() -> Wiring:
    """Two ranks, one link."""
    return mesh(2)


def ring(ranks: int) -> Wiring:
    """Port 0 leads to the next rank, port 1 to the one before."""
    if not 3 <= ranks <= MOST_RING:
        raise ConfigError(f"topology ring: ranks = {ranks}: give an integer from 3 to {MOST_RING}")
    peers = tuple((((rank + 1) % ranks, 1), ((rank - 1) % ranks, 0)) for rank in range(ranks))
    return Wiring(name=f"ring of {ranks}", peers=peers, groups=tuple((rank,) for rank in range(ranks)))


def mesh(ranks: int) -> Wiring:
    """All to all. Between ranks a and b, port (a XOR b) - 1 of both where the number of ranks is a power of two; else
    the peers in order."""
    if not 2 <= ranks <= MOST_MESH:
        raise ConfigError(f"topology mesh: ranks = {ranks}: give an integer from 2 to {MOST_MESH}")

    def port(rank: int, other: int) -> int:
        return (rank ^ other) - 1 if ranks.bit_count() == 1 else other - (other > rank)

    peers = []
    for rank in range(ranks):
        row: list[tuple[int, int] | None] = [None] * (ranks - 1)
        for other in range(ranks):
            if other != rank:
                row[port(rank, other)] = (other, port(other, rank))
        peers.append(tuple(row))
    name = "pair" if ranks == 2 else f"mesh of {ranks}"
    return Wiring(name=name, peers=tuple(peers), groups=(tuple(range(ranks)),))


def two_groups() -> Wiring:
    """Two groups of four. Inside, two links between any two: ports 2d - 2 and 2d - 1 where d is the XOR of their
    places; port 6 leads to the twin, the rank in the same place of the other group."""
    peers = []
    for rank in range(2 * GROUP):
        row: list[tuple[int, int] | None] = []
        for distance in range(1, GROUP):
            row += [(rank ^ distance, 2 * distance - 2), (rank ^ distance, 2 * distance - 1)]
        peers.append((*row, (rank ^ GROUP, 6)))
    groups = (tuple(range(GROUP)), tuple(range(GROUP, 2 * GROUP)))
    return Wiring(name="two groups of 4", peers=tuple(peers), groups=groups)


def four_groups() -> Wiring:
    """Sixteen chips, four groups of four. Ports 0 to 2 lead to the others of the group, 3 to 5 to the rank in the same
    place of the other groups (by routing, where there is no link)."""
    peers = []
    for rank in range(GROUP * GROUP):
        inside = tuple((rank ^ distance, distance - 1) for distance in range(1, GROUP))
        across = tuple((rank ^ GROUP * distance, distance + 2) for distance in range(1, GROUP))
        peers.append((*inside, *across))
    groups = tuple(tuple(range(GROUP * g, GROUP * (g + 1))) for g in range(GROUP))
    return Wiring(name="four groups of 4", peers=tuple(peers), groups=groups)


def named(name: str, ranks: int) -> Wiring:
    """The topology of a name as a user writes it: pair, ring, mesh or groups.

    Raises
    ------
    ConfigError
        If there is no such one, or not with so many ranks.
    """
    if name == "pair" and ranks == 2:
        return pair()
    if name == "ring":
        return ring(ranks)
    if name == "mesh":
        return mesh(ranks)
    if name == "groups" and ranks in (8, 16):
        return two_groups() if ranks == 8 else four_groups()
    if name in ("pair", "groups"):
        raise ConfigError(f"topology {name}: ranks = {ranks}: give {'2' if name == 'pair' else '8 or 16'}")
    raise ConfigError(f"topology = {name}: give one of pair, ring, mesh, groups")
