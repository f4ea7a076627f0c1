"""The vector unit's functions with numpy, from the algorithms in docs/vector.md; no program of the hardware is read.

Arguments and results are binary32 patterns (uint32 arrays). Each step is one IEEE 754 operation in binary32, so the
result has the same bits wherever the same steps are taken.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.vector import constants as numbers

from .arithmetic import add32, fma32, mul32
from .formats import Bits32, canonical_binary32

Floats = NDArray[np.float32]
_TABLE = 128


def evaluate(name: str, bits: Any) -> Bits32:
    """A function's value at each argument; any NaN is 0x7FC00000.

    Raises
    ------
    KeyError
        If there is no such function.
    """
    x = np.ascontiguousarray(bits, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        return canonical_binary32(np.asarray(FUNCTIONS[name](x), dtype=np.float32))


def _fma(a: Any, b: Any, c: Any) -> Floats:
    return fma32(*(_bits(x) for x in (a, b, c))).view(np.float32)


def _add(a: Any, b: Any) -> Floats:
    return add32(_bits(a), _bits(b)).view(np.float32)


def _sub(a: Any, b: Any) -> Floats:
    return _add(a, -np.asarray(b, np.float32))


def _mul(a: Any, b: Any) -> Floats:
    return mul32(_bits(a), _bits(b)).view(np.float32)


def _bits(x: Any) -> Bits32:
    return np.atleast_1d(np.asarray(x, dtype=np.float32)).view(np.uint32)


def _polynomial(coefficients: Sequence[float], x: Floats) -> Floats:
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = _fma(total, x, coefficient)
    return total


def _split(x: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The significand in [1, 2) and the exponent of finite numbers other than zero."""
    fraction, exponent = np.frexp(np.abs(x).astype(np.float64))
    return (2 * fraction).astype(np.float32), exponent.astype(np.int64) - 1


def _times_power(x: Floats, power: Any) -> Floats:
    """x * 2**power, rounded once."""
    return np.ldexp(x.astype(np.float64), np.clip(power, -600, 600).astype(np.int32)).astype(np.float32)


def _nearest_whole(x: Floats, factor: float) -> Floats:
    return _sub(_fma(x, factor, numbers.TO_WHOLE), numbers.TO_WHOLE)


def _two_sum(a: Any, b: Any) -> tuple[Floats, Floats]:
    """The sum, and what its rounding lost (Knuth)."""
    total = _add(a, b)
    part = _sub(total, b)
    return total, _add(_sub(b, _sub(total, part)), _sub(a, part))


def _power(x: Floats, low: Any = 0.0) -> tuple[NDArray[np.int64], Floats, Floats]:
    """e**(x + low) = 2**n * (high + rest)."""
    n = _nearest_whole(x, numbers.LOG2_E)
    first = _fma(-n, numbers.LN2_HIGH, x)
    r = _fma(-n, numbers.LN2_LOW, first)
    beyond = _fma(-n, numbers.LN2_LOW, _sub(first, r))
    if np.any(low):
        beyond = _add(beyond, low)
    p = _mul(_polynomial(numbers.EXP, r), _mul(r, r))
    s = _add(r, p)
    s_rest = _sub(p, _sub(s, r))
    high = _add(s, 1.0)
    rest = _add(_sub(s, _sub(high, 1.0)), s_rest)
    whole = np.where(np.isnan(n), 0, n).astype(np.int64)
    return whole, high, _fma(beyond, high, rest)


def _inverse(m: Floats) -> Floats:
    """1 / m for m in [1, 2)."""
    place = np.floor((m.astype(np.float64) - 1) * _TABLE)
    guess = np.floor(512 / (1 + (place + 0.5) / _TABLE) + 0.5) / 512
    y = guess.astype(np.float32)
    for _ in range(3):
        y = _fma(y, _fma(-m, y, 1.0), y)
    return y


def _inverse_root(m: Floats) -> Floats:
    """1 / sqrt(m) for m in [1, 4)."""
    wide = m.astype(np.float64)
    step = np.where(wide < 2, 1, 2)
    place = np.floor((wide / step - 1) * (_TABLE // 2))
    y = (np.floor(512 / np.sqrt(step * (1 + (place + 0.5) / (_TABLE // 2))) + 0.5) / 512).astype(np.float32)
    for _ in range(3):
        t = _mul(m, y)
        rest = _fma(-m, y, t)
        y = _fma(_mul(y, 0.5), _fma(rest, y, _fma(-t, y, 1.0)), y)
    return y


def _exp(x: Floats) -> Floats:
    n, high, rest = _power(np.clip(x, -110, 90).astype(np.float32))
    return _times_power(_add(high, rest), n)


def _log(x: Floats) -> Floats:
    positive = np.isfinite(x) & (x > 0)
    m, exponent = _split(np.where(positive, x, np.float32(1)))
    big = m > np.float32(numbers.ROOT_2)
    m = np.where(big, _mul(m, 0.5), m)
    k = (exponent + big).astype(np.float32)
    f = _sub(m, 1.0)
    square = _mul(f, f)
    square_rest = _fma(-f, f, square)
    high = _fma(-square, 0.5, f)
    low = _fma(-square, 0.5, _sub(f, high))
    low = _fma(square_rest, 0.5, low)
    low = _fma(_mul(f, square), _polynomial(numbers.LOG, f), low)
    whole = _mul(k, numbers.LN2_HIGH)
    total = _add(whole, high)
    low = _add(_fma(k, numbers.LN2_LOW, low), _sub(high, _sub(total, whole)))
    edges = [x == np.inf, x == 0]
    return np.where(positive, _add(total, low), np.select(edges, [np.inf, -np.inf], np.nan))


def _reciprocal(x: Floats) -> Floats:
    usual = np.isfinite(x) & (x != 0)
    m, exponent = _split(np.where(usual, x, np.float32(1)))
    y = _times_power(_inverse(m), -exponent)
    return np.where(usual, np.copysign(y, x), 1 / x)


def _even_split(x: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The significand in [1, 4), and half of the exponent."""
    m, exponent = _split(x)
    return np.where(exponent % 2 == 1, 2 * m, m).astype(np.float32), exponent // 2


def _sqrt(x: Floats) -> Floats:
    usual = np.isfinite(x) & (x > 0)
    m, half = _even_split(np.where(usual, x, np.float32(1)))
    y = _inverse_root(m)
    s = _mul(m, y)
    s = _fma(_fma(-s, s, m), _mul(y, 0.5), s)
    return np.where(usual, _times_power(s, half), np.sqrt(x))


def _rsqrt(x: Floats) -> Floats:
    usual = np.isfinite(x) & (x > 0)
    m, half = _even_split(np.where(usual, x, np.float32(1)))
    return np.where(usual, _times_power(_inverse_root(m), -half), 1 / np.sqrt(x))


def _over_one_more(top: Any, top_rest: Any, high: Floats, rest: Floats) -> tuple[Floats, Floats]:
    """(top + top_rest) / (1 + high + rest), and what the quotient lost."""
    d = _add(high, 1.0)
    d_rest = _add(_add(_sub(1.0, d), high), rest)
    m, exponent = _split(np.where(np.isnan(d), np.float32(1), d))
    y = np.where(np.isnan(d), d, _times_power(_inverse(m), -exponent))
    q = _mul(top, y)
    left = _add(_fma(-q, d, top), top_rest)
    left = _fma(-q, d_rest, left)
    return q, np.stack([left, y])


def _sigmoid_parts(x: Floats, low: Any = 0.0) -> tuple[Floats, Floats, NDArray[np.int64]]:
    negative = x < 0
    n, high, rest = _power(np.maximum(-np.abs(x), np.float32(-110)), np.where(negative, low, -np.asarray(low)))
    near = np.maximum(n, -40)
    high, rest = _times_power(high, near), _times_power(rest, near)
    top = np.where(negative, high, np.float32(1))
    q, (left, y) = _over_one_more(top, np.where(negative, rest, np.float32(0)), high, rest)
    return q, _mul(left, y), np.where(negative, np.minimum(n + 40, 0), 0)


def _sigmoid(x: Floats) -> Floats:
    high, rest, far = _sigmoid_parts(x)
    return _times_power(_add(high, rest), far)


def _product(x: Floats, high: Floats, rest: Floats, far: NDArray[np.int64]) -> Floats:
    total = _mul(x, high)
    return _times_power(_add(total, _fma(x, rest, _fma(x, high, -total))), far)


def _silu(x: Floats) -> Floats:
    least = np.maximum(x, np.float32(-110))
    return np.where(x > 88, x, np.copysign(_product(least, *_sigmoid_parts(least)), x))


def _gelu(x: Floats) -> Floats:
    least = np.maximum(x, np.float32(-15))
    square = _mul(least, least)
    square_rest = _fma(least, least, -square)
    p = _mul(square, numbers.GELU_CUBE[0])
    p_rest = _fma(square, numbers.GELU_CUBE[0], -p)
    p_rest = _fma(square_rest, numbers.GELU_CUBE[0], p_rest)
    p_rest = _fma(square, numbers.GELU_CUBE[1], p_rest)
    factor, lost = _two_sum(p, numbers.GELU[0])
    factor_rest = _add(lost, _add(p_rest, numbers.GELU[1]))
    u = _mul(least, factor)
    u_rest = _fma(least, factor_rest, _fma(least, factor, -u))
    return np.where(x > 15, x, np.copysign(_product(least, *_sigmoid_parts(u, u_rest)), x))


def _tanh(x: Floats) -> Floats:
    size = np.abs(x)
    z = _mul(x, x)
    small = _fma(_mul(z, x), _polynomial(numbers.TANH, z), x)
    n, high, rest = _power(np.maximum(_mul(size, -2.0), np.float32(-60)))
    high, rest = _times_power(high, n), _times_power(rest, n)
    top = _sub(1.0, high)
    q, (left, y) = _over_one_more(top, _sub(_sub(_sub(1.0, top), high), rest), high, rest)
    return np.copysign(np.where(size < np.float32(numbers.TANH_LIMIT), small, _fma(left, y, q)), x)


def _turned(x: Floats, quarters: int) -> Floats:
    """sin(x + quarters * pi / 2)."""
    near = np.abs(x) <= numbers.TRIGONOMETRIC_LIMIT
    x = np.where(near, x, np.float32(0))
    k = _nearest_whole(x, numbers.TWO_OVER_PI)
    first = _fma(-k, numbers.HALF_PI[0], x)
    p = _mul(k, numbers.HALF_PI[1])
    p_rest = _fma(k, numbers.HALF_PI[1], -p)
    r = _sub(first, p)
    part = _sub(r, first)
    rest = _sub(_sub(first, _sub(r, part)), _add(p, part))
    rest = _fma(-k, numbers.HALF_PI[2], _sub(rest, p_rest))
    z = _mul(r, r)
    high = _fma(z, -0.5, 1.0)
    sine = _add(r, _fma(_mul(z, r), _polynomial(numbers.SIN, z), _mul(rest, high)))
    low = _fma(z, -0.5, _sub(1.0, high))
    low = _fma(_fma(r, r, -z), -0.5, low)
    low = _fma(_mul(z, z), _polynomial(numbers.COS, z), low)
    cosine = _add(high, _fma(-r, rest, low))
    turns = k.astype(np.int64) + quarters
    value = np.where(turns % 2 == 1, cosine, sine)
    return np.where(near, np.where(turns % 4 >= 2, -value, value), np.float32(np.nan))


FUNCTIONS: dict[str, Callable[[Floats], Any]] = {
    "exp": _exp,
    "log": _log,
    "reciprocal": _reciprocal,
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "gelu": _gelu,
    "tanh": _tanh,
    "sin": lambda x: np.where(x == 0, x, _turned(x, 0)),
    "cos": lambda x: _turned(x, 1),
}
