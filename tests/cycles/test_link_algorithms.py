"""The steps of collectives: everyone gets everything, and nothing is sent that need not be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from link_cases import PLACES, name_of, schedules
from openppu_sim.cycles.link import algorithms
from openppu_sim.cycles.link.algorithms import OPERATIONS
from openppu_sim.cycles.link.schedule import Schedule, renamed, side_by_side, step, steps_of, total_bytes
from openppu_sim.cycles.link.topologies import Topology, topology, zigzag_rings


def knowledge(schedule: Schedule, chips: int) -> list[set[int]]:
    """Of whom each chip has heard when all steps are done."""
    known = [{chip} for chip in range(chips)]
    for one in schedule:
        for _ in range(one.times):
            before = [set(of) for of in known]
            for a, b in zip(one.source.tolist(), one.destination.tolist(), strict=True):
                known[b] |= before[a]
    return known


def sent(schedule: Schedule, chips: int) -> np.ndarray:
    """Bytes that each chip sends."""
    return sum(np.bincount(one.source, one.size * one.times, chips) for one in schedule)  # type: ignore[return-value]


@pytest.mark.parametrize("place", PLACES, ids=name_of)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_everyone_hears_of_everyone_who_matters(operation: str, place: Topology) -> None:
    everyone = set(range(place.chips))
    for algorithm, schedule in schedules(operation, place, 1 << 20):
        for chip, known in enumerate(knowledge(schedule, place.chips)):
            assert known >= ({0} if operation == "broadcast" else everyone), (algorithm, chip)


@pytest.mark.parametrize("chips", range(2, 41))
def test_halving_doubling_and_trees_work_for_any_number_of_chips(chips: int) -> None:
    for make in (algorithms.halving_doubling, algorithms.double_tree):
        assert all(known == set(range(chips)) for known in knowledge(make("allreduce", chips, 1 << 20), chips))
    for operation in ("reducescatter", "allgather", "barrier"):
        schedule = algorithms.halving_doubling(operation, chips, 1 << 20)
        assert all(known == set(range(chips)) for known in knowledge(schedule, chips))


@pytest.mark.parametrize("chips", [chips for chips in range(2, 65) if algorithms.factors(chips)])
def test_an_all_reduce_sends_no_more_than_it_must(chips: int) -> None:
    size = math.prod([*range(2, 8)]) ** 3 * chips
    least = 2 * size * (chips - 1) / chips
    for make in (algorithms.ring, algorithms.direct, algorithms.halving_doubling):
        schedule = make("allreduce", chips, size)
        assert np.allclose(sent(schedule, chips), least, rtol=1e-6), make


@pytest.mark.parametrize("chips", [11, 13, 22, 1249])
def test_chips_above_a_power_of_two_fold(chips: int) -> None:
    """A prime above 7 is in these: the chips beyond the power of two send all, and receive all."""
    inner = 1 << (chips.bit_length() - 1)
    first, *_, last = algorithms.halving_doubling("allreduce", chips, 1 << 20)
    assert first.source.tolist() == last.destination.tolist() == list(range(inner, chips))
    assert first.reduces
    assert not last.reduces
    assert set(first.size) == set(last.size) == {1 << 20}


@pytest.mark.parametrize("chips", range(2, 70))
def test_two_trees_share_the_work(chips: int) -> None:
    first, second = algorithms.tree_parents(chips)
    for parents in (first, second):
        assert parents.count(None) == 1
        assert max(parents.count(chip) for chip in range(chips)) <= 2, "a binary tree"
    assert not {*first} & {*second} - {None}, "a chip has children in one of them only"


@pytest.mark.parametrize("chips", range(3, 12))
def test_the_rings_of_a_mesh_share_no_link(chips: int) -> None:
    rings = zigzag_rings(chips)
    assert len(rings) == (chips - 1) // 2
    links = [frozenset(pair) for ring in rings for pair in zip(ring, (*ring[1:], ring[0]), strict=True)]
    assert len(set(links)) == len(links)
    assert all(sorted(ring) == list(range(chips)) for ring in rings)


@pytest.mark.parametrize("place", PLACES, ids=name_of)
def test_rings_go_along_links_and_ports_are_enough(place: Topology) -> None:
    links = {frozenset(link[:2]) for link in place.links}
    directed = [pair for ring in place.rings for pair in zip(ring, (*ring[1:], ring[0]), strict=True)]
    assert {frozenset(pair) for pair in directed} <= links
    assert len(set(directed)) == len(directed), "no link is in two rings in one direction"
    assert max(place.ports_used(chip) for chip in range(place.chips)) <= 7
    assert sorted(chip for group in place.groups for chip in group) == list(range(place.chips))


def test_both_places_of_four_use_all_seven_ports() -> None:
    for name, chips in (("groups", 8), ("groups", 16)):
        place = topology(name, chips, 7)
        assert {place.ports_used(chip) for chip in range(chips)} == {7}


@given(st.integers(2, 12), st.integers(1, 10**6))
def test_shares_are_never_too_small(chips: int, size: int) -> None:
    for make in (algorithms.ring, algorithms.direct):
        total = total_bytes(make("allgather", chips, size))
        assert size * (chips - 1) <= total < (size + chips) * (chips - 1)


def test_one_shot_is_for_all_reduces_alone() -> None:
    assert total_bytes(algorithms.one_shot("allreduce", 8, 100)) == 8 * 7 * 100
    with pytest.raises(ValueError, match="give allreduce"):
        algorithms.one_shot("barrier", 8, 0)


def test_the_factor_of_busbw_is_that_of_nccl_tests() -> None:
    assert algorithms.bus_factor("allreduce", 8) == 2 * 7 / 8
    assert algorithms.bus_factor("alltoall", 8) == algorithms.bus_factor("allgather", 8) == 7 / 8
    assert algorithms.bus_factor("broadcast", 8) == 1


def test_groups_run_side_by_side_when_their_steps_match() -> None:
    one = renamed(algorithms.direct("allreduce", 4, 400), (4, 5, 6, 7))
    both = side_by_side([algorithms.direct("allreduce", 4, 400), one])
    assert steps_of(both) == 2
    assert total_bytes(both) == 2 * total_bytes(one)
    with pytest.raises(ValueError, match="different steps"):
        side_by_side([one, [step([(0, 1)], 1), step([(1, 0)], 1)]])
