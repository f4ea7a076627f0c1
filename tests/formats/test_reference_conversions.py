"""Conversions of the reference against ml_dtypes, numpy and Berkeley SoftFloat."""

import ml_dtypes
import numpy as np
import pytest
import softfloat
from compare import assert_same_bits, one_nan
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP8_E4M3, FP8_E5M2, FP16, INT8
from openppu_sim.reference.corners import corner_operands, random_triples
from openppu_sim.reference.formats import (
    accumulator_dtype,
    binary32_to_int32,
    bits_dtype,
    decode,
    encode,
    from_binary32,
    int32_to_binary32,
    to_binary32,
)
from openppu_sim.reference.quantise import binary32_to_int8, int32_to_int8

# Any bits are legal: numpy must not warn about them.
pytestmark = pytest.mark.filterwarnings("error")

# Other people's implementations of the same formats.
PEERS = {
    FP8_E4M3: np.dtype(ml_dtypes.float8_e4m3fn),
    FP8_E5M2: np.dtype(ml_dtypes.float8_e5m2),
    FP16: np.dtype(np.float16),
    BF16: np.dtype(ml_dtypes.bfloat16),
}
FP8 = [FP8_E4M3, FP8_E5M2]
floats = pytest.mark.parametrize("fmt", PEERS, ids=lambda fmt: fmt.name)
fp8 = pytest.mark.parametrize("fmt", FP8, ids=lambda fmt: fmt.name)


def bits32(*values):
    return np.array(values, np.float32).view(np.uint32)


def every_pattern(fmt):
    return np.arange(1 << fmt.bits, dtype=bits_dtype(fmt))


def hard_binary32(fmt, seed):
    """Every value of fmt, every midpoint between two of them, their neighbours, corners, and random patterns."""
    with np.errstate(all="ignore"):
        values = np.unique(every_pattern(fmt).view(PEERS[fmt]).astype(np.float64))
        values = values[np.isfinite(values)]
        unit = values[-1] - values[-2]
        values = np.concatenate([[values[0] - unit], values, [values[-1] + unit]])
        points = np.concatenate([values, (values[1:] + values[:-1]) / 2]).astype(np.float32).view(np.uint32)
    rng = np.random.default_rng(seed)
    a, b, c = random_triples(BINARY32, 200_000, rng)
    return np.concatenate([points, points - np.uint32(1), points + np.uint32(1), corner_operands(BINARY32), a, b, c])


@pytest.mark.parametrize("fmt", [*FORMATS.values(), BINARY32], ids=lambda fmt: fmt.name)
def test_table_is_consistent(fmt):
    assert fmt.bits == 1 + fmt.exponent_bits + fmt.fraction_bits
    assert fmt.is_float is (fmt is not INT8)
    largest = np.array([fmt.max_finite_bits], bits_dtype(fmt))
    assert (largest.view(np.int8) if fmt is INT8 else to_binary32(largest, fmt).view(np.float32)) == fmt.max_finite
    if fmt.is_float:
        assert fmt.bias == 2 ** (fmt.exponent_bits - 1) - 1
        assert np.isnan(to_binary32(np.array([fmt.nan_bits], bits_dtype(fmt)), fmt).view(np.float32)).all()
    if fmt.has_infinity:
        assert np.isposinf(to_binary32(np.array([fmt.infinity_bits], bits_dtype(fmt)), fmt).view(np.float32)).all()


def test_codes_are_those_of_the_command():
    assert {name: fmt.code for name, fmt in FORMATS.items()} == {
        "int8": 0,
        "fp8_e4m3": 1,
        "fp8_e5m2": 2,
        "fp16": 3,
        "bf16": 4,
    }
    assert [accumulator_dtype(fmt) for fmt in FORMATS.values()] == [np.int32] + 4 * [np.float32]


@floats
def test_every_pattern_widens_exactly(fmt):
    bits = every_pattern(fmt)
    widened = to_binary32(bits, fmt)
    expected = bits.view(PEERS[fmt]).astype(np.float32).view(np.uint32)
    assert_same_bits(widened, one_nan(expected), f"to_binary32 {fmt.name}", bits=bits)
    if fmt.bits == 16:
        assert_same_bits(widened, one_nan(softfloat.widen(bits, fmt.name)), f"to_binary32 {fmt.name}", bits=bits)
    assert_same_bits(decode(bits, fmt).view(np.uint32), widened, f"decode {fmt.name}", bits=bits)


@floats
def test_every_pattern_survives_the_way_there_and_back(fmt):
    bits = every_pattern(fmt)
    infinity = fmt.infinity_bits if fmt.has_infinity else fmt.max_finite_bits
    back = from_binary32(to_binary32(bits, fmt), fmt, saturate=False)
    assert_same_bits(back, one_nan(bits, infinity, fmt.nan_bits), f"round trip {fmt.name}", bits=bits)


@floats
def test_rounding_without_saturation(fmt):
    seed = 6
    source = hard_binary32(fmt, seed)
    result = from_binary32(source, fmt, saturate=False)
    with np.errstate(all="ignore"):
        peer = source.view(np.float32).astype(PEERS[fmt]).view(bits_dtype(fmt))
    infinity = fmt.infinity_bits if fmt.has_infinity else fmt.max_finite_bits
    what = f"from_binary32 {fmt.name}, seed {seed}"
    assert_same_bits(result, one_nan(peer, infinity, fmt.nan_bits), what, source=source)
    if fmt.bits == 16:
        expected = one_nan(softfloat.narrow(source, fmt.name), infinity, fmt.nan_bits)
        assert_same_bits(result, expected, what, source=source)


@fp8
def test_rounding_with_saturation_is_rounding_of_clamped_values(fmt):
    seed = 7
    source = hard_binary32(fmt, seed)
    with np.errstate(all="ignore"):
        clamped = np.clip(source.view(np.float32), -fmt.max_finite, fmt.max_finite)
        peer = clamped.astype(PEERS[fmt]).view(np.uint8)
    expected = one_nan(peer, fmt.max_finite_bits, fmt.nan_bits)
    result = from_binary32(source, fmt)
    assert_same_bits(result, expected, f"from_binary32 {fmt.name} saturating, seed {seed}", source=source)


@pytest.mark.parametrize("fmt", [FP16, BF16], ids=lambda fmt: fmt.name)
def test_sixteen_bit_formats_overflow_to_infinity_in_either_mode(fmt):
    source = bits32(3.4e38, -3.4e38, np.inf, -np.inf)
    for saturate in (True, False):
        sign = 1 << (fmt.bits - 1)
        expected = np.array([fmt.infinity_bits, fmt.infinity_bits | sign] * 2, np.uint16)
        assert_same_bits(from_binary32(source, fmt, saturate=saturate), expected, fmt.name, source=source)


@pytest.mark.parametrize(
    ("fmt", "value", "saturated", "not_saturated"),
    [
        (FP8_E4M3, 464.0, 0x7E, 0x7E),  # the tie between 448 and 480, to even
        (FP8_E4M3, 464.03125, 0x7E, 0x7F),
        (FP8_E4M3, -480.0, 0xFE, 0x7F),
        (FP8_E4M3, np.inf, 0x7E, 0x7F),
        (FP8_E4M3, -np.inf, 0xFE, 0x7F),
        (FP8_E4M3, np.nan, 0x7F, 0x7F),
        (FP8_E4M3, 2.0**-10, 0x00, 0x00),  # half of the smallest subnormal, to even
        (FP8_E4M3, -(2.0**-10), 0x80, 0x80),
        (FP8_E4M3, 1.5 * 2.0**-9, 0x02, 0x02),
        (FP8_E5M2, 61439.0, 0x7B, 0x7B),
        (FP8_E5M2, 61440.0, 0x7B, 0x7C),  # the tie between 57344 and 65536, to even
        (FP8_E5M2, -np.inf, 0xFB, 0xFC),
        (FP8_E5M2, np.nan, 0x7E, 0x7E),
    ],
)
def test_ofp8_conversion_by_hand(fmt, value, saturated, not_saturated):
    source = bits32(value)
    assert int(from_binary32(source, fmt)[0]) == saturated
    assert int(from_binary32(source, fmt, saturate=False)[0]) == not_saturated


def test_int32_to_binary32():
    seed = 8
    rng = np.random.default_rng(seed)
    powers = 2 ** np.arange(31)
    ties = (powers[:, None] + powers // 2 + np.array([-1, 0, 1])[:, None, None]).ravel()
    anything = rng.integers(-(2**31), 2**31, 1_000_000) >> rng.integers(0, 31, 1_000_000)
    integers = np.concatenate([ties, -ties, anything, [-(2**31), 2**31 - 1]]).astype(np.int32)
    result = int32_to_binary32(integers.view(np.uint32))
    assert_same_bits(result, softfloat.from_int32(integers), f"seed {seed}", integers=integers.view(np.uint32))


def rounded_to_int32(bits):
    """The definition, with SoftFloat's rounding: NaN gives 0, and the rest saturates."""
    whole = softfloat.round_to_whole(bits).view(np.float32).astype(np.float64)
    return np.clip(np.where(np.isnan(whole), 0, whole), -(2**31), 2**31 - 1).astype(np.int32)


def random_near_integers(rng, n):
    exponents = rng.integers(120, 162, n)
    bits = rng.integers(0, 2, n) << 31 | exponents << 23 | rng.integers(0, 1 << 23, n)
    halves = (rng.integers(-1000, 1000, n) + 0.5).astype(np.float32).view(np.uint32)
    return np.concatenate([bits.astype(np.uint32), halves, corner_operands(BINARY32)])


def test_binary32_to_int32():
    seed = 9
    bits = random_near_integers(np.random.default_rng(seed), 300_000)
    result = binary32_to_int32(bits)
    assert_same_bits(result, rounded_to_int32(bits).view(np.uint32), f"binary32_to_int32, seed {seed}", bits=bits)


def test_int32_to_int8_equals_its_steps_taken_with_softfloat():
    seed = 10
    rng = np.random.default_rng(seed)
    n = 500_000
    values = (rng.integers(-(2**31), 2**31, n) >> rng.integers(0, 31, n)).astype(np.int32)
    exact = np.maximum(np.abs(values.astype(np.float64)), 1)
    sensible = (rng.integers(-400, 400, n) / 2 / exact).astype(np.float32).view(np.uint32)
    scale = np.where(rng.random(n) < 0.1, rng.choice(corner_operands(BINARY32), n), sensible)
    zero = rng.integers(-128, 128, n)
    steps = rounded_to_int32(softfloat.mul(softfloat.from_int32(values), scale))
    expected = np.clip(steps.astype(np.int64) + zero, -128, 127).astype(np.int8).view(np.uint8)
    bits = values.view(np.uint32)
    assert_same_bits(int32_to_int8(bits, scale, zero), expected, f"seed {seed}", values=bits, scale=scale)
    assert len(np.unique(expected)) == 256


@pytest.mark.parametrize(
    ("value", "scale", "zero_point", "expected"),
    [
        (5, 0.5, 0, 2),
        (7, 0.5, 0, 4),
        (-5, 0.5, 0, -2),
        (5, 0.5, 1, 3),
        (1, 127.5, 0, 127),
        (-1, 128.5, 0, -128),
        (1, 200.0, -100, 100),
        (2**31 - 1, 1.0, -128, 127),
        (16777217, 2.0**-24, 0, 1),
        (1, np.nan, -7, -7),
        (0, np.inf, -7, -7),
        (1, np.inf, -128, 127),
        (1, -np.inf, 127, -128),
    ],
)
def test_int32_to_int8_by_hand(value, scale, zero_point, expected):
    bits = np.array([value], np.int32).view(np.uint32)
    assert int32_to_int8(bits, bits32(scale), zero_point).view(np.int8) == expected
    if abs(value) < 2**24:
        assert binary32_to_int8(bits32(value), bits32(scale), zero_point).view(np.int8) == expected


def test_scale_and_zero_point_broadcast_over_channels():
    bits = bits32(*range(6)).reshape(2, 3)
    result = binary32_to_int8(bits, bits32(1, 10, 100), np.array([0, 1, 2])).view(np.int8)
    assert result.tolist() == [[0, 11, 127], [3, 41, 127]]


@floats
def test_encode_is_rounding_of_float32_values(fmt):
    values = np.linspace(-3, 3, 1001, dtype=np.float32)
    assert_same_bits(encode(values, fmt), values.astype(PEERS[fmt]).view(bits_dtype(fmt)), f"encode {fmt.name}")


def test_int8_encodes_from_int8_and_from_float32():
    integers = np.arange(-128, 128).astype(np.int8)
    assert (decode(encode(integers, INT8), INT8) == integers).all()
    values = np.array([0.5, 1.5, -2.5, 126.6, 1e9, -1e9, np.inf, np.nan], np.float32)
    assert decode(encode(values, INT8), INT8).tolist() == [0, 2, -2, 127, 127, -128, 127, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode(np.zeros(2), BF16), "encode as bf16 must be float32, got float64"),
        (lambda: encode(np.zeros(2, np.int8), FP16), "encode as fp16 must be float32, got int8"),
        (lambda: encode(np.zeros(2, np.int32), INT8), "encode as int8 must be float32 or int8, got int32"),
        (lambda: decode(np.zeros(2, np.uint8), BF16), "bits must hold raw bf16 bits as uint16, got uint8"),
        (lambda: from_binary32(np.zeros(2, np.float32), BF16), "raw binary32 bits as uint32, got float32"),
        (lambda: from_binary32(np.zeros(2, np.uint32), INT8), "not to int8"),
        (lambda: int32_to_binary32(np.zeros(2, np.int32)), "as uint32, got int32"),
        (lambda: binary32_to_int8(bits32(1), bits32(1), 128), "from -128 to 127, got 128 to 128"),
        (lambda: binary32_to_int8(bits32(1), bits32(1), 0.5), "integer from -128 to 127, got float64"),
        (lambda: INT8.nan_bits, "int8 has no NaN"),
        (lambda: FP8_E4M3.infinity_bits, "fp8_e4m3 has no infinity"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
