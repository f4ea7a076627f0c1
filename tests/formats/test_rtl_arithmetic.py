"""binary32 arithmetic and the converters on RTL against the reference, bit for bit, at the latencies they state."""

import copy

import numpy as np
import pytest
from compare import assert_same_bits
from openppu.formats.add32 import Add32
from openppu.formats.binary32_to_int32 import Binary32ToInt32
from openppu.formats.fma32 import FusedMultiplyAdd
from openppu.formats.int32_to_binary32 import Int32ToBinary32
from openppu.formats.mul32 import Multiply32
from openppu.formats.narrow import Narrow
from openppu.formats.requantise import Requantise
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP8_E4M3, INT8
from openppu.formats.widen import Widen
from openppu_sim.reference.arithmetic import add32, fma32, mul32
from openppu_sim.reference.corners import corner_accumulators, corner_operands, random_triples
from openppu_sim.reference.formats import (
    binary32_to_int32,
    bits_dtype,
    from_binary32,
    int32_to_binary32,
    to_binary32,
)
from openppu_sim.reference.quantise import binary32_to_int8, int32_to_int8
from openppu_verif.formats.pipeline_bench import PipelineBench

# A component that refuses its parameters is never used.
pytestmark = pytest.mark.filterwarnings("ignore:.*created but never used")

SAMPLES = 1_000_000
FLOATS = tuple(fmt for fmt in FORMATS.values() if fmt.is_float)
ONE_FORMAT = tuple(FORMATS[name] for name in ("fp8_e4m3", "fp16", "bf16"))


@pytest.fixture(scope="module")
def bench(build_root):
    """Every component once, and the converters also with single formats."""
    parts = {
        "fma": FusedMultiplyAdd(),
        "add": Add32(),
        "mul": Multiply32(),
        "from_integer": Int32ToBinary32(),
        "to_integer": Binary32ToInt32(),
        "requantise": Requantise(),
        "narrow": Narrow(formats=FLOATS),
        "widen": Widen(formats=FLOATS),
    }
    for fmt in ONE_FORMAT:
        parts |= {f"narrow_{fmt.name}": Narrow(formats=(fmt,)), f"widen_{fmt.name}": Widen(formats=(fmt,))}
    return PipelineBench("arithmetic", {name: (part, part.LATENCY) for name, part in parts.items()}, build_root)


def test_binary32_add_multiply_and_fused_multiply_add_equal_the_reference(bench):
    seed = 20
    rng = np.random.default_rng(seed)
    a, b, c = random_triples(BINARY32, SAMPLES, rng)
    # For the addition alone: c is near a * b; here it is near b.
    near = np.where(rng.random(SAMPLES) < 0.5, b ^ 0x80000000, b) + rng.integers(-3, 4, SAMPLES).astype(np.uint32)
    near = np.where(rng.random(SAMPLES) < 0.3, c, near).astype(np.uint32)
    inputs = {"fma.a": a, "fma.b": b, "fma.c": c, "mul.a": a, "mul.b": b, "add.a": near, "add.b": b}
    results = bench.run(inputs)
    assert_same_bits(results["fma.total"], fma32(a, b, c), f"fma32, seed {seed}", a=a, b=b, c=c)
    assert_same_bits(results["mul.product"], mul32(a, b), f"mul32, seed {seed}", a=a, b=b)
    assert_same_bits(results["add.total"], add32(near, b), f"add32, seed {seed}", a=near, b=b)


def hard_for(fmt, n, rng):
    """binary32 patterns: values of fmt and midpoints between two of them, give or take one, corners, any bits."""
    numbers = to_binary32(np.arange(1 << (fmt.bits - 1), dtype=bits_dtype(fmt)), fmt)
    numbers = np.sort(numbers[numbers < BINARY32.infinity_bits]).view(np.float32).astype(np.float64)
    numbers = np.append(numbers, 2 * numbers[-1] - numbers[-2])
    with np.errstate(over="ignore"):
        points = np.concatenate([numbers, (numbers[1:] + numbers[:-1]) / 2]).astype(np.float32).view(np.uint32)
    near = rng.choice(points, n) + rng.integers(-1, 2, n).astype(np.uint32)
    chosen = rng.choice(6, n)
    values = np.select(
        [chosen < 4, chosen == 4], [near, rng.choice(corner_operands(BINARY32), n)], rng.integers(0, 1 << 32, n)
    )
    return (values ^ rng.integers(0, 2, n) << 31).astype(np.uint32)


def test_rounding_to_operand_formats_equals_the_reference_while_formats_change_every_cycle(bench):
    seed = 21
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, len(FLOATS), SAMPLES)
    saturate = rng.integers(0, 2, SAMPLES)
    bits = np.choose(choice, [hard_for(fmt, SAMPLES, rng) for fmt in FLOATS])
    expected = [
        np.where(saturate, from_binary32(bits, fmt, saturate=True), from_binary32(bits, fmt, saturate=False))
        for fmt in FLOATS
    ]
    code = np.array([fmt.code for fmt in FLOATS])[choice]
    inputs = {"narrow.bits": bits, "narrow.format": code, "narrow.saturate": saturate}
    for fmt in ONE_FORMAT:
        name = f"narrow_{fmt.name}"
        inputs |= {f"{name}.bits": bits, f"{name}.format": np.full(SAMPLES, fmt.code), f"{name}.saturate": saturate}
    results = bench.run(inputs)
    what = f"narrow, seed {seed}"
    mixed = np.choose(choice, expected).astype(np.uint32)
    assert_same_bits(results["narrow.result"], mixed, what, bits=bits, format=code, saturate=saturate)
    for fmt in ONE_FORMAT:
        alone = expected[FLOATS.index(fmt)].astype(np.uint32)
        assert_same_bits(results[f"narrow_{fmt.name}.result"], alone, f"{fmt.name} alone, seed {seed}", bits=bits)


def test_every_operand_widens_exactly(bench):
    patterns = [np.arange(1 << fmt.bits, dtype=bits_dtype(fmt)) for fmt in FLOATS]
    order = np.random.default_rng(22).permutation(sum(map(len, patterns)))
    bits = np.concatenate([p.astype(np.uint32) for p in patterns])[order]
    code = np.repeat([fmt.code for fmt in FLOATS], list(map(len, patterns)))[order]
    expected = np.concatenate([to_binary32(p, fmt) for p, fmt in zip(patterns, FLOATS, strict=True)])[order]
    results = bench.run({"widen.bits": bits, "widen.format": code})
    assert_same_bits(results["widen.result"], expected, "widen, all formats", bits=bits, format=code)
    for fmt in ONE_FORMAT:
        name = f"widen_{fmt.name}"
        every = np.arange(1 << fmt.bits, dtype=bits_dtype(fmt))
        results = bench.run({f"{name}.bits": every, f"{name}.format": np.full(len(every), fmt.code)})
        assert_same_bits(results[f"{name}.result"], to_binary32(every, fmt), f"widen {fmt.name} alone", bits=every)


def random_integers(n, rng):
    """int32 patterns of every size, ties of the rounding to binary32 among them, and corners."""
    size = rng.integers(0, 32, n)
    any_size = rng.integers(-(1 << 31), 1 << 31, n) >> size
    power = np.int64(1) << rng.integers(0, 32, n)
    tie = power + (power >> 24) * rng.integers(-3, 4, n) + rng.integers(-1, 2, n)
    chosen = rng.integers(0, 4, n)
    return np.select([chosen < 2, chosen == 2], [any_size, tie], rng.choice(corner_accumulators(INT8), n)).astype(
        np.uint32
    )


def test_integers_become_binary32_and_back_as_in_the_reference(bench):
    seed = 23
    rng = np.random.default_rng(seed)
    integer = random_integers(SAMPLES, rng)
    # About the integers: small multiples of 1/4, all exponents around them, both ends of the range, corners.
    exponents = rng.integers(120, 162, SAMPLES) << 23 | rng.integers(0, 1 << 23, SAMPLES)
    quarters = (rng.integers(0, 8000, SAMPLES) / 4).astype(np.float32).view(np.uint32)
    limits = np.float32(2.0**31).view(np.uint32) + rng.integers(-2, 3, SAMPLES)
    chosen = rng.integers(0, 4, SAMPLES)
    bits = np.choose(chosen, [exponents, quarters, limits, rng.choice(corner_operands(BINARY32), SAMPLES)])
    bits = (bits.astype(np.int64) ^ rng.integers(0, 2, SAMPLES) << 31).astype(np.uint32)
    results = bench.run({"from_integer.bits": integer, "to_integer.bits": bits})
    what = f"seed {seed}"
    assert_same_bits(results["from_integer.result"], int32_to_binary32(integer), what, integer=integer)
    assert_same_bits(results["to_integer.result"], binary32_to_int32(bits), what, bits=bits)


def test_requantisation_equals_the_reference_with_a_scale_and_a_zero_point_for_each_value(bench):
    seed = 24
    rng = np.random.default_rng(seed)
    is_integer = rng.integers(0, 2, SAMPLES)
    integer = random_integers(SAMPLES, rng)
    a, b, _ = random_triples(BINARY32, SAMPLES, rng)
    value = np.where(is_integer, integer, a).astype(np.uint32)
    # Most results shall lie in and about the range of int8, at integers and halves.
    with np.errstate(all="ignore"):
        size = np.where(is_integer, integer.view(np.int32).astype(np.float32), a.view(np.float32)).astype(np.float32)
        sensible = (rng.integers(-400, 400, SAMPLES) / 2 / size).astype(np.float32).view(np.uint32)
    scale = np.where(rng.random(SAMPLES) < 0.1, b, sensible).astype(np.uint32)
    zero_point = rng.integers(-128, 128, SAMPLES)
    results = bench.run(
        {
            "requantise.bits": value,
            "requantise.is_integer": is_integer,
            "requantise.scale": scale,
            "requantise.zero_point": zero_point,
        }
    )
    expected = np.where(is_integer, int32_to_int8(value, scale, zero_point), binary32_to_int8(value, scale, zero_point))
    result = results["requantise.result"].astype(np.uint8)
    what = f"requantise, seed {seed}"
    assert_same_bits(result, expected, what, bits=value, is_integer=is_integer, scale=scale)
    assert len(np.unique(result)) == 256


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Narrow(formats=()), "Narrow formats none"),
        (lambda: Narrow(formats=(BF16, INT8)), "Narrow formats int8"),
        (lambda: Widen(formats=(BINARY32,)), "Widen formats binary32"),
        (lambda: Widen(formats=()), "Widen formats none"),
    ],
)
def test_wrong_formats_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_wrong_latency_shows(bench):
    late = copy.copy(bench)
    late.latency = bench.latency | {"narrow_fp8_e4m3": Narrow.LATENCY + 1}
    bits = np.arange(0, 1 << 31, 1 << 20, dtype=np.uint32)
    inputs = {"narrow_fp8_e4m3.bits": bits, "narrow_fp8_e4m3.format": np.full(len(bits), FP8_E4M3.code)}
    result = late.run(inputs)["narrow_fp8_e4m3.result"]
    right = from_binary32(bits, FP8_E4M3, saturate=False).astype(np.uint32)
    assert (result != right).any()
    assert_same_bits(result[:-1], right[1:], "one cycle late", bits=bits[1:])
