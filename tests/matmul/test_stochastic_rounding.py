"""Stochastic rounding, as the reference defines it: no bias, nothing done to what fits, the same on every tile."""

import numpy as np
import pytest
from openppu.formats.spec import BF16, FP8_E4M3, FP8_E5M2, FP16
from openppu_sim.reference.formats import from_binary32, to_binary32, to_float64
from openppu_sim.reference.stochastic import narrow_stochastically, position_random

FORMATS = (BF16, FP16, FP8_E4M3, FP8_E5M2)
ROWS, COLUMNS = np.indices((256, 256))


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_numbers_of_the_format_stay_as_they_are(fmt):
    patterns = np.arange(1 << fmt.bits, dtype=np.uint8 if fmt.bits == 8 else np.uint16)
    wide = to_binary32(patterns, fmt)
    for saturate in (False, True):
        rounded = narrow_stochastically(wide, fmt, np.uint16(0xFFFF), saturate=saturate)
        assert (rounded == from_binary32(wide, fmt, saturate=saturate)).all()


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("value", [1.3, -0.7001, 1e-5, 3.1e-8, 200.7])
def test_the_mean_is_the_number(fmt, value):
    bits = np.full(ROWS.shape, np.float32(value).view(np.uint32))
    random = position_random(ROWS, COLUMNS, 77)
    rounded = to_float64(narrow_stochastically(bits, fmt, random), fmt)
    low, high = np.unique(rounded)[[0, -1]]
    assert low <= np.float32(value) <= high or rounded.max() == 0  # less than 2**-16 of a step is never seen
    assert abs(rounded.mean() - np.float32(value)) <= max(high - low, 2**-16) * 0.01


def test_random_bits_depend_on_place_and_seed_alone_and_look_even():
    random = position_random(ROWS, COLUMNS, 5)
    assert (position_random(7, np.arange(9), 5) == random[7, :9]).all()
    assert abs(random.mean() / 65536 - 0.5) < 0.005
    for other in (random[1:], random[:, 1:], position_random(ROWS, COLUMNS, 4)):
        same = random[: other.shape[0], : other.shape[1]]
        assert abs(np.corrcoef(same.ravel(), other.ravel())[0, 1]) < 0.015
    for bit in range(16):
        assert abs((random >> bit & 1).mean() - 0.5) < 0.01


def test_what_is_too_large_is_treated_as_by_rounding_to_nearest():
    infinite = np.array([0x7F800000, 0xFF800000, 0x7FC00001], np.uint32)
    for fmt in FORMATS:
        for saturate in (False, True):
            expected = from_binary32(infinite, fmt, saturate=saturate)
            assert (narrow_stochastically(infinite, fmt, np.uint16(9), saturate=saturate) == expected).all()
