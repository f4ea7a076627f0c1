"""Slow and dead links: what a node does then, and what is to be expected of many."""

import pytest
from link_cases import PORTS
from openppu_sim.cycles.link.collective import estimates
from openppu_sim.cycles.link.faults import Fault, FaultRates, expected_ns, fault_times, faulty_estimates, with_fault
from openppu_sim.cycles.link.topologies import topology
from openppu_sim.errors import UserError

MESH = topology("mesh", 8, 7)
SIZE = 64 << 20


def times(fault: Fault, name: str = "mesh") -> dict[str, float]:
    place = topology(name, 8, 7)
    return {one.algorithm: one.time_ns for one in faulty_estimates("allreduce", place, PORTS, SIZE, fault)}


def test_a_dead_link_of_a_mesh_doubles_direct_and_leaves_the_rings_alone() -> None:
    well = {one.algorithm: one.time_ns for one in estimates("allreduce", MESH, PORTS, SIZE)}
    for a, b in ((0, 1), (2, 7), (5, 3)):
        dead = times(Fault(a, b))
        # The detour's links carry their own bytes and those of the dead link, in packets of 266 bytes for 240.
        assert dead["direct"] / well["direct"] == pytest.approx(1 + 266 / 240, rel=0.03)
        assert dead["ring"] == pytest.approx(well["ring"], rel=1e-6)
        assert min(dead, key=dead.__getitem__) == "ring"


def test_a_slow_link_makes_direct_as_slow_as_itself() -> None:
    well = {one.algorithm: one.time_ns for one in estimates("allreduce", MESH, PORTS, SIZE)}
    assert times(Fault(1, 6, 0.5))["direct"] / well["direct"] == pytest.approx(2, rel=1e-3)


def test_one_of_two_links_between_chips_is_half_of_them() -> None:
    place, graph = with_fault(topology("groups", 8, 7), PORTS, Fault(0, 1))
    healthy = topology("groups", 8, 7).network(PORTS)
    changed = [number for number in range(len(graph.rate)) if graph.rate[number] != healthy.rate[number]]
    assert changed == healthy.links_between(0, 1)
    assert (graph.rate[changed] == healthy.rate[changed] / 2).all()
    assert place.rings == topology("groups", 8, 7).rings


@pytest.mark.parametrize(
    ("name", "chips", "fault", "told"),
    [
        ("mesh", 8, Fault(0, 0), "link 0-0: not a link of mesh of 8 chips"),
        ("ring", 8, Fault(0, 2), "link 0-2: not a link of ring"),
        ("mesh", 8, Fault(0, 9), "link 0-9: not a link"),
        ("ring", 13, Fault(0, 1), "no other way of 11 hops or fewer between chips 0 and 1"),
        ("ring", 64, Fault(0, 63), "no other way of 11 hops or fewer between chips 0 and 63"),
    ],
)
def test_impossible_faults_are_refused(name: str, chips: int, fault: Fault, told: str) -> None:
    with pytest.raises(UserError, match=told):
        with_fault(topology(name, chips, 2 if name == "ring" else 7), PORTS, fault)


def test_the_shares_of_time_add_up_and_follow_the_rates() -> None:
    rates = FaultRates(dead_per_hour=1e-6, degraded_per_hour=3e-6, mend_hours=4)
    for links in (1, 28, 35_000):
        shares = rates.shares(links)
        assert sum(shares) == pytest.approx(1)
        assert shares[2] == pytest.approx(1 - (1 - 4e-6 / (1 + 4e-6)) ** links)
    assert FaultRates(0, 0, 4).shares(28) == (1, 0, 0)
    assert expected_ns((1.0, 2.0, 3.0), FaultRates(0, 0, 4), 28) == 1
    well, slow, dead = rates.shares(28)
    assert expected_ns((1.0, 2.0, 3.0), rates, 28) == pytest.approx(well + 2 * slow + 3 * dead)


def test_a_fault_never_helps() -> None:
    for size in (1024, SIZE):
        well, slow, dead = fault_times("allreduce", MESH, PORTS, size)
        assert well <= slow
        assert well <= dead


def test_a_dead_link_to_the_twin_goes_around_by_two_other_chips() -> None:
    place, graph = with_fault(topology("groups", 8, 7), PORTS, Fault(0, 4))
    assert len(graph.way(0, 4)) == 3
    assert graph.detours == {(0, 4): 1 / PORTS.tunnel_share, (4, 0): 1 / PORTS.tunnel_share}
    well = {one.algorithm: one.time_ns for one in estimates("allreduce", place, PORTS, SIZE)}
    assert times(Fault(0, 4), "groups")["two-level"] > well["two-level"]
