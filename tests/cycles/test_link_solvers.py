"""The solvers of the link's model: closed forms, fair shares, conservation, and what grows when something grows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from link_cases import PLACES, PORTS, name_of, schedules
from openppu_sim.cycles.link import events, steps
from openppu_sim.cycles.link.algorithms import OPERATIONS
from openppu_sim.cycles.link.collective import algorithms_for, estimate, estimates, group_ns, schedule_for
from openppu_sim.cycles.link.formulas import best_pieces, holds
from openppu_sim.cycles.link.network import Endpoint, Graph
from openppu_sim.cycles.link.schedule import step
from openppu_sim.cycles.link.topologies import Topology, topology

MESH = topology("mesh", 8, 7)
SIZES = (32, 1 << 16, 1 << 24)


def line(*rates: float, alpha: float = 10.0, forward: float = 3.0) -> Graph:
    """Chips in a row, with links of these rates."""
    graph = Graph(len(rates) + 1, forward_ns=forward)
    for chip, rate in enumerate(rates):
        graph.connect(chip, chip + 1, alpha=alpha, rate=rate)
    return graph


@pytest.mark.parametrize("place", PLACES, ids=name_of)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_closed_form_is_what_the_events_give(operation: str, place: Topology) -> None:
    graph = place.network(PORTS)
    for size in (0,) if operation == "barrier" else SIZES:
        for algorithm in algorithms_for(operation, place):
            if holds(place.name, operation, algorithm):
                one = estimate(operation, algorithm, place, PORTS, size)
                assert one.how == "formula"
                pieces = 1
                if algorithm == "double-tree":
                    hop = PORTS.hop_ns + PORTS.endpoint.step_ns + PORTS.endpoint.store_ns
                    width = max(count for *_, count in place.links)
                    pieces = best_pieces(place.chips, size, hop_ns=hop, gbs=PORTS.gbs * width)
                schedule = schedule_for(operation, algorithm, place, size, pieces)
                assert events.solve(schedule, graph).time_ns == pytest.approx(one.time_ns, rel=1e-6), one


@pytest.mark.parametrize("place", PLACES, ids=name_of)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_step_at_a_time_is_near_the_events(operation: str, place: Topology) -> None:
    """Equal where no link is shared; elsewhere within 25 %, since shares do not change within a step."""
    graph = place.network(PORTS)
    for size in (0,) if operation == "barrier" else SIZES[:2]:
        for algorithm, schedule in schedules(operation, place, size):
            exact = events.solve(schedule, graph).time_ns
            assert steps.solve(schedule, graph) == pytest.approx(exact, rel=0.25), algorithm


def test_the_direct_all_reduce_is_as_the_formula_says() -> None:
    """By hand: 8 MiB a link and step, in 4,096 packets of 2 KiB with 10 bytes of header; the last hop, of 12 clocks, 1
    for FEC, 2.5 for the recovered clock, a flit of 4 and half of 3 to wait, two routers of 2, then memory's 4 + 4 and
    4 more; 3 at the start, 6 more instructions, and 7 / 8 of 3 to wait instead of half."""
    size = 64 << 20
    hop = (12 + 1 + 2.5 + 4 + 1.5 + 2 * 2 + 4 + 4 + 4) / 0.875 + 10
    begin = (3 + 6 + (7 / 8 - 1 / 2) * 3) / 0.875
    expected = begin + 2 * (size // 8 + 4096 * 10) / PORTS.gbs + hop  # the first hop hides behind the bytes
    one = estimate("allreduce", "direct", MESH, PORTS, size)
    assert one.time_ns == pytest.approx(expected, rel=1e-12)
    assert one.busbw_gbs == pytest.approx(size / expected * 2 * 7 / 8)


def test_the_best_algorithm_changes_with_the_size() -> None:
    best = {size: estimates("allreduce", MESH, PORTS, size)[0].algorithm for size in (32, 1 << 20)}
    assert best == {32: "one-shot", 1 << 20: "direct"}
    clocks = estimates("allreduce", MESH, PORTS, 32)[0].time_ns * 0.875
    assert clocks <= 200, "of the link, for 32 bytes on eight chips"


def test_large_all_reduces_use_the_ports() -> None:
    """97 % of what seven ports send, for 64 MiB."""
    one = estimate("allreduce", "direct", MESH, PORTS, 64 << 20)
    assert one.busbw_gbs / (7 * PORTS.gbs) > 0.97


@pytest.mark.parametrize("place", PLACES, ids=name_of)
def test_links_pass_what_is_sent(place: Topology) -> None:
    graph = place.network(PORTS)
    for algorithm, schedule in schedules("allreduce", place, 100_000):
        expected = np.zeros(len(graph.rate))
        for one in schedule:
            wire = graph.endpoint.wire(one.size) * one.times
            for source, destination, size in zip(one.source, one.destination, wire, strict=True):
                expected[graph.way(int(source), int(destination))] += size
        for discipline in events.DISCIPLINES:
            passed = events.solve(schedule, graph, discipline=discipline).link_bytes
            assert np.allclose(passed, expected), (algorithm, discipline)


@pytest.mark.parametrize("place", PLACES, ids=name_of)
def test_no_link_passes_more_than_it_can(place: Topology) -> None:
    graph = place.network(PORTS)
    for algorithm, schedule in schedules("allreduce", place, 1 << 20):
        outcome = events.solve(schedule, graph)
        assert (outcome.link_bytes / graph.rate).max() <= outcome.time_ns, algorithm


@pytest.mark.parametrize("place", PLACES[:-1], ids=name_of)
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "barrier"])
def test_more_bytes_take_longer_and_faster_links_do_not(operation: str, place: Topology) -> None:
    times = [estimates(operation, place, PORTS, size)[0].time_ns for size in (1, 1000, 30_000, 10**6, 10**8)]
    assert times == sorted(times)
    faster = replace(PORTS, gbs=2 * PORTS.gbs)
    assert estimates(operation, place, faster, 10**7)[0].time_ns < estimates(operation, place, PORTS, 10**7)[0].time_ns
    nearer = replace(PORTS, hop_ns=PORTS.hop_ns / 2)
    assert estimates(operation, place, nearer, 1)[0].time_ns < estimates(operation, place, PORTS, 1)[0].time_ns


def test_a_message_takes_its_way_s_latency_and_its_slowest_link() -> None:
    graph = line(2.0, 1.0, 4.0)
    one = [step([(0, 3)], 1000)]
    assert events.solve(one, graph).time_ns == pytest.approx(3 * 10 + 2 * 3 + 1000 / 1.0)
    assert steps.solve(one, graph) == pytest.approx(3 * 10 + 2 * 3 + 1000 / 1.0)
    stored = 3 * 10 + 2 * 3 + 1000 / 2 + 1000 / 1 + 1000 / 4
    assert events.solve(one, graph, discipline="fifo").time_ns == pytest.approx(stored)
    assert steps.solve(one, graph, store_and_forward=True) == pytest.approx(stored)


def test_two_messages_share_a_link_fairly_and_what_is_left_goes_on_faster() -> None:
    graph = line(1.0, 1.0, alpha=0, forward=0)
    one = step([(0, 2), (1, 2)], 100)
    one.size[1] = 300  # at half the rate each until the first is through at 200, then 200 bytes alone
    assert events.solve([one], graph).time_ns == pytest.approx(400)
    assert events.solve([one], graph, discipline="fifo").time_ns == pytest.approx(400)


def test_a_chip_waits_for_all_of_a_step() -> None:
    graph = line(1.0, 1.0, alpha=0, forward=0)
    relay = [step([(0, 1), (2, 1)], 50), step([(1, 0)], 10)]
    relay[0].size[1] = 80
    assert events.solve(relay, graph).time_ns == steps.solve(relay, graph) == pytest.approx(90)


def test_a_chip_that_streams_sends_on_what_has_come() -> None:
    """Two hops of 1,000 bytes, of which 100 are enough: they have passed at 100, are there at 105, and so on."""
    endpoint = Endpoint(packet_bytes=500, lead_bytes=100)
    relay = [step([(0, 1)], 1000), step([(1, 2)], 1000)]
    for rates, expected in (((1.0, 1.0), 105 + 1005), ((1.0, 4.0), 1005 + 25 + 5), ((4.0, 1.0), 30 + 1005)):
        graph = replace(line(*rates, alpha=5), endpoint=endpoint)
        assert steps.solve(relay, graph) == pytest.approx(expected)
        assert events.solve(relay, graph).time_ns == pytest.approx(expected)
        waiting = replace(graph, endpoint=Endpoint())
        whole = 1000 / rates[0] + 5 + 1000 / rates[1] + 5
        assert steps.solve(relay, waiting) == events.solve(relay, waiting).time_ns == pytest.approx(whole)


@pytest.mark.parametrize("size", [8, 4000, 16_384, 64 << 10, 1 << 20])
def test_streamed_steps_take_the_longer_of_bytes_and_hop(size: int) -> None:
    """T(k, M), as the formulas have it, by hand for two steps of the direct all-reduce and fourteen of a ring."""
    endpoint, wire = PORTS.endpoint, PORTS.endpoint.wire
    for algorithm, count, rings, sends in (("direct", 2, 1, 7), ("ring", 14, 6, 6)):
        own = dict(operands=8, stored=False) if algorithm == "direct" else dict(operands=2, stored=True)
        sums = PORTS.hop_ns + endpoint.after_ns(token=False, **own)  # type: ignore[arg-type]
        copies = PORTS.hop_ns + endpoint.after_ns(token=False, operands=0, stored=True)
        message = np.array([float(math.ceil(size / (8 * rings)))])
        bytes_ns = float(wire(message)[0]) / PORTS.gbs
        packet_ns = float(wire(np.minimum(message, 64))[0]) / PORTS.gbs
        steps = [sums] * (count // 2) + [copies] * (count // 2 - 1)
        expected = endpoint.begin_ns(sends=sends, comes=sends, reduces=True, token=False)
        expected += sum(max(bytes_ns, hop + packet_ns) for hop in steps) + bytes_ns + copies
        one = estimate("allreduce", algorithm, MESH, PORTS, size)
        assert one.time_ns == pytest.approx(expected, rel=1e-9)


def test_what_each_chip_adds() -> None:
    graph = replace(line(1.0, alpha=5), endpoint=Endpoint(start_ns=100, step_ns=7, memory_gbs=3))
    one = [step([(0, 1)], 50, reduces=True)]
    assert events.solve(one, graph).time_ns == steps.solve(one, graph) == pytest.approx(100 + 50 + 5 + 50 + 7)
    packed = Endpoint(packet_bytes=4096, header_bytes=10)
    assert packed.wire(np.array([0.0, 1, 4096, 4097, 8192])).tolist() == [10, 11, 4106, 4117, 8212]


def test_what_an_engine_adds_depends_on_what_it_does() -> None:
    endpoint = Endpoint(
        start_ns=1, token_start_ns=2, step_ns=4, add_ns=8, join_ns=16, store_ns=32, pass_ns=64, token_ns=128,
        dispatch_ns=256, grant_ns=512, flit_ns=1024,
    )  # fmt: skip
    assert endpoint.after_ns(operands=0, stored=True, token=False) == 4 + 32
    assert endpoint.after_ns(operands=4, stored=False, token=False) == 4 + 8 + 64
    assert endpoint.after_ns(operands=5, stored=True, token=False) == 4 + 8 + 16 + 32
    assert endpoint.after_ns(operands=0, stored=True, token=True) == 4 + 128
    assert endpoint.begin_ns(sends=1, comes=1, reduces=True, token=False) == 1
    assert endpoint.begin_ns(sends=1, comes=1, reduces=False, token=False) == 1 + 512
    assert endpoint.begin_ns(sends=3, comes=3, reduces=True, token=False) == 1 + 2 * 256 + 1024 / 4
    assert endpoint.begin_ns(sends=3, comes=3, reduces=False, token=False) == 1 + 4 * 256 + 512 + 1024 / 4
    assert endpoint.begin_ns(sends=1, comes=3, reduces=False, token=True) == 2 + 1024 / 4


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True), min_size=1, max_size=12),
    st.lists(st.floats(0.5, 100), min_size=6, max_size=6),
)
def test_rates_are_max_min_fair(ways: list[list[int]], capacity: list[float]) -> None:
    """No link is overloaded, and each flow has a full link on its way where nobody has more than it."""
    rates = events.fair_rates(ways, np.array(capacity))
    load = np.zeros(6)
    for way, rate in zip(ways, rates, strict=True):
        load[way] += rate
    assert (load <= np.array(capacity) * (1 + 1e-6)).all()
    for way, rate in zip(ways, rates, strict=True):
        full = [link for link in way if load[link] >= capacity[link] * (1 - 1e-6)]
        most = [max(r for w, r in zip(ways, rates, strict=True) if link in w) for link in full]
        assert any(rate >= top * (1 - 1e-6) for top in most)


def test_ways_are_the_shortest_and_spread() -> None:
    ring = topology("ring", 8, 7).network(PORTS)
    lengths = [len(ring.way(0, chip)) for chip in range(1, 8)]
    assert lengths == [1, 2, 3, 4, 3, 2, 1]
    used = np.zeros(16)
    for a in range(8):
        for b in range(8):
            if a != b:
                used[ring.way(a, b)] += 1
    assert set(used) == {8}, "chips four apart go both ways around"
    with pytest.raises(ValueError, match="no way from chip 0 to chip 1"):
        Graph(2).way(0, 1)


def test_too_many_messages_are_not_run_one_by_one() -> None:
    graph = line(1.0)
    with pytest.raises(ValueError, match="at most 200,000"):
        events.solve([step([(0, 1)], 1, times=200_001)], graph)
    with pytest.raises(ValueError, match="give one of fair, fifo"):
        events.solve([step([(0, 1)], 1)], graph, discipline="lifo")


def test_groups_of_a_node_that_work_at_once() -> None:
    """Pairs of a mesh have a link each; pairs of a ring of eight, four apart, share some."""
    size = 1 << 20
    pairs = [[chip, chip + 4] for chip in range(4)]
    alone = group_ns("allreduce", MESH, PORTS, [[0, 4]], size)
    assert group_ns("allreduce", MESH, PORTS, pairs, size) == pytest.approx(alone)
    ring = topology("ring", 8, 7)
    assert group_ns("allreduce", ring, PORTS, pairs, size) > group_ns("allreduce", ring, PORTS, [[0, 4]], size)
    assert group_ns("allreduce", MESH, PORTS, [[0]], size) == 0
    whole = group_ns("allreduce", MESH, PORTS, [list(range(8))], size)
    assert whole == estimates("allreduce", MESH, PORTS, size)[0].time_ns
