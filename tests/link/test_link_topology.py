"""Routes: shortest, the same for all packets of a role, and never in a circle, with a dead link too."""

from collections import deque
from dataclasses import replace

import pytest
from openppu.link.layouts import TUNNEL_HOPS, Role
from openppu.link.topology import Ring, Topology, four_groups, mesh, named, on_a_circle, pair, ring, two_groups
from openppu.section import ConfigError

ALL = [
    pair(),
    pair(7),
    ring(3),
    ring(4),
    ring(7),
    ring(12),
    mesh(3),
    mesh(4),
    mesh(5),
    mesh(8),
    two_groups(),
    four_groups(),
]


def distances(topology: Topology, source: int) -> dict[int, int]:
    """Links to every chip, by looking all around."""
    away = {source: 0}
    queue = deque([source])
    while queue:
        at = queue.popleft()
        for other in {peer[0] for peer in topology.peers[at] if peer is not None} - set(away):
            away[other] = away[at] + 1
            queue.append(other)
    return away


@pytest.mark.parametrize("topology", ALL, ids=lambda topology: topology.name)
def test_links_have_two_ends(topology: Topology) -> None:
    for chip, ports in enumerate(topology.peers):
        for port, peer in enumerate(ports):
            assert peer is not None
            assert topology.peers[peer[0]][peer[1]] == (chip, port)
            assert peer[0] != chip


@pytest.mark.parametrize("topology", ALL, ids=lambda topology: topology.name)
def test_routes_are_shortest(topology: Topology) -> None:
    for source in range(topology.chips):
        away = distances(topology, source)
        assert len(away) == topology.chips
        for destination in range(topology.chips):
            for role in Role:
                path = topology.path(source, destination, role)
                if role is Role.COLLECTIVE and isinstance(topology, Ring) and away[destination] > 1:
                    assert path == ()
                    continue
                assert len(path) == away[destination]
                chip = source
                for at, port, channel in path:
                    assert at == chip
                    assert channel % 3 == role.value
                    peer = topology.peers[at][port]
                    assert peer is not None
                    chip = peer[0]
                assert chip == destination


@pytest.mark.parametrize("topology", ALL, ids=lambda topology: topology.name)
def test_no_circle_even_with_a_dead_link(topology: Topology) -> None:
    topology.check()


def test_the_check_finds_a_circle() -> None:
    class NoDateline(Ring):
        def raises(self, chip: int, port: int) -> bool:
            return False

    good = ring(5)
    bad = NoDateline(name="ring without classes", peers=good.peers, far_collectives=False)
    with pytest.raises(ConfigError, match=r"^topology ring without classes: packets wait for each other in a circle"):
        bad.check()


def test_the_check_finds_a_circle_through_a_tunnel() -> None:
    good = ring(5)
    with pytest.raises(
        ConfigError, match=r"circle at chip \d, port \d, channel 5, with the link at chip 0, port 0 dead"
    ):
        replace(good, far_collectives=True).check()


def test_a_circle_is_told_from_a_chain() -> None:
    a, b, c = (0, 0, 0), (1, 0, 0), (2, 0, 0)
    assert on_a_circle({a: {b}, b: {c}, c: set()}) is None
    assert on_a_circle({a: {b}, b: {c}, c: {b}}) == a or on_a_circle({a: {b}, b: {c}, c: {b}}) == b


@pytest.mark.parametrize("topology", ALL, ids=lambda topology: topology.name)
def test_tunnels_lead_to_the_other_end_past_the_link(topology: Topology) -> None:
    for ends in topology.links():
        for (chip, port), end in (ends, ends[::-1]):
            way = topology.tunnel(chip, port)
            if topology.chips == 2 and topology.ports == 1:
                assert way is None
                continue
            assert way is not None
            assert len(way) <= TUNNEL_HOPS
            at = chip
            for out in way:
                assert (at, out) not in ends
                peer = topology.peers[at][out]
                assert peer is not None
                at = peer[0]
            assert at == end[0]


def test_a_ring_of_many_has_no_tunnel() -> None:
    assert ring(20).tunnel(0, 0) is None
    assert ring(TUNNEL_HOPS + 1).tunnel(0, 0) is not None


def test_doubled_links_are_shared_by_requests_and_responses() -> None:
    topology = two_groups()
    for chip in range(8):
        for other in range(8):
            if other // 4 == chip // 4 and other != chip:
                routes = [topology.route(chip, other, role) for role in (Role.REQUEST, Role.RESPONSE)]
                assert [route and route.port for route in routes] == [2 * (chip ^ other) - 2, 2 * (chip ^ other) - 1]


@pytest.mark.parametrize(
    ("name", "chips", "message"),
    [
        ("star", 4, "topology = star: give one of pair, ring, mesh, groups"),
        ("pair", 3, "topology pair: chips = 3: give 2"),
        ("groups", 12, "topology groups: chips = 12: give 8 or 16"),
        ("ring", 2, "topology ring: chips = 2: give an integer from 3 to 64"),
        ("mesh", 9, "topology mesh: chips = 9: give an integer from 3 to 8"),
    ],
)
def test_unknown_topologies_are_refused(name: str, chips: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        named(name, chips)


def test_topologies_have_names() -> None:
    made = [named("pair", 2), named("ring", 9), named("mesh", 8), named("groups", 8), named("groups", 16)]
    assert [(topology.chips, topology.ports) for topology in made] == [(2, 1), (9, 2), (8, 7), (8, 7), (16, 7)]
    with pytest.raises(ConfigError, match=r"^topology pair: links = 8: give an integer from 1 to 7$"):
        pair(8)
    with pytest.raises(ConfigError, match=r"^topology wide: 2 chips with 8 ports: 64 chips with 7 ports at most$"):
        Topology(name="wide", peers=tuple(tuple((1 - chip, port) for port in range(8)) for chip in range(2))).check()
