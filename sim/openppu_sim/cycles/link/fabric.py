"""Networks above a node: fat trees of switches, and many nodes beside each other."""

from dataclasses import dataclass, field

import numpy as np

from openppu_sim.cycles.link.network import Endpoint, Floats, Graph, Indices
from openppu_sim.errors import UserError, require

MOST_TIERS = 3


@dataclass(frozen=True)
class Fabric:
    """What a rail is built of: a network interface for each chip, switches, and how much is saved at their tops.

    Attributes
    ----------
    gbs : float
        Of an interface, each way, in GB/s of data.
    interface_ns : float
        Latency that the interfaces at both ends add together, cables included.
    switch_ns : float
        Latency of a switch, cables included.
    radix : int
        Ports of a switch; half of them lead down where there is another tier above.
    oversubscription : float
        Of the links up from the lowest tier: how many times more leads down than up.
    """

    gbs: float
    interface_ns: float
    switch_ns: float
    radix: int = 64
    oversubscription: float = 1.0

    def __post_init__(self) -> None:
        require("rail rate", self.gbs, 0.001, 1_000_000, "GB/s")
        require("interface latency", self.interface_ns / 1e3, 0, 1_000_000, "us")
        require("switch latency", self.switch_ns / 1e3, 0, 1_000_000, "us")
        if not 4 <= self.radix <= 4096 or self.radix % 2:
            raise UserError(f"radix {self.radix}: give an even number from 4 to 4,096")
        require("oversubscription", self.oversubscription, 1, 64)

    def tiers(self, ends: int) -> int:
        """Tiers of switches that so many ends take: 1 to 3.

        Raises
        ------
        UserError
            If three are too few.
        """
        reach = self.radix
        for tier in range(1, MOST_TIERS + 1):
            if ends <= reach:
                return tier
            reach *= self.radix // 2
        most = reach // (self.radix // 2)
        raise UserError(
            f"{ends:,} nodes: {MOST_TIERS} tiers of switches with {self.radix} ports reach {most:,}; give larger ones"
        )


class FatTree:
    """A rail: ends under one switch, or under leaves below one or two more tiers; see `Network`.

    An end has a link up and one down. Where there is more than one tier, each leaf has one link up and one down in the
    place of all of its own, with the rate of all of them: what goes up is spread evenly, whatever the pattern.

    Parameters
    ----------
    ends : int
        Chips on the rail.
    fabric : Fabric
        What it is built of.
    """

    def __init__(self, ends: int, fabric: Fabric) -> None:
        self.chips = ends
        self.endpoint = Endpoint()
        self.forward_ns = 0.0
        self.fabric = fabric
        tiers = fabric.tiers(ends)
        self.tiers = tiers
        self.leaf = ends if tiers == 1 else fabric.radix // 2
        leaves = -(-ends // self.leaf)
        # Pods of leaves have all their ways up through the second tier; only their latency differs.
        self.pod = ends if tiers < MOST_TIERS else self.leaf * (fabric.radix // 2)
        up = fabric.gbs * self.leaf / fabric.oversubscription
        self.rate: Floats = np.concatenate([np.full(2 * ends, fabric.gbs), np.full(2 * leaves, up)])
        near = (fabric.interface_ns + fabric.switch_ns) / 2
        self.alpha: Floats = np.concatenate([np.full(2 * ends, near), np.full(2 * leaves, fabric.switch_ns)])
        self.leaves = leaves
        # The third tier's latency, as a link of its own that never fills.
        self.rate = np.append(self.rate, np.inf)
        self.alpha = np.append(self.alpha, 2 * fabric.switch_ns)

    def paths(self, source: Indices, destination: Indices) -> Indices:
        """See `Network`: up, up, over the top, down, down; as far as it is needed."""
        ends, leaves = self.chips, self.leaves
        paths = np.full((len(source), 5), -1, np.int64)
        paths[:, 0], paths[:, 4] = source, ends + destination
        away = source // self.leaf != destination // self.leaf
        paths[away, 1] = 2 * ends + source[away] // self.leaf
        paths[away, 3] = 2 * ends + leaves + destination[away] // self.leaf
        paths[source // self.pod != destination // self.pod, 2] = len(self.rate) - 1
        return paths

    def stretch(self, source: Indices, destination: Indices) -> Floats:
        """See `Network`."""
        return np.ones(source.shape)


@dataclass
class Copies:
    """The same network many times, chips of different ones not connected; see `Network`.

    Chip i of copy c is chip ``c * spacing + i`` where ``inner``, else ``i * copies + c``: nodes of a cluster are
    inner copies of a node, its rails outer copies of a rail.
    """

    one: Graph | FatTree
    copies: int
    inner: bool = True
    rate: Floats = field(init=False)
    alpha: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.chips = self.one.chips * self.copies
        self.endpoint = self.one.endpoint
        self.forward_ns = self.one.forward_ns
        self.rate = np.tile(self.one.rate, self.copies)
        self.alpha = np.tile(self.one.alpha, self.copies)

    def _split(self, chip: Indices) -> tuple[Indices, Indices]:
        if self.inner:
            return chip // self.one.chips, chip % self.one.chips
        return chip % self.copies, chip // self.copies

    def paths(self, source: Indices, destination: Indices) -> Indices:
        """See `Network`.

        Raises
        ------
        ValueError
            If a message goes from one copy to another.
        """
        copy, start = self._split(source)
        other, end = self._split(destination)
        if (copy != other).any():
            raise ValueError("a message goes from one copy of a network to another")
        paths = self._one_paths(start, end)
        return np.where(paths >= 0, paths + (copy * len(self.one.rate))[:, None], -1)

    def _one_paths(self, start: Indices, end: Indices) -> Indices:
        """Ways in one copy; each pair of chips is looked up once."""
        pairs, place = np.unique(start * self.one.chips + end, return_inverse=True)
        return self.one.paths(pairs // self.one.chips, pairs % self.one.chips)[place]

    def stretch(self, source: Indices, destination: Indices) -> Floats:
        """See `Network`."""
        return self.one.stretch(self._split(source)[1], self._split(destination)[1])
