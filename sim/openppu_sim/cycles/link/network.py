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

UNIT_OPERANDS = 4
"""That a unit of the engine adds: what all but one port bring, and the chip's own."""

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Endpoint:
    """What a chip adds to each message and each step, and what a message takes on the wire.

    Attributes
    ----------
    start_ns, token_start_ns : float
        Once for each collective; for each barrier.
    step_ns : float
        Each step, beside its hop.
    add_ns, join_ns : float
        A sum, and one of more than ``UNIT_OPERANDS``, besides.
    store_ns, pass_ns, token_ns : float
        What has come is written to memory, to be sent on from there; sums leave at once; a token is sent on.
    dispatch_ns : float
        Each instruction of the first step, but for the first one.
    grant_ns : float
        A first step that writes to memory waits so much longer for the word that it may.
    flit_ns : float
        A flit's time but for a clock: a resting link sends flits that must end first. A hop has half of it, the mean; a
        chip that waits for several others waits for the longest.
    packet_bytes, header_bytes : int
        A message is cut into packets of as much data, each with a header; zero: a message takes just its bytes.
    lead_bytes : int
        So much of a message is enough for a chip to begin to send on what has come of it, while the rest still comes;
        zero: it waits for all.
    memory_gbs : float
        Rate of the memory that a reduction reads twice and writes once; infinite: it keeps up with the links.
    """

    start_ns: float = 0.0
    token_start_ns: float = 0.0
    step_ns: float = 0.0
    add_ns: float = 0.0
    join_ns: float = 0.0
    store_ns: float = 0.0
    pass_ns: float = 0.0
    token_ns: float = 0.0
    dispatch_ns: float = 0.0
    grant_ns: float = 0.0
    flit_ns: float = 0.0
    packet_bytes: int = 0
    header_bytes: int = 0
    lead_bytes: int = 0
    memory_gbs: float = math.inf

    @property
    def streams(self) -> bool:
        """Whether chips send on what has come of a step while the rest still comes."""
        return self.lead_bytes > 0

    def wire(self, sizes: Floats) -> Floats:
        """Bytes of flit payload that messages of so many bytes take."""
        if not self.packet_bytes:
            return sizes
        return sizes + self.header_bytes * np.maximum(1, np.ceil(sizes / self.packet_bytes))

    def first(self, sizes: Floats) -> Floats:
        """The share of each message that must be there before its receiver can send any of it on."""
        if not self.streams:
            return np.ones(sizes.shape)
        return self.wire(np.minimum(sizes, self.lead_bytes)) / self.wire(sizes)

    def begin_ns(self, *, sends: int, comes: int, reduces: bool, token: bool) -> float:
        """From the start of a collective to the first byte that leaves: what the busiest chip that something comes to
        sends, and what comes to it, in the first step."""
        longest = self.flit_ns * (comes / (comes + 1) - 0.5)
        if token:
            return self.token_start_ns + longest
        instructions = sends + (1 if reduces else comes)  # one adds all that comes
        before = max(0, instructions - 2) * self.dispatch_ns
        return self.start_ns + before + longest + (0.0 if reduces else self.grant_ns)

    def after_ns(self, *, operands: int, stored: bool, token: bool) -> float:
        """From the last byte of a step to its being sent on, or done with; ``operands`` of sums, none: 0."""
        if token:
            return self.step_ns + self.token_ns
        adds = (self.add_ns + (self.join_ns if operands > UNIT_OPERANDS else 0.0)) if operands else 0.0
        return self.step_ns + adds + (self.store_ns if stored else self.pass_ns)

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
