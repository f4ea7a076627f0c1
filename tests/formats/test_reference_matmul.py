"""The matrix product of the reference: the order of the sum, its bits, and its limits."""

import numpy as np
import pytest
import softfloat
from compare import assert_same_bits, one_nan
from openppu.formats.spec import BF16, FORMATS, FP8_E4M3, INT8
from openppu_sim.reference.corners import random_triples
from openppu_sim.reference.formats import bits_dtype, encode, to_binary32
from openppu_sim.reference.matmul import matmul

# Any bits are legal: numpy must not warn about them.
pytestmark = pytest.mark.filterwarnings("error")

FLOATS = [fmt for fmt in FORMATS.values() if fmt.is_float]
floats = pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
every_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)


def random_matrices(fmt, m, k, n, seed):
    """Finite operands over three decades, and an accumulator of like size."""
    rng = np.random.default_rng(seed)
    if fmt is INT8:
        a, b = rng.integers(0, 256, (m, k), dtype=np.uint8), rng.integers(0, 256, (k, n), dtype=np.uint8)
        return a, b, rng.integers(0, 1 << 32, (m, n), dtype=np.uint32)
    a, b, c = (rng.standard_normal(s) * 10 ** rng.uniform(-2, 1, s) for s in ((m, k), (k, n), (m, n)))
    return encode(a.astype(np.float32), fmt), encode(b.astype(np.float32), fmt), c.astype(np.float32).view(np.uint32)


def softfloat_matmul(a, b, c, fmt):
    wide_a, wide_b, total = to_binary32(a, fmt), to_binary32(b, fmt), c
    for k in range(a.shape[1]):
        total = softfloat.mul_add(wide_a[:, k, None], wide_b[None, k, :], total)
    return one_nan(total)


@floats
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (33, 50, 70), (130, 20, 65), (2, 3, 9000)])
def test_float_matmul_is_a_loop_of_softfloat_in_increasing_k(fmt, shape):
    seed = 11
    a, b, c = random_matrices(fmt, *shape, seed)
    what = f"{fmt.name} {shape}, seed {seed}"
    assert_same_bits(matmul(a, b, c, fmt), softfloat_matmul(a, b, c, fmt), what)
    assert_same_bits(matmul(a, b, None, fmt), softfloat_matmul(a, b, np.zeros_like(c), fmt), f"{what}, no C")


@floats
def test_float_matmul_takes_corners_nans_and_infinities(fmt):
    seed, (m, k, n) = 12, (60, 2, 200)
    a, b, c = random_triples(fmt, m * n, np.random.default_rng(seed))
    a, b, c = a[: m * k].reshape(m, k), b[: k * n].reshape(k, n), c.reshape(m, n)
    assert_same_bits(matmul(a, b, c, fmt), softfloat_matmul(a, b, c, fmt), f"{fmt.name}, seed {seed}")


@every_format
def test_bits_do_not_depend_on_tiling(fmt):
    seed, (m, k, n) = 13, (20, 30, 40)
    a, b, c = random_matrices(fmt, m, k, n, seed)
    whole = matmul(a, b, c, fmt)
    tiled = c.copy()
    for top in range(0, m, 7):
        for first in range(0, n, 16):
            for start in range(0, k, 4):
                rows, columns, depth = np.s_[top : top + 7], np.s_[first : first + 16], np.s_[start : start + 4]
                tiled[rows, columns] = matmul(a[rows, depth], b[depth, columns], tiled[rows, columns], fmt)
    assert_same_bits(tiled, whole, f"{fmt.name} tiled, seed {seed}")


def test_order_of_k_shows_in_the_bits():
    a = encode(np.array([[1, 2.0**-12, 2.0**-12]], np.float32), BF16)
    b = encode(np.array([[1], [2.0**-12], [2.0**-12]], np.float32), BF16)
    assert matmul(a, b, None, BF16).view(np.float32) == 1
    assert matmul(a[:, ::-1], b[::-1], None, BF16).view(np.float32) == np.float32(1 + 2.0**-23)


def test_absent_c_is_plus_zero():
    minus, zero = (encode(np.array([[x]], np.float32), BF16) for x in (-1, 0))
    assert matmul(minus, zero, None, BF16) == 0x00000000
    assert matmul(minus, zero, np.array([[0x80000000]], np.uint32), BF16) == 0x80000000


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 300, 7), (33, 50, 70)])
def test_int8_matmul_is_exact_modulo_2_to_32(shape):
    seed = 14
    a, b, c = random_matrices(INT8, *shape, seed)
    exact = a.view(np.int8).astype(object) @ b.view(np.int8).astype(object) + c.astype(object)
    assert_same_bits(matmul(a, b, c, INT8), (exact % 2**32).astype(np.uint32), f"int8 {shape}, seed {seed}")


def test_int8_sums_wrap_at_the_depth_where_they_must():
    lowest = np.full((1, 131_072), 0x80, np.uint8)
    assert matmul(lowest[:, 1:], lowest[:, 1:].T, None, INT8) == 131_071 * 2**14
    assert matmul(lowest, lowest.T, None, INT8).view(np.int32) == -(2**31)


@pytest.mark.parametrize(
    ("a", "b", "c", "message"),
    [
        ((2, 3), (4, 5), None, r"A of shape \(2, 3\) and B of shape \(4, 5\) do not multiply: K differs"),
        ((3,), (3, 5), None, r"A must be a matrix with no dimension of 0, got shape \(3,\)"),
        ((2, 3), (3, 0), None, r"B must be a matrix with no dimension of 0, got shape \(3, 0\)"),
        ((2, 3), (3, 5), (5, 2), r"C must have shape \(2, 5\) to be added to A @ B, got \(5, 2\)"),
    ],
)
def test_wrong_shape_is_named(a, b, c, message):
    for fmt in (BF16, FP8_E4M3, INT8):
        dtype = bits_dtype(fmt)
        with pytest.raises(ValueError, match=message):
            matmul(np.zeros(a, dtype), np.zeros(b, dtype), None if c is None else np.zeros(c, np.uint32), fmt)


def test_wrong_dtype_is_named():
    bits, wide = np.zeros((2, 2), np.uint16), np.zeros((2, 2), np.uint32)
    with pytest.raises(ValueError, match="A must hold raw bf16 bits as uint16, got float32"):
        matmul(wide.view(np.float32), bits, wide, BF16)
    with pytest.raises(ValueError, match="B must hold raw bf16 bits as uint16, got uint32"):
        matmul(bits, wide, wide, BF16)
    with pytest.raises(ValueError, match="C must hold raw binary32 bits as uint32, got float32"):
        matmul(bits, bits, wide.view(np.float32), BF16)
