"""First guesses of 1 / x and 1 / sqrt(x), which Newton's iteration makes exact.

Each is the value at the middle of an interval, rounded to 9 bits behind the point; 128 intervals.
"""

from fractions import Fraction
from math import isqrt

INDEX_BITS = 7
SEED_BITS = 9
"""Behind the point."""


def reciprocal_seeds() -> list[int]:
    """Of x in [1, 2), by the upper 7 bits of its fraction; times 2**9."""
    count = 1 << INDEX_BITS
    return [_nearest(Fraction(2 * count, 2 * (count + index) + 1) * (1 << SEED_BITS)) for index in range(count)]


def root_seeds() -> list[int]:
    """Of x in [1, 4): first [1, 2), then [2, 4), by the upper 6 bits of its fraction; times 2**9."""
    half = 1 << INDEX_BITS - 1
    found = []
    for index in range(2 * half):
        middle = Fraction(2 * (half + index % half) + 1, 2 * half) * (2 if index >= half else 1)
        # The nearest integer to 2**9 / sqrt(middle), by its square.
        square = Fraction(1 << 2 * SEED_BITS) / middle
        floor = isqrt(int(square))
        found.append(floor + (square > (floor + Fraction(1, 2)) ** 2))
    return found


def _nearest(value: Fraction) -> int:
    return int(value + Fraction(1, 2))
