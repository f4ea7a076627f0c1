"""The native run of the tile: the model's cycles and counters under stalls, resets anywhere, and clear failures."""

from pathlib import Path

import numpy as np
import pytest
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu_sim.cycles.tile import Stalls, simulate
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.tile import Addend, TilePlan, plan
from openppu_sim.reference.matmul import matmul
from openppu_sim.simulator import tile
from openppu_sim.simulator.tile import Workload, build_tile, control, run

CHIP = load("tiny")
M, K, N, FORMAT = 6, 9, 10, "bf16"


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_tile(CHIP, build_root)


@pytest.fixture(scope="module")
def product() -> tuple[TilePlan, Workload, np.ndarray]:
    """A plan with addends, its workload, and the right result."""
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 1 << 16, shape, np.uint16) for shape in ((M, K), (K, N)))
    c = rng.integers(0, 1 << 32, (M, N), np.uint32)
    planned = plan(M, K, N, FORMAT, CHIP.tile, addend=Addend.STREAM)
    workload = Workload(
        commands=planned.commands,
        activations=planned.activation_image(a),
        weights=planned.weight_image(b),
        addends=planned.addend_rows(c),
    )
    return planned, workload, matmul(a, b, c, FORMATS[FORMAT])


def test_a_chip_whose_model_is_there_is_not_written_again(
    executable: Path, build_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("neither the chip nor the hardware has changed")

    monkeypatch.setattr(tile, "emit", never)
    assert build_tile(CHIP, build_root) == executable


@pytest.mark.parametrize("stream", ["none", *Stalls.__dataclass_fields__])
@pytest.mark.parametrize("memory_latency", [1, 5])
def test_bits_cycles_causes_and_counters_are_the_model_s(
    executable: Path, product: tuple[TilePlan, Workload, np.ndarray], stream: str, memory_latency: int
) -> None:
    planned, workload, expected = product
    pattern = np.random.default_rng(5).random(400) < 0.4
    stalls = Stalls() if stream == "none" else Stalls(**{stream: pattern})
    seen = run(executable, CHIP.tile, workload, stalls=stalls, memory_latency=memory_latency)
    model = simulate(planned.commands, CHIP.tile, stalls, memory_latency=memory_latency)
    np.testing.assert_array_equal(planned.assemble(seen.rows), expected)
    assert seen.cycles == model.cycles
    np.testing.assert_array_equal(seen.timeline, model.timeline[: model.cycles])
    assert seen.counters["commands"] == model.commands
    assert seen.counters["results"] == model.results == len(seen.rows)
    assert seen.counters["compute"] == model.rows
    assert np.count_nonzero(seen.last) == len(planned.commands)


@pytest.mark.parametrize("stalled", [False, True])
def test_a_reset_in_any_cycle_leaves_a_tile_that_works(
    executable: Path, product: tuple[TilePlan, Workload, np.ndarray], stalled: bool
) -> None:
    planned, workload, expected = product
    chance = np.random.default_rng(5)
    patterns = {name: tuple(chance.random(400) < 0.6) for name in Stalls.__dataclass_fields__}
    stalls = Stalls(**patterns) if stalled else Stalls()
    cycles = run(executable, CHIP.tile, workload, stalls=stalls).cycles
    for cycle in range(1, cycles + 2):
        seen = run(executable, CHIP.tile, workload, stalls=stalls, reset_at=cycle)
        np.testing.assert_array_equal(planned.assemble(seen.rows), expected, f"reset in cycle {cycle}")
        if not stalled:
            assert seen.cycles == cycles, f"reset in cycle {cycle}"


def test_a_run_that_does_not_finish_says_what_is_missing(
    executable: Path, product: tuple[TilePlan, Workload, np.ndarray]
) -> None:
    _, workload, _ = product
    with pytest.raises(SimulationError, match=r"the tile gave 0 of 18 result rows in 20 cycles, .* addends left over"):
        run(executable, CHIP.tile, workload, most_cycles=20)
    with pytest.raises(SimulationError, match=r"the tile gave 18 of 19 result rows in 500 cycles"):
        run(executable, CHIP.tile, workload, results=19, most_cycles=500)


def test_a_simulator_that_fails_or_hangs_is_reported(
    tmp_path: Path, product: tuple[TilePlan, Workload, np.ndarray]
) -> None:
    _, workload, _ = product
    program = tmp_path / "simulator"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    program.chmod(0o755)
    with pytest.raises(SimulationError, match=r"the simulator failed \(exit code 7\): broken"):
        run(program, CHIP.tile, workload)
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(SimulationError, match=r"the simulator did not end within 0\.1 s"):
        run(program, CHIP.tile, workload, timeout=0.1)


def test_cells_are_kept_for_floats_and_rows_for_int8_alone() -> None:
    assert 'no_inline -module "tile_cell"' in control(CHIP.tile)
    alone = control(load("tiny", ["tile.formats=int8", "tile.latency=1"]).tile)
    assert "tile_cell" not in alone
    assert 'public_flat_rd -module "tile_row" -var "partials"' in alone
