"""Fused multiply-add, add and multiply of the reference against Berkeley SoftFloat, bit for bit."""

import itertools

import ml_dtypes
import numpy as np
import pytest
import softfloat
from compare import assert_same_bits, one_nan
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP8_E4M3, FP8_E5M2, FP16, INT8
from openppu_sim.reference.arithmetic import add32, fma, fma32, mul32
from openppu_sim.reference.corners import classify, corner_accumulators, corner_operands, random_triples

# Any bits are legal: numpy must not warn about them.
pytestmark = pytest.mark.filterwarnings("error")

FLOATS = [fmt for fmt in FORMATS.values() if fmt.is_float]
by_name = pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
ALL_BYTES = np.arange(256, dtype=np.uint8)


def widen(bits, fmt):
    """binary32 patterns, without use of the reference."""
    if fmt.bits == 16:
        return softfloat.widen(bits, fmt.name)
    dtype = {FP8_E4M3: ml_dtypes.float8_e4m3fn, FP8_E5M2: ml_dtypes.float8_e5m2}[fmt]
    return bits.view(dtype).astype(np.float32).view(np.uint32)


def check(a, b, c, fmt, what):
    expected = one_nan(softfloat.mul_add(widen(a, fmt), widen(b, fmt), c))
    assert_same_bits(fma(a, b, c, fmt), expected, f"fma {fmt.name}, {what}", a=a, b=b, c=c)


@pytest.mark.parametrize("fmt", [FP8_E4M3, FP8_E5M2], ids=lambda fmt: fmt.name)
def test_fp8_fma_is_right_for_all_pairs_with_every_corner_accumulator(fmt):
    for c in corner_accumulators(fmt):
        check(ALL_BYTES[:, None], ALL_BYTES, np.full((256, 256), c), fmt, "all pairs")


def test_int8_multiply_add_is_exact_modulo_2_to_32_for_all_pairs():
    a, b = ALL_BYTES[:, None], ALL_BYTES
    product = a.view(np.int8).astype(np.int64) * b.view(np.int8).astype(np.int64)
    for c in corner_accumulators(INT8):
        expected = ((product + int(c)) % 2**32).astype(np.uint32)
        assert_same_bits(fma(a, b, np.uint32(c), INT8), expected, "int8", a=a, b=b, c=c)


@by_name
def test_fma_is_right_for_every_class_against_every_class(fmt):
    operands, accumulators = corner_operands(fmt), corner_accumulators(fmt)
    seen = [set(classify(bits, f)) for bits, f in ((operands, fmt), (accumulators, BINARY32))]
    assert seen[0] == {"zero", "subnormal", "normal", "nan"} | ({"infinity"} if fmt.has_infinity else set())
    assert seen[1] == {"zero", "subnormal", "normal", "infinity", "nan"}
    for c in accumulators:
        check(operands[:, None], operands, np.uint32(c), fmt, "corners")


@pytest.mark.parametrize(
    ("fmt", "seed", "chunks"),
    [(FP8_E4M3, 1, 2), (FP8_E5M2, 2, 2), (FP16, 3, 20), (BF16, 4, 20)],
    ids=lambda value: getattr(value, "name", None),
)
def test_fma_is_right_for_random_triples(fmt, seed, chunks):
    rng = np.random.default_rng(seed)
    for chunk in range(chunks):
        check(*random_triples(fmt, 500_000, rng), fmt, f"seed {seed}, chunk {chunk}")


def test_binary32_operations_are_right_for_corners_and_random_triples():
    corners = corner_operands(BINARY32)
    every = [(corners[:, None], corners[None, :], c) for c in corners]
    rng = np.random.default_rng(5)
    for a, b, c in itertools.chain(every, (random_triples(BINARY32, 500_000, rng) for _ in range(4))):
        fused = one_nan(softfloat.mul_add(a, b, c))
        assert_same_bits(fma32(a, b, c), fused, "fma32, seed 5", a=a, b=b, c=c)
        assert_same_bits(add32(a, c), one_nan(softfloat.add(a, c)), "add32, seed 5", a=a, b=c)
        assert_same_bits(mul32(a, b), one_nan(softfloat.mul(a, b)), "mul32, seed 5", a=a, b=b)


@pytest.mark.parametrize(
    ("a", "b", "c", "expected", "why"),
    [
        (0x0000, 0x8000, 0x80000000, 0x80000000, "-0 + -0 is -0"),
        (0x0000, 0x8000, 0x00000000, 0x00000000, "-0 + +0 is +0"),
        (0x3F80, 0x3F80, 0xBF800000, 0x00000000, "1 - 1 is +0"),
        (0xBF80, 0x3F80, 0x3F800000, 0x00000000, "-1 + 1 is +0"),
        (0x7F80, 0x0000, 0x3F800000, 0x7FC00000, "infinity * 0 is invalid"),
        (0x7F80, 0x0000, 0xFFC12345, 0x7FC00000, "infinity * 0 + NaN is the one NaN"),
        (0x7F80, 0x3F80, 0xFF800000, 0x7FC00000, "infinity - infinity is invalid"),
        (0x7F7F, 0x7F7F, 0xFF800000, 0xFF800000, "a product beyond binary32 is still finite against an infinity"),
        (0x7F7F, 0x7F7F, 0x00000000, 0x7F800000, "overflow rounds to infinity"),
        (0x7F00, 0x4000, 0xFF7FFFFF, 0x73800000, "2**128 - largest: the product itself does not overflow"),
        (0x0001, 0x3F00, 0x00000000, 0x00008000, "subnormals are kept"),
        (0x8080, 0x0080, 0x00000000, 0x80000000, "underflow keeps the sign"),
        (0x3F80, 0x3380, 0x3F800001, 0x3F800002, "1 + ulp + ulp/2 is a tie: up to even"),
        (0x3F80, 0x3380, 0x3F800000, 0x3F800000, "1 + ulp/2 is a tie: down to even"),
        (0x3F81, 0x3380, 0x3F800000, 0x3F800001, "just above the tie: up"),
        (0x0001, 0x0001, 0x3F800001, 0x3F800001, "a sticky bit far below changes nothing"),
    ],
)
def test_bf16_fma_by_hand(a, b, c, expected, why):
    result = fma(np.uint16(a), np.uint16(b), np.uint32(c), BF16)
    assert int(result) == expected, f"{why}: got {int(result):#010x}, expected {expected:#010x}"


def test_sum_is_rounded_once_where_float64_would_round_twice():
    def fused(a, b, c):
        return fma32(*(np.array(x, np.float32).view(np.uint32) for x in (a, b, c))).view(np.float32)

    # 2049 * 4192257 = 2**33 + 1, half a unit of 2**57 and a little: float64 drops the 1 and takes the tie down to even.
    assert fused(2049, 4192257, 2.0**57) == 2.0**57 + 2.0**34
    # (1 + ulp) * (1 - ulp) = 1 - ulp**2, half a unit of 1 and a little less: float64 takes the tie up to even.
    ulp = 2.0**-23
    assert fused(1 + ulp, (1 - ulp) * 2.0**-24, 1 + ulp) == 1 + ulp


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fma(np.zeros(2, np.int8), np.zeros(2, np.uint8), np.zeros(2, np.uint32), INT8),
            "a must hold raw int8",
        ),
        (lambda: fma(np.zeros(2, np.uint16), np.zeros(2), np.zeros(2, np.uint32), BF16), "b must hold raw bf16 bits"),
        (
            lambda: fma(np.zeros(2, np.uint16), np.zeros(2, np.uint16), np.zeros(2), FP16),
            "c must hold raw binary32 bits",
        ),
        (lambda: add32(np.zeros(2), np.zeros(2, np.uint32)), "a must hold raw binary32 bits as uint32, got float64"),
    ],
)
def test_wrong_dtype_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
