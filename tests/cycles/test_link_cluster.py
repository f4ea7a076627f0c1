"""Collectives over many nodes: rails, closed forms beside simulated steps, and what grows when something grows."""

from dataclasses import replace

import numpy as np
import pytest
from link_cases import PORTS
from openppu_sim.cycles.link import algorithms, steps
from openppu_sim.cycles.link.cluster import Cluster, double_tree_ns, ring_ns, simulate_two_level
from openppu_sim.cycles.link.collective import estimates
from openppu_sim.cycles.link.fabric import Copies, Fabric, FatTree
from openppu_sim.cycles.link.formulas import best_pieces
from openppu_sim.cycles.link.network import latency
from openppu_sim.cycles.link.schedule import step
from openppu_sim.cycles.link.topologies import topology
from openppu_sim.errors import UserError

FABRIC = Fabric(gbs=50, interface_ns=2000, switch_ns=500)
MESH = topology("mesh", 8, 7)


def cluster(cards: int, fabric: Fabric = FABRIC, node: str = "mesh", chips: int = 8) -> Cluster:
    return Cluster(cards, topology(node, chips, 7), PORTS, fabric)


def hop(rail: FatTree, a: int, b: int) -> float:
    return float(latency(rail, rail.paths(np.array([a]), np.array([b])))[0])


def test_a_way_passes_one_three_or_five_switches() -> None:
    rail = FatTree(8192, FABRIC)
    assert rail.tiers == 3
    assert hop(rail, 0, 31) == pytest.approx(2000 + 500)
    assert hop(rail, 0, 32) == pytest.approx(2000 + 3 * 500)
    assert hop(rail, 0, 32 * 32) == pytest.approx(2000 + 5 * 500)
    assert FatTree(64, FABRIC).tiers == 1
    assert FatTree(65, FABRIC).tiers == 2
    assert hop(FatTree(2048, FABRIC), 0, 2047) == pytest.approx(2000 + 3 * 500)
    with pytest.raises(UserError, match="4,097 nodes: 3 tiers of switches with 16 ports reach 1,024"):
        replace(FABRIC, radix=16).tiers(4097)


@pytest.mark.parametrize("ends", [2, 3, 8, 64, 65, 100, 300, 1250])
@pytest.mark.parametrize("operation", ["allreduce", "reducescatter", "allgather"])
def test_the_ring_s_closed_form_is_what_its_steps_take(operation: str, ends: int) -> None:
    rail = FatTree(ends, FABRIC)
    for size in (1000, 10**8):
        solved = steps.solve(algorithms.ring(operation, ends, size), rail)
        assert ring_ns(rail, operation, size) == pytest.approx(solved, rel=1e-9)


@pytest.mark.parametrize("ends", [4, 8, 16, 33, 64])
def test_the_trees_closed_form_is_near_what_their_steps_take(ends: int) -> None:
    rail = FatTree(ends, FABRIC)
    for size in (1000, 10**6, 10**8):
        pieces = best_pieces(ends, size, hop_ns=hop(rail, 0, ends - 1), gbs=25)
        solved = steps.solve(algorithms.double_tree("allreduce", ends, size, pieces), rail)
        assert double_tree_ns(rail, size) == pytest.approx(solved, rel=0.1)


@pytest.mark.parametrize("ends", [2, 48, 156, 1024, 1249])
@pytest.mark.parametrize("operation", ["allreduce", "reducescatter", "allgather", "barrier"])
def test_a_scaled_plan_is_the_schedule_of_its_size(operation: str, ends: int) -> None:
    one = cluster(8 * ends)
    size = 0 if operation == "barrier" else 3 << 20
    solved = steps.solve(algorithms.halving_doubling(operation, ends, size), one.rail(ends))
    assert one.rail_ns(operation, "halving-doubling", ends, size) == pytest.approx(solved, rel=1e-4)


def test_halving_doubling_without_contention_is_latency_and_bytes() -> None:
    size = 1 << 27
    one = cluster(8 * 64)
    expected = 12 * (2000 + 500) + 2 * size * 63 / 64 / 50
    assert one.rail_ns("allreduce", "halving-doubling", 64, size) == pytest.approx(expected)


def test_saved_links_up_cost_time_where_they_are_used() -> None:
    size = 1 << 30
    thin = replace(FABRIC, oversubscription=4.0)
    full, less = (cluster(8 * 1024, fabric) for fabric in (FABRIC, thin))
    for operation, algorithm in (("allreduce", "halving-doubling"), ("alltoall", "direct")):
        well, badly = (one.rail_ns(operation, algorithm, 1024, size) for one in (full, less))
        assert 1 < badly / well <= 4
    well, badly = (one.rail_ns("allreduce", "ring", 1024, size) for one in (full, less))
    assert badly == pytest.approx(well), "a ring leaves a leaf by one link"


def test_the_whole_cluster_step_by_step_is_the_phases_one_after_the_other() -> None:
    one = cluster(512)
    size = 64 << 20
    for across in ("ring", "halving-doubling"):
        phases = sum(
            estimates(operation, MESH, PORTS, size)[0].time_ns for operation in ("reducescatter", "allgather")
        ) + one.rail_ns("allreduce", across, 64, size / 8)
        # Each phase inside the nodes has a start; the rails begin when the node's step is over.
        assert simulate_two_level(one, size, across=across) == pytest.approx(phases, rel=1e-3)


def test_pieces_overlap_the_levels() -> None:
    (best, *_) = cluster(512).collective("allreduce", 1 << 30)
    assert best.pieces > 1
    between = 2 * (1 << 27) * 63 / 64 / 50
    inside = 2 * (1 << 27) / PORTS.gbs
    assert max(between, inside) < best.time_ns < between + inside


@pytest.mark.parametrize("node", [("mesh", 8), ("groups", 8), ("groups", 16), ("pair", 2)])
def test_every_operation_on_every_kind_of_node(node: tuple[str, int]) -> None:
    name, chips = node
    one = cluster(64, node=name, chips=chips)
    for operation in ("allreduce", "reducescatter", "allgather", "alltoall", "barrier"):
        found = one.collective(operation, 0 if operation == "barrier" else 1 << 24)
        times = [estimate.time_ns for estimate in found]
        assert times == sorted(times)
        assert times[0] > 0


@pytest.mark.parametrize("cards", [8, 16, 64, 1000, 16_384])
@pytest.mark.parametrize("operation", ["allreduce", "alltoall"])
def test_more_bytes_never_take_less(cards: int, operation: str) -> None:
    one = cluster(cards)
    times = [one.collective(operation, size)[0].time_ns for size in (1, 7, 1000, 2000, 10**5, 10**6, 10**7, 10**9)]
    assert times == sorted(times)


def test_one_node_needs_no_rail() -> None:
    (only,) = cluster(8).collective("allreduce", 1 << 20)
    scatter, gather = (estimates(name, MESH, PORTS, 1 << 20)[0].time_ns for name in ("reducescatter", "allgather"))
    assert (only.algorithm, only.time_ns) == ("none", pytest.approx(scatter + gather))


def test_copies_keep_apart_what_is_not_connected() -> None:
    node = Copies(MESH.network(PORTS), 3)
    assert node.chips == 24
    ways = node.paths(np.array([0, 8, 17]), np.array([1, 9, 16]))
    assert len(set(ways.ravel().tolist())) == 3
    with pytest.raises(ValueError, match="from one copy of a network to another"):
        node.paths(np.array([0]), np.array([8]))
    rails = Copies(FatTree(3, FABRIC), 8, inner=False)
    rails.paths(np.array([1]), np.array([17]))
    with pytest.raises(ValueError, match="from one copy"):
        rails.paths(np.array([1]), np.array([2]))
    one = [step([(0, 1), (8, 9)], 1000)]
    assert steps.solve(one, node) == pytest.approx(steps.solve([step([(0, 1)], 1000)], MESH.network(PORTS)))


def test_a_slow_link_of_one_node_slows_the_whole_cluster() -> None:
    size = 64 << 20
    node = Copies(MESH.network(PORTS), 64)
    schedule = [step([(8 * n, 8 * n + 1) for n in range(64)], size)]
    well = steps.solve(schedule, node)
    node.rate[node.paths(np.array([80]), np.array([81]))[0, 0]] /= 2
    assert steps.solve(schedule, node) == pytest.approx(2 * well, rel=1e-3)


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        (1, "1 cards: give 2 to 65,536"),
        (65_544, "give 2 to 65,536"),
        (100, "100 cards in nodes of 8: give a multiple, such as 96"),
    ],
)
def test_impossible_numbers_of_cards(cards: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        cluster(cards)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gbs": 0}, "rail rate 0 GB/s"),
        ({"interface_ns": -1}, "interface latency"),
        ({"switch_ns": float("nan")}, "switch latency"),
        ({"radix": 7}, "radix 7: give an even number"),
        ({"oversubscription": 0.5}, "oversubscription 0.5"),
    ],
)
def test_impossible_fabrics(change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(FABRIC, **change)
