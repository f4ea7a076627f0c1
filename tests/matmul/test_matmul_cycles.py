"""The engine's cycle model: every command is taken and finished in the cycle that it says."""

import random
from pathlib import Path

import pytest
from openppu.config import load
from openppu_sim.cycles import matmul_engine
from openppu_sim.cycles.matmul_engine import predict
from openppu_sim.lowering.matmul import Ending, MatmulCommand, product
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_verif.matmul import utilisation
from openppu_verif.matmul.native import NativeEngine, Surroundings
from openppu_verif.matmul.random_commands import RandomCommands, random_memory

TINY = load("tiny")
AT_ZERO = dict(a_address=0, b_address=0, d_address=0)


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
    for seed in range(40):
        drawn = RandomCommands(TINY, seed, most=random.Random(seed).choice([4, 14, 24]))
        compare(engine, [drawn.draw() for _ in range(40)], random.Random(seed).choice([1, 4, 4, 9]))


def test_long_products_take_the_cycles_that_are_predicted(engine):
    shapes = [(4, 8, 500), (13, 9, 203), (1, 16, 256), (7, 4, 301), (16, 16, 80)]
    drawn = RandomCommands(TINY, 3)
    for m, n, k in shapes:
        for turned in range(4):
            fields = dict(m=m, n=n, k=k, transpose_a=turned % 2, transpose_b=turned // 2)
            places = dict(a_address=0, a_stride=0, b_address=0, b_stride=0, c_address=0, c_stride=0)
            given = drawn.placed(MatmulCommand(format=0, addend=2, **fields, **places))
            compare(engine, [given, given], 4)


def test_taking_repeated_k_blocks_in_one_step_changes_nothing(monkeypatch):
    chip = load("demo")
    shapes = [(64, 64, 64), (100, 300, 77), (1, 512, 256), (33, 200, 40)]
    commands = [
        [(each, False) for each in product(*shape, "bf16", chip, **AT_ZERO, transpose_a=turned, transpose_b=turned)]
        for shape in shapes
        for turned in (0, 1)
    ]
    quick = [predict(each, chip) for each in commands]
    monkeypatch.setattr(matmul_engine.EngineCycles, "_state", lambda self, command: object())
    assert [predict(each, chip) for each in commands] == quick


@pytest.mark.slow
def test_larger_products_reach_the_tile_s_bound(build_root: Path):
    chip = load("demo")
    engine = NativeEngine(chip, build_root)
    shares = {}
    for fmt, shapes in utilisation.SHAPES.items():
        for shape in shapes:
            measured = utilisation.measure(engine, chip, fmt, shape)
            assert measured is not None, "the scratchpad is too small"
            shares[fmt, shape] = measured.share
    assert shares["bf16", (128, 128, 128, 0, 0)] >= 0.99
    assert shares["bf16", (128, 128, 128, 1, 1)] >= 0.99
    assert shares["int8", (256, 256, 256, 0, 0)] >= 0.995
    assert shares["bf16", (1, 256, 256, 0, 0)] >= 0.98
