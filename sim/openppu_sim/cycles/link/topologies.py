"""How the chips of a node are connected: pair, ring, mesh, groups.

``pair``: two chips, all ports between them. ``ring``: each chip with two neighbours, half of the ports to each.
``mesh``: each with every other, up to eight. ``groups`` of eight: two groups of four, two links between the chips of
a group and one to the twin in the other. ``groups`` of sixteen: four groups of four, likewise inside; chip k of group g
has its seventh link to chip k of group g XOR k, or of g XOR 1 where k is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from openppu_sim.cycles.link.network import Graph
from openppu_sim.cycles.link.ports import Ports
from openppu_sim.errors import UserError

MOST_RING = 64
GROUP = 4


@dataclass(frozen=True)
class Topology:
    """Chips of a node and the number of links between neighbours.

    Attributes
    ----------
    links : tuple of (int, int, int)
        Two chips, and links between them; work is spread over these evenly.
    groups : tuple of tuples of int
        Chips that are fully connected with each other, for two-level algorithms; one group of all for flat ones.
    rings : tuple of tuples of int
        Orders of the chips along neighbours that share no link in a direction.
    """

    name: str
    chips: int
    links: tuple[tuple[int, int, int], ...]
    groups: tuple[tuple[int, ...], ...]
    rings: tuple[tuple[int, ...], ...]

    def ports_used(self, chip: int = 0) -> int:
        """Ports of a chip that are connected."""
        return sum(count for a, b, count in self.links if chip in (a, b))

    def network(self, ports: Ports) -> Graph:
        """The topology with what its ports do; the same object each time, whose ways are found once."""
        return _network(self, ports)


@lru_cache(maxsize=1000)
def _network(topology: Topology, ports: Ports) -> Graph:
    graph = Graph(topology.chips, ports.endpoint, ports.forward_ns)
    for a, b, count in topology.links:
        graph.connect(a, b, alpha=ports.hop_ns, rate=count * ports.gbs)
    graph.find_ways()
    return graph


def topology(name: str, chips: int, ports: int) -> Topology:
    """A topology for chips of so many ports.

    Raises
    ------
    UserError
        If there is none of the name, or it has no such number of chips, or takes more ports.
    """
    if name not in TOPOLOGIES:
        raise UserError(f"topology {name!r}: give one of {', '.join(TOPOLOGIES)}")
    made = TOPOLOGIES[name](chips, ports)
    used = max(made.ports_used(chip) for chip in range(chips))
    if used > ports:
        raise UserError(
            f"topology {name} of {chips} chips: takes {used} ports a chip, but link.ports = {ports}; use fewer chips, "
            "another topology, or --config ppu810e"
        )
    return made


def _pair(chips: int, ports: int) -> Topology:
    _allow("pair", chips, chips == 2, "2")
    return Topology("pair", 2, ((0, 1, max(1, ports)),), ((0, 1),), ((0, 1),))


def _ring(chips: int, ports: int) -> Topology:
    _allow("ring", chips, 3 <= chips <= MOST_RING, f"3 to {MOST_RING}")
    width = max(1, ports // 2)
    order = tuple(range(chips))
    links = tuple((chip, (chip + 1) % chips, width) for chip in order)
    return Topology("ring", chips, links, (order,), (order, order[::-1]))


def _mesh(chips: int, ports: int) -> Topology:
    _allow("mesh", chips, 2 <= chips <= 8, "2 to 8")
    width = max(1, ports // (chips - 1))
    links = tuple((a, b, width) for a, b in combinations(range(chips), 2))
    rings = [ring for order in zigzag_rings(chips) for ring in (order, order[::-1])] if chips > 2 else [(0, 1)]
    return Topology("mesh", chips, links, (tuple(range(chips)),), tuple(rings))


def _groups(chips: int, ports: int) -> Topology:
    _allow("groups", chips, chips in (8, 16), "8 or 16")
    count = chips // GROUP
    inside = [(GROUP * g + a, GROUP * g + b, 2) for g in range(count) for a, b in combinations(range(GROUP), 2)]
    groups = tuple(tuple(range(GROUP * g, GROUP * g + GROUP)) for g in range(count))
    if count == 2:
        across = [(chip, chip + GROUP, 1) for chip in range(GROUP)]
        ring: tuple[int, ...] = (0, 1, 2, 3, 7, 6, 5, 4)
    else:
        pairs = [(GROUP * g + k, GROUP * (g ^ max(1, k)) + k) for g in range(count) for k in range(GROUP)]
        across = [(a, b, 1) for a, b in pairs if a < b]
        ring = (2, 3, 1, 0, 4, 5, 7, 6, 14, 15, 13, 12, 8, 9, 11, 10)
    return Topology("groups", chips, (*inside, *across), groups, (ring, ring[::-1]))


TOPOLOGIES: dict[str, Callable[[int, int], Topology]] = {
    "pair": _pair,
    "ring": _ring,
    "mesh": _mesh,
    "groups": _groups,
}


def zigzag_rings(chips: int) -> list[tuple[int, ...]]:
    """Rings over all chips of a mesh that share no link: (chips - 1) // 2 of them (Walecki's zigzags around a hub)."""
    outer = chips - 1  # around a hub, the last chip; each ring is the first one's zigzag, turned
    turns = range((chips - 1) // 2)
    return [(outer, *((turn - (-1) ** hop * ((hop + 1) // 2)) % outer for hop in range(outer))) for turn in turns]


def _allow(name: str, chips: int, good: bool, allowed: str) -> None:
    if not good:
        raise UserError(f"topology {name} of {chips} chips: it has {allowed}")
