"""The model's topologies are those that the hardware's routes are made for."""

from collections import Counter

import pytest
from openppu.link import topology as hardware
from openppu_sim.cycles.link.topologies import topology
from openppu_sim.errors import UserError


@pytest.mark.parametrize(("name", "chips"), [("mesh", 3), ("mesh", 8), ("groups", 8), ("groups", 16)])
def test_the_links_are_the_hardware_s(name: str, chips: int) -> None:
    made = hardware.named(name, chips)
    theirs = Counter(tuple(sorted((here[0], there[0]))) for here, there in made.links())
    ours = {(min(a, b), max(a, b)): count for a, b, count in topology(name, chips, made.ports).links}
    assert ours == theirs


def test_rings_and_pairs_use_the_ports_that_are_there() -> None:
    assert {count for *_, count in topology("ring", 8, 7).links} == {3}
    assert {count for *_, count in topology("ring", 8, 2).links} == {1}
    assert topology("pair", 2, 7).links == ((0, 1, 7),)
    assert topology("mesh", 4, 7).links[0][2] == 2


@pytest.mark.parametrize(
    ("name", "chips", "ports", "told"),
    [
        ("torus", 8, 7, "topology 'torus': give one of pair, ring, mesh, groups"),
        ("mesh", 9, 7, "it has 2 to 8"),
        ("mesh", 8, 6, "takes 7 ports a chip, but link.ports = 6"),
        ("ring", 8, 1, "takes 2 ports a chip, but link.ports = 1"),
        ("groups", 12, 7, "it has 8 or 16"),
        ("pair", 3, 7, "it has 2"),
    ],
)
def test_what_cannot_be_is_refused(name: str, chips: int, ports: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        topology(name, chips, ports)
