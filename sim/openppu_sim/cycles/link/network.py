"""Networks as the solvers see them: links with a latency and a rate, and the links of each way.

A way is cut through: a message's first byte goes on as soon as it has come, so its latency is the sum of its links',
and its bytes pass at the rate of the slowest share. `events.solve` can store and forward whole messages, too.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Endpoint:
    """What a chip adds to each message and each step, and what a message takes on the wire.

    Attributes
    ----------
    start_ns : float
        Once for each collective.
    step_ns : float
        From the last byte of a step received to the first byte of the next one sent.
    packet_bytes, header_bytes, flit_bytes : int
        A message is cut into packets of as much data, each with a header, and fills whole flits of so much payload;
        all zero: a message takes just its bytes.
    lead_bytes : int
        So much of a message is enough for a chip to begin to send on what has come of it, while the rest still comes;
        zero: it waits for all.
    memory_gbs : float
        Rate of the memory that a reduction reads twice and writes once; infinite: it keeps up with the links.
    """

    start_ns: float = 0.0
    step_ns: float = 0.0
    packet_bytes: int = 0
    header_bytes: int = 0
    flit_bytes: int = 0
    lead_bytes: int = 0
    memory_gbs: float = math.inf

    @property
    def streams(self) -> bool:
        """Whether chips send on what has come of a step while the rest still comes."""
        return self.lead_bytes > 0

    def wire(self, sizes: Floats) -> Floats:
        """Bytes of flit payload that messages of so many bytes take."""
        if not self.flit_bytes:
            return sizes
        packets = np.maximum(1, np.ceil(sizes / self.packet_bytes))
        return np.ceil((sizes + self.header_bytes * packets) / self.flit_bytes) * self.flit_bytes

    def first(self, sizes: Floats) -> Floats:
        """The share of each message that must be there before its receiver can send any of it on."""
        if not self.streams:
            return np.ones(sizes.shape)
        return self.wire(np.minimum(sizes, self.lead_bytes)) / self.wire(sizes)

    def reduce_ns(self, sizes: Floats) -> Floats:
        """Time to add messages to what is in memory, once they have come."""
        return 3 * sizes / self.memory_gbs


class Network(Protocol):
    """Links with their latency (ns) and rate (GB/s, which is bytes a nanosecond), and ways over them."""

    chips: int
    endpoint: Endpoint
    forward_ns: float
    alpha: Floats
    rate: Floats

    def paths(self, source: Indices, destination: Indices) -> Indices:
        """Links of the way of each message in turn: shape (messages, most links), -1 behind a way's end."""

    def stretch(self, source: Indices, destination: Indices) -> Floats:
        """By how much more bytes a message takes on its way than elsewhere; shape (messages,)."""


@dataclass
class Graph:
    """A few chips, and switches, with ways along the fewest links.

    Parameters
    ----------
    chips : int
        The first so many vertices; those above are switches.
    endpoint : Endpoint
        What chips add.
    forward_ns : float
        Latency of a chip, or a switch, that a message passes through.
    ways : dict, optional
        The links from each chip to each other one, where they are not to be found here.
    detours : dict
        Pairs of chips whose messages take so many times their bytes.
    """

    chips: int
    endpoint: Endpoint = field(default_factory=Endpoint)
    forward_ns: float = 0.0
    alpha: Floats = field(default_factory=lambda: np.zeros(0))
    rate: Floats = field(default_factory=lambda: np.zeros(0))
    ends: list[tuple[int, int]] = field(default_factory=list)
    ways: dict[tuple[int, int], list[int]] | None = None
    detours: dict[tuple[int, int], float] = field(default_factory=dict)

    def connect(self, a: int, b: int, *, alpha: float, rate: float) -> None:
        """Add a link each way between two vertices."""
        for ends in ((a, b), (b, a)):
            self.ends.append(ends)
        self.alpha = np.append(self.alpha, [alpha, alpha])
        self.rate = np.append(self.rate, [rate, rate])
        self.ways = None

    def links_between(self, a: int, b: int) -> list[int]:
        """The two links, one each way, or none."""
        return [number for number, ends in enumerate(self.ends) if set(ends) == {a, b}]

    def slowed(self, numbers: Iterable[int], share: float) -> "Graph":
        """The same graph with some links at a share of their rate."""
        rate = self.rate.copy()
        rate[list(numbers)] *= share
        return replace(self, rate=rate)

    def detoured(self, way: Sequence[int], stretch: float) -> "Graph":
        """The same graph with messages between the first and the last of some chips through those between.

        These messages take so many times their bytes.
        """
        ways = dict(self.find_ways())
        for chips in (way, way[::-1]):
            ways[chips[0], chips[-1]] = [number for hop in pairwise(chips) for number in ways[hop]]
        ends = (way[0], way[-1])
        return replace(self, ways=ways, detours=self.detours | {ends: stretch, ends[::-1]: stretch})

    def way(self, source: int, destination: int) -> list[int]:
        """The links of the way from one chip to another.

        Raises
        ------
        ValueError
            If there is none.
        """
        try:
            return self.find_ways()[source, destination]
        except KeyError:
            raise ValueError(f"no way from chip {source} to chip {destination}") from None

    def paths(self, source: Indices, destination: Indices) -> Indices:
        """See `Network`."""
        ways = [self.way(a, b) for a, b in zip(source.tolist(), destination.tolist(), strict=True)]
        longest = max(map(len, ways), default=1)
        return np.array([way + [-1] * (longest - len(way)) for way in ways], np.int64).reshape(len(ways), longest)

    def stretch(self, source: Indices, destination: Indices) -> Floats:
        """See `Network`."""
        if not self.detours:
            return np.ones(source.shape)
        pairs = zip(source.tolist(), destination.tolist(), strict=True)
        return np.array([self.detours.get(pair, 1.0) for pair in pairs])

    def find_ways(self) -> dict[tuple[int, int], list[int]]:
        """All ways; found now, unless they have been.

        Near pairs first; of the ways with the fewest links, one whose links the ways found before use least.
        """
        if self.ways is None:
            self.ways = self._found_ways()
        return self.ways

    def _found_ways(self) -> dict[tuple[int, int], list[int]]:
        used = np.zeros(len(self.ends))
        ways: dict[tuple[int, int], list[int]] = {}
        layers = [self._distances(chip) for chip in range(self.chips)]
        pairs = [(layer[a], a, b) for b, layer in enumerate(layers) for a in range(self.chips) if a != b and a in layer]
        for far, source, destination in sorted(pairs):
            way = self._lightest(source, far, layers[destination], used)
            used[way] += 1 / self.rate[way]
            ways[source, destination] = way
        return ways

    def _distances(self, destination: int) -> dict[int, int]:
        """Links from each vertex to a destination."""
        distance = {destination: 0}
        waiting = deque([destination])
        while waiting:
            vertex = waiting.popleft()
            for before, end in self.ends:
                if end == vertex and before not in distance:
                    distance[before] = distance[vertex] + 1
                    waiting.append(before)
        return distance

    def _lightest(self, source: int, far: int, distance: dict[int, int], used: Floats) -> list[int]:
        """Layer by layer towards the destination: the way whose most used link is used least."""
        best: dict[int, tuple[float, list[int]]] = {source: (0.0, [])}
        for left in range(far, 0, -1):
            ahead: dict[int, tuple[float, list[int]]] = {}
            for number, (start, end) in enumerate(self.ends):
                if start in best and distance.get(end) == left - 1:
                    cost, way = best[start]
                    worst = max(cost, float(used[number]))
                    if end not in ahead or worst < ahead[end][0]:
                        ahead[end] = (worst, [*way, number])
            best = ahead
        ((_, way),) = best.values()
        return way


def latency(network: Network, paths: Indices) -> Floats:
    """Latency of each way: its links', and that of what is between them."""
    on_way = paths >= 0
    return np.where(on_way, network.alpha[paths], 0.0).sum(axis=1) + network.forward_ns * (on_way.sum(axis=1) - 1)
