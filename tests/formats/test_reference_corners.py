"""The generators reach what they promise; a test that draws from them rests on this."""

import numpy as np
import pytest
from openppu.formats.spec import BF16, BINARY32, FORMATS, FP8_E4M3, FP8_E5M2, FP16, INT8
from openppu_sim.reference.arithmetic import fma
from openppu_sim.reference.corners import classify, corner_accumulators, corner_operands, random_triples
from openppu_sim.reference.formats import bits_dtype, to_float64

# Any bits are legal: numpy must not warn about them.
pytestmark = pytest.mark.filterwarnings("error")

FLOATS = [FP8_E4M3, FP8_E5M2, FP16, BF16]


@pytest.mark.parametrize("fmt", [*FLOATS, BINARY32], ids=lambda fmt: fmt.name)
def test_corners_hold_the_edges_of_every_class_in_both_signs(fmt):
    corners = corner_operands(fmt)
    sign = 1 << (fmt.bits - 1)
    smallest_normal = 1 << fmt.fraction_bits
    edges = [0, 1, smallest_normal - 1, smallest_normal, fmt.bias << fmt.fraction_bits, fmt.max_finite_bits]
    edges += [fmt.nan_bits, sign - 1, *([fmt.infinity_bits, fmt.infinity_bits + 1] if fmt.has_infinity else [])]
    assert {*edges, *(edge | sign for edge in edges)} <= set(corners.tolist())
    assert len(np.unique(corners)) == len(corners)
    # Both signs of each, in the same classes.
    upper = corners[corners >= sign] - corners.dtype.type(sign)
    assert upper.tolist() == corners[corners < sign].tolist()


@pytest.mark.parametrize("fmt", [*FLOATS, BINARY32], ids=lambda fmt: fmt.name)
def test_classify_agrees_with_the_fields(fmt):
    bits = corner_operands(fmt)
    exponent = bits >> fmt.fraction_bits & fmt.exponent_ones
    fraction = bits & ((1 << fmt.fraction_bits) - 1)
    names = classify(bits, fmt)
    assert set(names[exponent == 0]) == {"zero", "subnormal"}
    assert (names[(exponent > 0) & (exponent < fmt.exponent_ones)] == "normal").all()
    top = exponent == fmt.exponent_ones
    assert set(names[top & (fraction > 0)]) == ({"nan"} if fmt.has_infinity else {"normal", "nan"})
    assert set(names[top & (fraction == 0)]) == ({"infinity"} if fmt.has_infinity else {"normal"})


def test_int8_corners_hold_the_ends():
    assert {-128, -127, -1, 0, 1, 127} <= set(corner_operands(INT8).view(np.int8).tolist())
    assert {-(2**31), 2**31 - 1, 0, -1} <= set(corner_accumulators(INT8).view(np.int32).tolist())


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_triples_repeat_with_the_seed(fmt):
    first, again, other = (random_triples(fmt, 1000, np.random.default_rng(seed)) for seed in (15, 15, 16))
    assert [x.dtype for x in first] == [bits_dtype(fmt)] * 2 + [np.uint32]
    assert all((x == y).all() for x, y in zip(first, again, strict=True))
    assert not any((x == y).all() for x, y in zip(first, other, strict=True))


@pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
def test_triples_hold_enough_of_every_hard_case(fmt):
    n = 200_000
    a, b, c = random_triples(fmt, n, np.random.default_rng(17))
    with np.errstate(all="ignore"):
        product, addend = to_float64(a, fmt) * to_float64(b, fmt), to_float64(c, BINARY32)
        total = product + addend
        exact = (total - product == addend) & (total - addend == product) & (product != 0) & (addend != 0)
        sunk = (np.abs(product) < np.abs(addend) * 2.0**-24) & (product != 0) & np.isfinite(addend)
    result = fma(a, b, c, fmt)
    finite = np.isfinite(product) & np.isfinite(addend)
    below_unit = total.view(np.int64) & (2**29 - 1)
    normal = np.abs(total) >= 2.0**-126
    counts = {
        "tie": finite & exact & normal & (below_unit == 2**28),
        "inexact": finite & normal & (below_unit != 0),
        "exact cancellation": finite & (total == 0) & (product != 0),
        "deep cancellation": finite & (total != 0) & (np.abs(total) < np.abs(product) * 2.0**-12),
        "sticky only": sunk,
        "subnormal accumulator": classify(c, BINARY32) == "subnormal",
        "subnormal result": classify(result, BINARY32) == "subnormal",
        "nan result": result == BINARY32.nan_bits,
        "overflow or infinity": result & 0x7FFFFFFF == BINARY32.infinity_bits,
    }
    if fmt is BF16:
        counts["overflow of finite operands"] = finite & (result & 0x7FFFFFFF == BINARY32.infinity_bits)
        counts["subnormal product"] = finite & (np.abs(product) < 2.0**-126) & (product != 0)
        counts["product beyond binary32"] = np.isfinite(product) & (np.abs(product) > BINARY32.max_finite)
    few = {name: int(hits.sum()) for name, hits in counts.items() if hits.sum() < n // 1000}
    assert not few, f"{fmt.name}, seed 17: fewer than {n // 1000} of {n} are: {few}"
