"""The block-by-block model of the tile equals the cycle-by-cycle model wherever streams are free."""

import random
import time

import pytest
from openppu.config import TileConfig, load
from openppu_sim.cycles import tile_fast
from openppu_sim.cycles.tile import simulate
from openppu_sim.cycles.tile_fast import predict
from openppu_sim.lowering.tile import plan
from random_tile import command, random_case


@pytest.mark.parametrize("batch", range(10))
def test_random_sequences_take_the_same_cycles_for_the_same_causes(batch: int) -> None:
    for seed in range(500 * batch, 500 * batch + 500):
        commands, config = random_case(seed)
        assert predict(commands, config) == simulate(commands, config), f"random_case({seed})"


def test_most_random_sequences_are_predicted_not_simulated() -> None:
    cases = [random_case(seed) for seed in range(400)]
    assert sum(tile_fast._is_regular(commands, config) for commands, config in cases) > 250


@pytest.mark.parametrize("outstanding", [2, 3, 16])
def test_the_smallest_commands_take_the_same_cycles(outstanding: int) -> None:
    config = TileConfig(rows=2, columns=1, formats=("int8",), latency=1, accumulators=64, outstanding=outstanding)
    for seed in range(300):
        rng = random.Random(seed)
        commands = [
            command(m=rng.choice((1, 1, 1, 9)), k_last=rng.choice((1, 1, 2)), accumulator=5 * i % 64, emit=i % 2)
            for i in range(20)
        ]
        assert predict(commands, config) == simulate(commands, config), f"outstanding {outstanding}, seed {seed}"


@pytest.mark.parametrize("preset", ["tiny", "demo", "ecp5", "ppu810e"])
def test_plans_take_the_same_cycles(preset: str) -> None:
    config = load(preset).tile
    for m, k, n in ((1, 50, 37), (3, 4, 4), (70, 40, 33), (300, 9, 10), (2, 200, 5)):
        planned = plan(m, k, n, config.formats[-1], config)
        assert predict(planned.commands, config) == simulate(planned.commands, config), (preset, m, k, n)


def test_nothing_takes_no_time() -> None:
    assert predict([], load("tiny").tile).cycles == 0


@pytest.mark.parametrize(("m", "n"), [(1, 400_000), (100_000, 256)])
def test_a_tenth_of_the_most_pieces_is_predicted_in_seconds(m: int, n: int) -> None:
    config = load("demo").replace(accumulators=64).tile
    start = time.process_time()
    planned = plan(m, 10, n, "bf16", config, resident=False)
    assert predict(planned.commands, config).rows == m * 2 * -(-n // 8)
    assert time.process_time() - start < 30


def test_a_large_language_model_is_predicted_in_seconds() -> None:
    """One layer of each projection of a model with 8192 features, 2048 tokens at a time and one at a time."""
    config = load("ppu810e").tile
    shapes = [(8192, 8192), (8192, 1024), (8192, 1024), (8192, 8192), (8192, 28672), (8192, 28672), (28672, 8192)]
    start = time.process_time()
    for m in (2048, 1):
        for k, n in shapes:
            planned = plan(m, k, n, "bf16", config, resident=False)
            report = predict(planned.commands, config)
            assert 0.999 < planned.bound_cycles / report.cycles <= 1, (m, k, n)
    assert time.process_time() - start < 5
