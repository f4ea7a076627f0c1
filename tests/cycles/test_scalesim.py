"""Our cycles beside SCALE-Sim's, on the shapes and tiles of the benchmarks."""

import pytest
from openppu_sim.cycles import scalesim
from openppu_sim.cycles.scalesim import Comparison, compare, comparison_table
from openppu_sim.cycles.tile import simulate
from openppu_sim.lowering.tile import plan


@pytest.fixture(scope="module")
def comparisons() -> list[Comparison]:
    return compare()


@pytest.mark.parametrize(
    ("array", "ws", "os", "input_stationary"), [(16, 400_895, 306_431, 312_575), (128, 18_359, 6_131, 6_899)]
)
def test_closed_forms_give_the_cycles_of_scalesim_runs(array: int, ws: int, os: int, input_stationary: int) -> None:
    """Compute cycles that scalesim 3.0.0 printed for 128 x 768 x 768."""
    shape = (128, 768, 768, array, array)
    assert scalesim.weight_stationary(*shape) == ws
    assert scalesim.output_stationary(*shape) == os
    assert scalesim.input_stationary(*shape) == input_stationary


def test_every_shape_needs_fewer_cycles_than_scalesims_weight_stationary_array(comparisons: list[Comparison]) -> None:
    assert len(comparisons) == 4 * 6
    slow = [one for one in comparisons if one.cycles >= one.scalesim_ws + one.latency_allowance]
    assert not slow, comparison_table(slow)


@pytest.mark.parametrize(("shape", "least"), [((1024, 1024, 1024), 0.995), ((128, 768, 768), 0.97)])
def test_large_products_reach_the_bound(
    comparisons: list[Comparison], shape: tuple[int, int, int], least: float
) -> None:
    ours = [one for one in comparisons if (one.m, one.k, one.n) == shape and one.config.rows == 16]
    assert [one.format for one in ours] == ["int8", "bf16"]
    assert all(one.of_bound >= least for one in ours), comparison_table(ours)


def test_the_figures_are_those_of_the_exact_model(comparisons: list[Comparison]) -> None:
    for one in comparisons:
        if one.cycles < 100_000:
            commands = plan(one.m, one.k, one.n, one.format, one.config).commands
            assert simulate(commands, one.config).cycles == one.cycles, comparison_table([one])


def test_the_table_has_a_line_a_comparison(comparisons: list[Comparison]) -> None:
    lines = comparison_table(comparisons).splitlines()
    assert len(lines) == 2 + len(comparisons)
    assert lines[2].split()[:3] == ["16x16", "int8", "128x768x768"]
