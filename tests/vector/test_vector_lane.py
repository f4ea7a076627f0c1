"""A lane does every operation as the reference does, bit for bit, an operation a cycle, at one latency."""

import numpy as np
import pytest
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP8_E4M3
from openppu.vector.lane import Lane
from openppu.vector.operation import FUSED, Operation
from openppu.vector.seeds import SEED_BITS, reciprocal_seeds, root_seeds
from openppu_sim.reference.corners import corner_operands, random_triples
from openppu_sim.reference.lane import run_lane
from openppu_verif.formats.pipeline_bench import PipelineBench

SAMPLES = 400_000
OPERATIONS = tuple(Operation)
FLOATS = tuple(fmt for fmt in FORMATS.values() if fmt.is_float)
CORNERS = corner_operands(BINARY32)


@pytest.fixture(scope="module")
def bench(build_root):
    parts = {"lane": (Lane(), Lane.LATENCY), "small": (Lane(formats=(FP8_E4M3, BF16)), Lane.LATENCY)}
    return PipelineBench("vector_lane", parts, build_root)


def operands(rng, n):
    """Hard words for each operation: sums that nearly cancel, equal and opposite numbers, small powers, formats."""
    a, b, c = random_triples(BINARY32, n, rng)
    kind = rng.integers(0, 8, n)
    near = a ^ rng.integers(0, 2, n).astype(np.uint32) << 31
    b = np.select(
        [kind == 0, kind == 1, kind == 2, kind == 3],
        [
            near,
            near + rng.integers(-2, 3, n),
            rng.integers(-320, 320, n),
            rng.choice([8, 0], n) | rng.integers(1, 5, n),
        ],
        b,
    ).astype(np.uint32)
    a = np.where(kind == 4, rng.choice(CORNERS, n), a)
    integers = np.array([0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF], np.uint32)
    a = np.where(kind == 5, rng.choice(integers, n), a)
    b = np.where(kind == 5, rng.choice(integers, n), b)
    return a.astype(np.uint32), b, c


def check(result, operation, a, b, c, what):
    for each in OPERATIONS:
        here = operation == each.value
        expected = run_lane(each, a[here], b[here], c[here])
        wrong = np.flatnonzero(result[here] != expected)
        if wrong.size:
            first = np.flatnonzero(here)[wrong[0]]
            raise AssertionError(
                f"{what}: {each.name}: {wrong.size} of {here.sum()} differ; first a={a[first]:#x} b={b[first]:#x} "
                f"c={c[first]:#x}: got {result[first]:#x}, expected {expected[wrong[0]]:#x}"
            )


def formats_only(rng, operation, b, formats):
    """``b`` with the code of one of the formats where the operation takes one."""
    converts = (operation == Operation.NARROW.value) | (operation == Operation.WIDEN.value)
    codes = rng.choice([fmt.code for fmt in formats], b.size) | 8 * rng.integers(0, 2, b.size)
    return np.where(converts, (b & ~np.uint32(15)) | codes.astype(np.uint32), b).astype(np.uint32)


def test_operations_in_any_order_equal_the_reference(bench):
    seed = 31
    rng = np.random.default_rng(seed)
    a, b, c = operands(rng, SAMPLES)
    operation = rng.choice([each.value for each in OPERATIONS], SAMPLES).astype(np.uint32)
    b = formats_only(rng, operation, b, FLOATS)
    small = formats_only(rng, operation, b, (FP8_E4M3, BF16))
    inputs = {"lane.operation": operation, "lane.a": a, "lane.b": b, "lane.c": c}
    inputs |= {"small.operation": operation, "small.a": a, "small.b": small, "small.c": c}
    results = bench.run(inputs)
    check(results["lane.result"], operation, a, b, c, f"seed {seed}")
    check(results["small.result"], operation, a, small, c, f"two formats, seed {seed}")


def test_every_operation_at_every_pair_of_corners(bench):
    a, b = (grid.ravel().astype(np.uint32) for grid in np.meshgrid(CORNERS, CORNERS))
    for each in OPERATIONS:
        operation = np.full(a.size, each.value, np.uint32)
        here = formats_only(np.random.default_rng(each.value), operation, b, FLOATS)
        result = bench.run({"lane.operation": operation, "lane.a": a, "lane.b": here, "lane.c": b})["lane.result"]
        check(result, operation, a, here, b, "corners")


def test_scaling_by_any_power_rounds_once(bench):
    rng = np.random.default_rng(7)
    a = rng.choice(np.concatenate([CORNERS, rng.integers(0, 1 << 32, 5000, dtype=np.uint32)]), SAMPLES)
    power = rng.integers(-400, 400, SAMPLES).astype(np.int32)
    power[: CORNERS.size] = np.resize([2**31 - 1, -(2**31), 277, -277, 512, -513], CORNERS.size)
    operation = np.full(SAMPLES, Operation.SCALE.value, np.uint32)
    b = power.view(np.uint32)
    result = bench.run({"lane.operation": operation, "lane.a": a, "lane.b": b})["lane.result"]
    check(result, operation, a, b, np.zeros_like(a), "scale")


def test_first_guesses_are_as_good_as_they_say():
    x = np.linspace(1, 4, 300_001)[:-1].astype(np.float32)
    root = run_lane(Operation.ROOT_SEED, x.view(np.uint32)).view(np.float32)
    assert np.abs(root * np.sqrt(x.astype(np.float64)) - 1).max() < 2**-7
    low = x[x < 2]
    seed = run_lane(Operation.RECIPROCAL_SEED, low.view(np.uint32)).view(np.float32)
    assert np.abs(seed * low.astype(np.float64) - 1).max() < 2**-7
    for table in (reciprocal_seeds(), root_seeds()):
        assert len(table) == 128
        assert 1 << SEED_BITS - 1 <= min(table) <= max(table) <= 1 << SEED_BITS


def test_reference_and_operations_name_the_same():
    for each in OPERATIONS:
        assert run_lane(each, 0x3F800000, 0x3F800000, 0).shape == (1,)
    assert all(each in OPERATIONS for each in FUSED)
    with pytest.raises(ValueError, match="Narrow"):
        Lane(formats=())
