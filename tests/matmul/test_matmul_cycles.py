"""The engine's cycle model: every command is taken and finished in the cycle that it says."""

import random
from pathlib import Path

import pytest
from openppu.config import load
from openppu_sim.cycles.matmul_engine import predict
from openppu_sim.lowering.matmul import Ending, MatmulCommand
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_verif.matmul import utilisation
from openppu_verif.matmul.native import NativeEngine, Surroundings
from openppu_verif.matmul.random_commands import RandomCommands, random_memory

TINY = load("tiny")


@pytest.fixture(scope="module")
def engine(build_root: Path) -> NativeEngine:
    return NativeEngine(TINY, build_root)


def compare(engine: NativeEngine, commands: list[MatmulCommand], latency: int) -> None:
    memory = random_memory(1)
    reference = MatmulEngineReference(TINY, memory.copy())
    refused = [reference.run(each) != Ending.OKAY for each in commands]
    run = engine.run(commands, memory, Surroundings(latency=latency, most=200_000))
    report = predict(zip(commands, refused, strict=True), TINY, scratchpad_latency=latency)
    start = run.taken[0]
    assert tuple(cycle - start for cycle in run.taken) == report.taken
    assert tuple(cycle - start for cycle in run.finished) == report.finished


def test_random_commands_take_the_cycles_that_are_predicted(engine):
    for seed in range(60):
        drawn = RandomCommands(TINY, seed, most=random.Random(seed).choice([4, 14, 24]))
        compare(engine, [drawn.draw() for _ in range(40)], random.Random(seed).choice([1, 4, 4, 9]))


@pytest.mark.slow
def test_larger_products_reach_the_tile_s_bound(build_root: Path):
    chip = load("demo")
    engine = NativeEngine(chip, build_root)
    shares = {
        (fmt, shape): utilisation.measure(engine, chip, fmt, shape).share
        for fmt, shapes in utilisation.SHAPES.items()
        for shape in shapes
    }
    assert shares["bf16", (128, 128, 128, 0, 0)] >= 0.99
    assert shares["bf16", (128, 128, 128, 1, 1)] >= 0.99
    assert shares["int8", (256, 256, 256, 0, 0)] >= 0.995
    assert shares["bf16", (1, 256, 256, 0, 0)] >= 0.98
