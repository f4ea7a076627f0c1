"""Operands that find mistakes: corner values of each class, and random triples weighted towards hard cases.

For the tests of the reference, of the hardware against the reference, and for anyone's own.
"""

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, Format

from .formats import Bits, Bits32, bits_dtype, to_float64

CLASSES = ("zero", "subnormal", "normal", "infinity", "nan")


def classify(bits: Bits, fmt: Format) -> NDArray[np.str_]:
    """The class of each float pattern, of those in ``CLASSES``."""
    value = np.abs(to_float64(bits, fmt))
    smallest_normal = 2.0 ** (1 - fmt.bias)
    tests = [np.isnan(value), np.isinf(value), value == 0, value < smallest_normal]
    return np.select(tests, ["nan", "infinity", "zero", "subnormal"], "normal")


def corner_operands(fmt: Format) -> Bits:
    """Corner patterns of an operand format or of BINARY32: each class, both signs, and the edges of each.

    Floats: zeros; the smallest, largest and other subnormals; the smallest and largest normals; values about 1; powers
    of two over the exponent range; fractions of all ones, one bit and alternate bits; infinities; quiet and signalling
    NaNs. int8: 0, the ends of the range, powers of two and alternate bits. Sorted, each once.
    """
    if not fmt.is_float:
        return np.unique(np.array([0, 1, 2, 3, 64, 85, 127, -1, -2, -3, -64, -86, -127, -128], np.int8).view(np.uint8))
    ones = (1 << fmt.fraction_bits) - 1
    half = 1 << (fmt.fraction_bits - 1)
    fractions = [0, 1, half - 1, half, half + 1, 0x2AAAAA & ones, ones - 1, ones]
    top = fmt.exponent_ones
    exponents = [0, 1, 2, top // 4, fmt.bias - 1, fmt.bias, fmt.bias + 1, 3 * top // 4, top - 2, top - 1, top]
    magnitudes = [exponent << fmt.fraction_bits | fraction for exponent in exponents for fraction in fractions]
    sign = 1 << (fmt.bits - 1)
    return np.unique(np.array([s | m for m in magnitudes for s in (0, sign)], dtype=bits_dtype(fmt)))


def corner_accumulators(fmt: Format) -> Bits32:
    """Corner patterns of the accumulator that ``fmt`` uses: binary32, or int32 for int8."""
    if fmt.is_float:
        return corner_operands(BINARY32).astype(np.uint32)
    powers = 2 ** np.array([0, 1, 7, 13, 14, 15, 16, 30, 31], dtype=np.int64)
    near = np.concatenate([powers, powers - 1, powers + 1])
    return np.unique(np.concatenate([near, -near]).astype(np.uint32))


def random_triples(fmt: Format, n: int, rng: np.random.Generator) -> tuple[Bits, Bits, Bits32]:
    """Random operands (a, b, c) of ``a * b + c``, weighted towards hard cases.

    Floats: an eighth of the operands are corners, an eighth are any bits; the exponents of the others are drawn so that
    products crowd about both ends of binary32's range, and their fractions are often sparse or full. c is the product
    negated, give or take 3 units (cancellation), or lies within 30 exponents of the product (ties, sticky bits), or is
    about the subnormals, a corner or any bits.

    Parameters
    ----------
    n : int
        Number of triples.
    rng : numpy Generator
        Seeded by the caller, who reports the seed when a test fails.

    Returns
    -------
    a, b : array of uint8 or uint16, shape (n,)
    c : array of uint32, shape (n,)
    """
    dtype = bits_dtype(fmt)
    corners = corner_operands(fmt)
    if not fmt.is_float:
        a, b = (_mix(rng, [rng.choice(corners, n), _any_bits(rng, n, fmt)], [1, 3]) for _ in range(2))
        accumulators = [rng.choice(corner_accumulators(fmt), n), rng.integers(0, 1 << 32, n, dtype=np.uint32)]
        return a.astype(dtype), b.astype(dtype), _mix(rng, accumulators, [1, 3]).astype(np.uint32)

    exponent_a = rng.integers(0, fmt.exponent_ones, n)
    exponent_b = np.where(rng.random(n) < 0.5, _partner_exponent(rng, exponent_a, fmt), rng.permutation(exponent_a))
    a, b = (
        _mix(rng, [rng.choice(corners, n), _any_bits(rng, n, fmt), _assemble(rng, exponent, fmt)], [1, 1, 6]).astype(
            dtype
        )
        for exponent in (exponent_a, exponent_b)
    )

    with np.errstate(all="ignore"):
        product = to_float64(a, fmt) * to_float64(b, fmt)
        product = np.where(np.isfinite(product), product, 0.0)
        negated = (-product).astype(np.float32).view(np.uint32).astype(np.int64)
    cancelling = np.clip(negated + rng.integers(-3, 4, n), 0, 0xFFFFFFFF)
    near = np.frexp(product)[1] - 1 + BINARY32.bias + rng.integers(-30, 31, n)
    candidates = [
        rng.choice(corner_accumulators(fmt), n),
        _any_bits(rng, n, BINARY32),
        cancelling,
        _assemble(rng, np.clip(near, 0, BINARY32.exponent_ones), BINARY32),
        _assemble(rng, rng.integers(0, 3, n), BINARY32),
    ]
    return a, b, _mix(rng, candidates, [1, 1, 2, 3, 1]).astype(np.uint32)


def _mix(rng: np.random.Generator, candidates: list[NDArray], weights: list[int]) -> NDArray:
    """For each place, the value of one of the candidate arrays, chosen at random by weight."""
    choice = rng.choice(np.repeat(np.arange(len(weights)), weights), len(candidates[0]))
    return np.choose(choice, candidates)


def _any_bits(rng: np.random.Generator, n: int, fmt: Format) -> NDArray[np.int64]:
    return rng.integers(0, 1 << fmt.bits, n)


def _assemble(rng: np.random.Generator, exponent: NDArray[np.int64], fmt: Format) -> NDArray[np.int64]:
    """Patterns with the given exponent fields, random signs, and random, sparse or full fractions."""
    n = len(exponent)
    ones = (1 << fmt.fraction_bits) - 1
    any_fraction = rng.integers(0, ones + 1, n)
    place = rng.integers(0, fmt.fraction_bits + 1, n)
    power = (1 << place) & ones
    upper = ones >> place << place
    fraction = _mix(
        rng, [any_fraction, any_fraction & upper, power, power ^ ones, upper, upper ^ ones], [4, 2, 2, 1, 1, 1]
    )
    sign = rng.integers(0, 2, n)
    return sign << (fmt.bits - 1) | exponent << fmt.fraction_bits | fraction


def _partner_exponent(rng: np.random.Generator, exponent: NDArray[np.int64], fmt: Format) -> NDArray[np.int64]:
    """Exponent fields that put products about binary32's subnormals or largest exponents, as far as fmt reaches."""
    targets = np.concatenate([np.arange(-156, -120), np.repeat(np.arange(122, 130), 4)])
    return np.clip(rng.choice(targets, len(exponent)) + 2 * fmt.bias - exponent, 0, fmt.exponent_ones - 1)
