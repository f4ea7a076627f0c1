"""The matmul engine on its RTL: every kind of command equals the reference, byte for byte, whatever is around it."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openppu.config import load
from openppu.formats.spec import FORMATS
from openppu_sim.lowering.matmul import Addend, Ending, MatmulCommand, Result
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_verif.matmul.native import PORTS, EngineRun, NativeEngine, Surroundings
from openppu_verif.matmul.random_commands import MEMORY_BYTES, RandomCommands, named_words, random_memory

TINY = load("tiny")
A, B, C, D = 0, 8192, 16384, 24576
PATIENT = 100_000


@pytest.fixture(scope="module")
def engine(build_root: Path) -> NativeEngine:
    return NativeEngine(TINY, build_root)


def command(fmt: str = "bf16", m: int = 5, n: int = 6, k: int = 7, **changes: int) -> MatmulCommand:
    """A product with its matrices at A, B, C and D."""
    places = dict(a_address=A, a_stride=256, b_address=B, b_stride=256, c_address=C, c_stride=256)
    given = dict(m=m, n=n, k=k, format=FORMATS[fmt].code, **places, d_address=D, d_stride=256)
    return MatmulCommand(**(given | changes))


def check(engine: NativeEngine, commands: list[MatmulCommand], around: Surroundings, *, seed: int = 1) -> EngineRun:
    """Run commands, and compare the scratchpad, every ending, and what was reached, with the reference."""
    memory = random_memory(seed)
    reference = MatmulEngineReference(TINY, memory.copy())
    expected = [reference.run(each) for each in commands]
    run = engine.run(commands, memory, replace(around, most=PATIENT))
    assert list(run.errors) == expected
    wrong = np.flatnonzero(run.memory != reference.scratchpad)
    assert wrong.size == 0, f"{wrong.size} bytes differ, the first at {wrong[0]:#x}"
    beyond = np.flatnonzero(run.touched & ~named_words(commands, TINY, expected))
    assert beyond.size == 0, f"words that no command names were reached, such as {beyond[0]}"
    return run


def random_run(engine: NativeEngine, seed: int, count: int) -> list[MatmulCommand]:
    chance = random.Random(seed)
    drawn = RandomCommands(TINY, seed)
    commands = [drawn.draw() for _ in range(count)]
    rates = {name: chance.choice([1, 1, 0.5, 0.2]) for name in (*PORTS, "commands", "finished")}
    check(engine, commands, Surroundings(seed=seed, rates=rates, latency=chance.choice([1, 2, 4, 4, 7])), seed=seed)
    return commands


def test_random_commands_under_random_stalls_equal_the_reference(engine):
    drawn = [each for seed in range(60) for each in random_run(engine, seed, 40)]
    kinds = Counter((each.format, each.result_format) for each in drawn if each.result == Result.CONVERTED)
    for fmt in FORMATS.values():
        for to in FORMATS.values():
            if fmt.is_float or not to.is_float:
                assert kinds[fmt.code, to.code] >= 5, (fmt.name, to.name)
    turned = Counter((each.transpose_a, each.transpose_b, each.format) for each in drawn)
    assert min(turned[a, b, fmt.code] for a in (0, 1) for b in (0, 1) for fmt in FORMATS.values()) >= 30
    assert Counter(each.addend for each in drawn)[Addend.ACCUMULATORS] >= 200


@pytest.mark.slow
def test_many_more_random_commands(engine):
    for seed in range(1000, 3000):
        random_run(engine, seed, 40)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_ragged_products_of_each_format_as_stored_and_transposed(engine, fmt, turned):
    shapes = [(1, 1, 1), (4, 4, 4), (5, 6, 7), (1, 9, 13), (13, 3, 5), (4, 12, 9)]
    commands = [
        command(fmt, m, n, k, transpose_a=turned[0], transpose_b=turned[1], d_address=D + 1024 * place % 4096)
        for place, (m, n, k) in enumerate(shapes)
    ]
    check(engine, commands, Surroundings())


def test_a_bias_row_is_added_to_every_row(engine):
    bias = command(addend=Addend.SCRATCHPAD, c_stride=0)
    run = check(engine, [bias], Surroundings())
    assert run.accesses["addends"] == 10  # 5 rows of 2 blocks


def test_a_product_in_pieces_along_k_has_the_bits_of_the_whole(engine):
    whole = command(k=10, d_address=D)
    first = command(k=4, result=Result.NONE, accumulator=20)
    places = dict(a_address=A + 8, b_address=B + 4 * 256, d_address=D + 4096)
    rest = command(k=6, addend=Addend.ACCUMULATORS, accumulator=20, **places)
    run = check(engine, [whole, first, rest], Surroundings())
    rows = [run.memory[place : place + 5 * 256].reshape(5, 256)[:, :24] for place in (D, D + 4096)]
    assert (rows[0] == rows[1]).all()


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("to", ["fp8_e4m3", "fp8_e5m2", "fp16", "bf16"])
def test_floats_are_narrowed_once(engine, to, saturate):
    given = command("fp16", 8, 8, 8, result=Result.CONVERTED, result_format=FORMATS[to].code, saturate=saturate)
    check(engine, [given, replace(given, relu=1, d_address=D + 2048)], Surroundings())


@pytest.mark.parametrize("fmt", ["int8", "bf16"])
def test_sums_are_requantised(engine, fmt):
    scales = [np.float32(value).view(np.uint32) for value in (0.001, 0.37, -2.5, np.inf, np.nan)]
    for scale in scales:
        for point in (-128, 3, 127):
            given = command(fmt, result=Result.CONVERTED, scale=int(scale), zero_point=point)
            check(engine, [given, replace(given, relu=1, d_address=D + 2048)], Surroundings())


def test_with_one_block_along_k_rows_may_be_more_than_accumulators(engine):
    narrow = command("int8", m=60, n=16, k=4, a_stride=8, d_stride=64)
    assert narrow.m * 4 > TINY.tile.accumulators
    check(engine, [narrow, command()], Surroundings())


REFUSED = {
    "no rows": (dict(m=0), Ending.FIELD),
    "no columns": (dict(n=0), Ending.FIELD),
    "no products": (dict(k=0), Ending.FIELD),
    "unknown addend": (dict(addend=3), Ending.FIELD),
    "unknown result": (dict(result=4), Ending.FIELD),
    "reserved bits": (dict(reserved=1), Ending.FIELD),
    "unknown format": (dict(format=5), Ending.FORMAT),
    "a format of 4 bits": (dict(format=12), Ending.FORMAT),
    "unknown result format": (dict(result=2, result_format=7), Ending.FORMAT),
    "int8 to a float": (dict(format=0, result=2, result_format=4), Ending.FORMAT),
    "odd address of A": (dict(a_address=A + 4), Ending.ALIGNMENT),
    "odd stride of B": (dict(b_stride=260), Ending.ALIGNMENT),
    "C between rows of the tile": (dict(addend=2, c_address=C + 8), Ending.ALIGNMENT),
    "D between rows of the tile": (dict(d_address=D + 8), Ending.ALIGNMENT),
    "A ends beyond": (dict(a_address=MEMORY_BYTES - 4 * 256 - 8), Ending.BOUNDS),
    "B begins beyond": (dict(b_address=MEMORY_BYTES), Ending.BOUNDS),
    "B as stored transposed ends beyond": (dict(transpose_b=1, b_address=MEMORY_BYTES - 5 * 256), Ending.BOUNDS),
    "C ends beyond": (dict(addend=2, c_address=MEMORY_BYTES - 4 * 256 - 16), Ending.BOUNDS),
    "D ends beyond": (dict(d_address=MEMORY_BYTES - 4 * 256 - 16), Ending.BOUNDS),
    "a stride that wraps": (dict(d_stride=(1 << 24) - 256), Ending.BOUNDS),
    "no such accumulator": (dict(accumulator=64), Ending.BOUNDS),
    "too many accumulators": (dict(m=33, a_stride=8, d_stride=16), Ending.BOUNDS),
    "too many to be kept": (dict(m=33, k=4, a_stride=8, result=3), Ending.BOUNDS),
    "too many for what was accumulated": (dict(m=33, k=4, a_stride=8, d_stride=16, addend=1), Ending.BOUNDS),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_command_that_cannot_be_run_is_refused_and_changes_nothing(engine, why):
    changes, ending = REFUSED[why]
    refused = replace(command(), **changes)
    assert MatmulEngineReference(TINY, random_memory(1)).refusal(refused) == ending
    run = check(engine, [refused], Surroundings())
    assert not run.touched.any()
    check(engine, [command(), refused, command("int8", d_address=D + 4096)], Surroundings())


def test_the_last_byte_of_the_scratchpad_can_be_used(engine):
    last = command(m=5, n=8, d_address=MEMORY_BYTES - 4 * 256 - 32)
    assert check(engine, [last], Surroundings()).errors == (Ending.OKAY,)


@pytest.mark.parametrize(("matrix", "address"), [("a", A), ("b", B), ("c", C)])
def test_wrong_data_is_told_of_the_command_that_read_it_and_of_no_other(engine, matrix, address):
    commands = [command(addend=Addend.SCRATCHPAD, d_address=D + 2048 * place) for place in range(4)]
    commands[2] = replace(commands[2], **{f"{matrix}_address": address + 4096})
    word = (address + 4096 + 256) // 32
    run = engine.run(commands, random_memory(1), Surroundings(bad_words=[word], most=PATIENT))
    assert list(run.errors) == [Ending.OKAY, Ending.OKAY, Ending.MEMORY, Ending.OKAY]


def test_a_reset_in_mid_flight_leaves_nothing_behind(engine):
    drawn = RandomCommands(TINY, 5)
    commands = [drawn.draw() for _ in range(6)]
    for cycle in range(1, 240, 7):
        check(engine, commands, Surroundings(reset_at=cycle, seed=cycle, rates={"results": 0.7, "weights": 0.7}))


def test_a_command_that_waits_for_all_others_reads_what_they_wrote(engine):
    first = command("bf16", 8, 8, 16, result=Result.CONVERTED, result_format=FORMATS["bf16"].code, d_stride=32)
    second = command("bf16", 8, 8, 8, a_address=D, a_stride=32, d_address=D + 4096, after=1)
    check(engine, [first, second], Surroundings(rates={"results": 0.3}))
