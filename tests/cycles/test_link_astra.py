"""The link's model beside the figures of ASTRA-sim's analytical network: within 2 %."""

import pytest
from openppu_sim.cycles.link import algorithms, astra, events, steps

MAKE = {
    "ring": algorithms.ring,
    "direct": algorithms.direct,
    "halving-doubling": algorithms.halving_doubling,
}


@pytest.mark.parametrize("row", astra.ROWS, ids=lambda row: row.name)
def test_one_dimension(row: astra.Row) -> None:
    graph = astra.network(row.kind, row.chips, gibs=row.gibs, latency_ns=row.latency_ns)
    schedule = MAKE[row.algorithm](row.operation, row.chips, row.size)
    microseconds = events.solve(schedule, graph, discipline="fifo").time_ns / 1e3
    assert microseconds == pytest.approx(row.microseconds, rel=0.02)


@pytest.mark.parametrize("row", astra.ROWS, ids=lambda row: row.name)
def test_a_step_at_a_time_gives_the_same_where_links_are_not_shared_unevenly(row: astra.Row) -> None:
    graph = astra.network(row.kind, row.chips, gibs=row.gibs, latency_ns=row.latency_ns)
    schedule = MAKE[row.algorithm](row.operation, row.chips, row.size)
    exact = events.solve(schedule, graph, discipline="fifo").time_ns
    if (row.kind, row.algorithm) != ("ring", "direct"):
        assert steps.solve(schedule, graph, store_and_forward=True) == pytest.approx(exact, rel=1e-3)


def test_its_gb_is_a_gib() -> None:
    """With 10**9 bytes the large rows would be 7 % off."""
    row = next(row for row in astra.ROWS if row.kind == "mesh" and row.algorithm == "ring")
    graph = astra.network(row.kind, row.chips, gibs=row.gibs / astra.GIB_PER_S, latency_ns=row.latency_ns)
    wrong = events.solve(algorithms.ring("allreduce", 8, row.size), graph, discipline="fifo").time_ns / 1e3
    assert wrong > 1.06 * row.microseconds
