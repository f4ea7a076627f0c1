"""Which chips are linked, how packets go between them, and why they never wait for each other in a circle."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, permutations

from openppu.link.config import CHANNELS
from openppu.link.layouts import CHIP_BITS, TUNNEL_HOPS, Role
from openppu.section import ConfigError

GROUP = 4
"""Chips of a group, in the topologies that have groups."""

CLASSES = 2
TUNNEL_CHANNEL = CHANNELS - 1
"""Of packets that carry flits of a port whose lanes are dead: the last one, of collectives in class 1."""

PORTS = 7

Peers = tuple[tuple[tuple[int, int] | None, ...], ...]
Channel = tuple[int, int, int]
"""Chip, port, virtual channel: where packets wait for each other."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a packet goes on: the port, and whether it changes to class 1 there."""

    port: int
    raises: bool


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Chips and the links between their ports.

    Parameters
    ----------
    name : str
    peers : tuple of tuples
        ``peers[chip][port]`` is the chip and port at the other end, or None.
    far_collectives : bool
        Collective data may go to chips that are no neighbours.
    """

    name: str
    peers: Peers
    far_collectives: bool = True

    @property
    def chips(self) -> int:
        """How many there are."""
        return len(self.peers)

    @property
    def ports(self) -> int:
        """That a chip needs."""
        return max(map(len, self.peers))

    def ports_to(self, chip: int, other: int) -> tuple[int, ...]:
        """The ports of ``chip`` that lead to its neighbour ``other``."""
        return tuple(port for port, peer in enumerate(self.peers[chip]) if peer is not None and peer[0] == other)

    def next_chip(self, chip: int, destination: int) -> int:
        """The neighbour that a packet goes to: of those on a shortest way the one behind the lowest port."""
        away = self._distances[destination]
        steps = (peer[0] for peer in self.peers[chip] if peer is not None)
        return next(other for other in steps if away[other] == away[chip] - 1)

    def raises(self, chip: int, port: int) -> bool:
        """Whether packets that go out there change to class 1."""
        return False

    def route(self, chip: int, destination: int, role: Role) -> Route | None:
        """What the routing table of ``chip`` holds: None for the chip itself, and where no packet of the role goes.

        Of two links to a neighbour, requests take the first and responses the second.
        """
        if chip == destination:
            return None
        if role is Role.COLLECTIVE and not self.far_collectives and not self.ports_to(chip, destination):
            return None
        ports = self.ports_to(chip, self.next_chip(chip, destination))
        port = ports[role.value % len(ports)]
        return Route(port=port, raises=self.raises(chip, port))

    def path(self, source: int, destination: int, role: Role) -> tuple[Channel, ...]:
        """The channels that a packet goes through: those of the ports that it is sent from."""
        hops: list[Channel] = []
        chip, above = source, 0
        while (route := self.route(chip, destination, role)) is not None:
            above |= route.raises
            hops.append((chip, route.port, role.value + len(Role) * above))
            peer = self.peers[chip][route.port]
            assert peer is not None
            chip = peer[0]
            if len(hops) > self.chips:
                raise ConfigError(f"topology {self.name}: packets from chip {source} to {destination} go in a circle")
        return tuple(hops)

    def tunnel(self, chip: int, port: int) -> tuple[int, ...] | None:
        """The ports that flits of a dead link take to its other end, one after the other; None: there is no way that
        is short enough."""
        end = self.peers[chip][port]
        if end is None:
            return None
        dead = ((chip, port), end)
        ways: dict[int, tuple[int, ...]] = {chip: ()}
        queue = deque([chip])
        while queue:
            at = queue.popleft()
            for out, peer in enumerate(self.peers[at]):
                if peer is not None and (at, out) not in dead and peer[0] not in ways:
                    ways[peer[0]] = (*ways[at], out)
                    queue.append(peer[0])
        way = ways.get(end[0])
        return way if way is not None and len(way) <= TUNNEL_HOPS else None

    def links(self) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Each link once: chip and port at both ends."""
        for chip, ports in enumerate(self.peers):
            for port, peer in enumerate(ports):
                if peer is not None and (chip, port) < peer:
                    yield (chip, port), peer

    def dependencies(self, dead: tuple[tuple[int, int], tuple[int, int]] | None = None) -> dict[Channel, set[Channel]]:
        """For each channel those that its packets may wait for.

        A packet waits for the next channel of its path; a request at its target for the first channel of the answer.
        With a ``dead`` link, its flits wait for the tunnels both ways: for data there, and for credits back.
        """
        graph = {channel: set(waits_for) for channel, waits_for in self._clean.items()} if dead else {}

        def chain(channels: tuple[Channel, ...]) -> None:
            for channel in channels:
                graph.setdefault(channel, set())
            for channel, following in pairwise(channels):
                graph[channel].add(following)

        if dead is not None:
            tunnels = [self._tunnel_channels(*end) for end in dead]
            for tunnel in tunnels:
                chain(tunnel)
            for chip, port in dead:
                for channel in range(CHANNELS):
                    graph.setdefault((chip, port, channel), set()).update(tunnel[0] for tunnel in tunnels if tunnel)
            return graph
        request, response = tuple(Role)[:2]
        for source, destination in permutations(range(self.chips), 2):
            for role in Role:
                chain(self.path(source, destination, role))
            graph[self.path(source, destination, request)[-1]].add(self.path(destination, source, response)[0])
        return graph

    @cached_property
    def _clean(self) -> dict[Channel, set[Channel]]:
        return self.dependencies()

    def check(self) -> None:
        """Whether packets can be routed, and never wait for each other in a circle, with all links or but one.

        Raises
        ------
        ConfigError
            If there are too many chips or ports, or a circle; the message names a channel of it.
        """
        if self.chips > 1 << CHIP_BITS or self.ports > PORTS:
            most = f"{1 << CHIP_BITS} chips with {PORTS} ports at most"
            raise ConfigError(f"topology {self.name}: {self.chips} chips with {self.ports} ports: {most}")
        for dead in (None, *self.links()):
            if (channel := on_a_circle(self.dependencies(dead))) is not None:
                without = "" if dead is None else f", with the link at chip {dead[0][0]}, port {dead[0][1]} dead"
                place = f"chip {channel[0]}, port {channel[1]}, channel {channel[2]}"
                raise ConfigError(f"topology {self.name}: packets wait for each other in a circle at {place}{without}")

    def _tunnel_channels(self, chip: int, port: int) -> tuple[Channel, ...]:
        channels = []
        for out in self.tunnel(chip, port) or ():
            channels.append((chip, out, TUNNEL_CHANNEL))
            peer = self.peers[chip][out]
            assert peer is not None
            chip = peer[0]
        return tuple(channels)

    @cached_property
    def _distances(self) -> tuple[dict[int, int], ...]:
        """For each destination, the links from every chip to it."""
        return tuple(self._away(destination) for destination in range(self.chips))

    def _away(self, destination: int) -> dict[int, int]:
        away = {destination: 0}
        queue = deque([destination])
        while queue:
            at = queue.popleft()
            for peer in self.peers[at]:
                if peer is not None and peer[0] not in away:
                    away[peer[0]] = away[at] + 1
                    queue.append(peer[0])
        return away


def on_a_circle(graph: dict[Channel, set[Channel]]) -> Channel | None:
    """A channel of a circle, or between two, if there is one: neither first nor last in any order."""
    left = _without_ends(_without_ends(graph))
    return min(left) if left else None


def _without_ends(graph: dict[Channel, set[Channel]]) -> dict[Channel, set[Channel]]:
    """What is left when channels that wait for none are taken away, again and again; turned round."""
    waiters: dict[Channel, set[Channel]] = {channel: set() for channel in graph}
    for channel, waits_for in graph.items():
        for other in waits_for:
            waiters[other].add(channel)
    counts = {channel: len(waits_for) for channel, waits_for in graph.items()}
    free = [channel for channel, count in counts.items() if count == 0]
    while free:
        done = free.pop()
        for channel in waiters.pop(done):
            counts[channel] -= 1
            if counts[channel] == 0:
                free.append(channel)
    return {channel: waiting & set(waiters) for channel, waiting in waiters.items()}


class Ring(Topology):
    """Port 0 leads to the next chip, port 1 to the one before; between last and first, packets change to class 1."""

    def raises(self, chip: int, port: int) -> bool:
        return (chip, port) in ((self.chips - 1, 0), (0, 1))


class FourGroups(Topology):
    """Sixteen chips: in a group as in `two_groups`; port 6 of chip k of group g leads to chip k of group g XOR k, or of
    g XOR 1 if k is 0. Packets go to a chip of their group that is linked to the other group, over, and on in class 1.
    """

    def next_chip(self, chip: int, destination: int) -> int:
        distance = chip // GROUP ^ destination // GROUP
        if distance == 0:
            return destination
        across = self.peers[chip][PORTS - 1]
        assert across is not None
        if across[0] // GROUP == destination // GROUP:
            return across[0]
        place = destination % 2 if distance == 1 else distance
        return chip // GROUP * GROUP + place

    def raises(self, chip: int, port: int) -> bool:
        return port == PORTS - 1


def pair(links: int = 1) -> Topology:
    """Two chips, with one link or more between the same ports."""
    if not 1 <= links <= PORTS:
        raise ConfigError(f"topology pair: links = {links}: give an integer from 1 to {PORTS}")
    return Topology(name="pair", peers=tuple(tuple((1 - chip, port) for port in range(links)) for chip in range(2)))


def ring(chips: int) -> Topology:
    """Chips in a ring."""
    if not 3 <= chips <= 1 << CHIP_BITS:
        raise ConfigError(f"topology ring: chips = {chips}: give an integer from 3 to {1 << CHIP_BITS}")
    peers = tuple((((chip + 1) % chips, 1), ((chip - 1) % chips, 0)) for chip in range(chips))
    return Ring(name=f"ring of {chips}", peers=peers, far_collectives=False)


def mesh(chips: int = 8) -> Topology:
    """A link between every two chips. Port (a XOR b) - 1 of both, where the number is a power of two; else in order."""
    if not 3 <= chips <= PORTS + 1:
        raise ConfigError(f"topology mesh: chips = {chips}: give an integer from 3 to {PORTS + 1}")

    def port(chip: int, other: int) -> int:
        return (chip ^ other) - 1 if chips.bit_count() == 1 else other - (other > chip)

    peers = []
    for chip in range(chips):
        others = sorted((port(chip, other), other) for other in range(chips) if other != chip)
        peers.append(tuple((other, port(other, chip)) for _, other in others))
    return Topology(name=f"mesh of {chips}", peers=tuple(peers))


def two_groups() -> Topology:
    """Two groups of four. Inside, two links between any two: ports 2d - 2 and 2d - 1, d the XOR of their places; port 6
    leads to the twin, the chip in the same place of the other group."""
    peers = tuple((*_inside(chip), (chip ^ GROUP, PORTS - 1)) for chip in range(2 * GROUP))
    return Topology(name="two groups of 4", peers=peers)


def four_groups() -> Topology:
    """`FourGroups`."""
    peers = []
    for chip in range(GROUP * GROUP):
        peers.append((*_inside(chip), (chip ^ GROUP * (chip % GROUP or 1), PORTS - 1)))
    return FourGroups(name="four groups of 4", peers=tuple(peers))


def _inside(chip: int) -> tuple[tuple[int, int], ...]:
    return tuple((chip ^ distance, 2 * distance - 2 + link) for distance in range(1, GROUP) for link in range(2))


def named(name: str, chips: int) -> Topology:
    """The topology of a name as a user writes it: pair, ring, mesh or groups.

    Raises
    ------
    ConfigError
        If there is no such one, or not with so many chips.
    """
    if name == "ring":
        return ring(chips)
    if name == "mesh":
        return mesh(chips)
    if name == "pair" and chips == 2:
        return pair()
    if name == "groups" and chips in (2 * GROUP, GROUP * GROUP):
        return two_groups() if chips == 2 * GROUP else four_groups()
    if name in ("pair", "groups"):
        raise ConfigError(f"topology {name}: chips = {chips}: give {'2' if name == 'pair' else '8 or 16'}")
    raise ConfigError(f"topology = {name}: give one of pair, ring, mesh, groups")
