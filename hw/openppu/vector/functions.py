"""The vector unit's functions as programs for its lanes. docs/vector.md describes each algorithm."""

from collections.abc import Callable, Sequence

from openppu.formats.spec import BINARY32
from openppu.vector import constants as numbers
from openppu.vector.operation import Operation as Op
from openppu.vector.program import Program, Value, Writer, written

INFINITY = float("inf")
NAN_BITS = BINARY32.nan_bits


def _horner(w: Writer, coefficients: Sequence[float], at: Value) -> Value:
    total = w(Op.MULTIPLY_ADD, at, coefficients[-1], coefficients[-2])
    for coefficient in coefficients[-3::-1]:
        total = w(Op.MULTIPLY_ADD, total, at, coefficient)
    return total


def _whole(w: Writer, x: Value, factor: float) -> Value:
    """The whole number nearest to ``x * factor``, as binary32."""
    return w(Op.SUBTRACT, w(Op.MULTIPLY_ADD, x, factor, numbers.TO_WHOLE), numbers.TO_WHOLE)


def _signed(w: Writer, value: Value, x: Value) -> Value:
    """The value with the sign of x, a zero too; any NaN becomes the one that there is."""
    signed = w(Op.COPY_SIGN, value, x)
    return w(Op.MAXIMUM, signed, signed)


def _power_parts(w: Writer, x: Value, low: Value | None = None) -> tuple[Value, Value, Value]:
    """e**(x + low) as 2**n (high + rest); n is a whole number in binary32."""
    n = _whole(w, x, numbers.LOG2_E)
    first = w(Op.SUBTRACT_PRODUCT, n, numbers.LN2_HIGH, x)
    r = w(Op.SUBTRACT_PRODUCT, n, numbers.LN2_LOW, first)
    beyond = w(Op.SUBTRACT_PRODUCT, n, numbers.LN2_LOW, w(Op.SUBTRACT, first, r))
    if low is not None:
        beyond = w(Op.ADD, beyond, low)
    p = w(Op.MULTIPLY, _horner(w, numbers.EXP, r), w(Op.MULTIPLY, r, r))
    s = w(Op.ADD, r, p)
    s_rest = w(Op.SUBTRACT, p, w(Op.SUBTRACT, s, r))
    high = w(Op.ADD, s, 1.0)
    rest = w(Op.ADD, w(Op.SUBTRACT, s, w(Op.SUBTRACT, high, 1.0)), s_rest)
    return n, high, w(Op.MULTIPLY_ADD, beyond, high, rest)


def _newton_reciprocal(w: Writer, m: Value) -> Value:
    """1 / m of m in [1, 2)."""
    y = w(Op.RECIPROCAL_SEED, m)
    for _ in range(3):
        y = w(Op.MULTIPLY_ADD, y, w(Op.SUBTRACT_PRODUCT, m, y, 1.0), y)
    return y


def _newton_root(w: Writer, m: Value) -> Value:
    """1 / sqrt(m) of m in [1, 4)."""
    y = w(Op.ROOT_SEED, m)
    for _ in range(3):
        t = w(Op.MULTIPLY, m, y)
        rest = w(Op.SUBTRACT_PRODUCT, m, y, t)  # t - m y
        error = w(Op.MULTIPLY_ADD, rest, y, w(Op.SUBTRACT_PRODUCT, t, y, 1.0))
        y = w(Op.MULTIPLY_ADD, w(Op.MULTIPLY, y, 0.5), error, y)
    return y


def exponential(w: Writer, x: Value) -> Value:
    """e**x."""
    n, high, rest = _power_parts(w, w(Op.MAXIMUM, w(Op.MINIMUM, x, 90.0), -110.0))
    return w(Op.SCALE, w(Op.ADD, high, rest), w(Op.TO_INTEGER, n))


def logarithm(w: Writer, x: Value) -> Value:
    """ln x."""
    exponent, m = w(Op.EXPONENT, x), w(Op.SIGNIFICAND, x)
    big = w(Op.LESS, numbers.ROOT_2, m)
    m = w(Op.SELECT, big, w(Op.MULTIPLY, m, 0.5), m)
    k = w(Op.FROM_INTEGER, w(Op.SUBTRACT_INTEGER, exponent, big))
    f = w(Op.SUBTRACT, m, 1.0)
    q = _horner(w, numbers.LOG, f)
    square = w(Op.MULTIPLY, f, f)
    square_rest = w(Op.SUBTRACT_PRODUCT, f, f, square)  # square - f f
    high = w(Op.SUBTRACT_PRODUCT, square, 0.5, f)
    low = w(Op.SUBTRACT_PRODUCT, square, 0.5, w(Op.SUBTRACT, f, high))
    low = w(Op.MULTIPLY_ADD, square_rest, 0.5, low)
    low = w(Op.MULTIPLY_ADD, w(Op.MULTIPLY, f, square), q, low)
    whole = w(Op.MULTIPLY, k, numbers.LN2_HIGH)
    total = w(Op.ADD, whole, high)
    # What the sum lost; nothing if there is no whole part.
    lost = w(Op.SUBTRACT, high, w(Op.SUBTRACT, total, whole))
    low = w(Op.ADD, w(Op.MULTIPLY_ADD, k, numbers.LN2_LOW, low), lost)
    result = w(Op.ADD, total, low)
    result = w(Op.SELECT, w(Op.EQUAL, x, INFINITY), INFINITY, result)
    result = w(Op.SELECT, w(Op.EQUAL, x, 0.0), -INFINITY, result)
    return w(Op.SELECT, w(Op.LESS, x, 0.0), NAN_BITS, result)


def reciprocal(w: Writer, x: Value) -> Value:
    """1 / x."""
    exponent = w(Op.SUBTRACT_INTEGER, 0, w(Op.EXPONENT, x))
    y = w(Op.SCALE, _newton_reciprocal(w, w(Op.SIGNIFICAND, x)), exponent)
    y = w(Op.SELECT, w(Op.EQUAL, w(Op.ABSOLUTE, x), INFINITY), 0.0, y)
    return _signed(w, y, x)


def _root_parts(w: Writer, x: Value) -> tuple[Value, Value]:
    """The significand in [1, 4), and half of the exponent that is left."""
    exponent = w(Op.EXPONENT, x)
    odd = w(Op.AND, exponent, 1)
    m = w(Op.SCALE, w(Op.SIGNIFICAND, x), odd)
    return m, w(Op.SHIFT_ARITHMETIC, exponent, 1)


def square_root(w: Writer, x: Value) -> Value:
    """sqrt(x)."""
    m, half = _root_parts(w, x)
    y = _newton_root(w, m)
    s = w(Op.MULTIPLY, m, y)
    s = w(Op.MULTIPLY_ADD, w(Op.SUBTRACT_PRODUCT, s, s, m), w(Op.MULTIPLY, y, 0.5), s)
    result = w(Op.SCALE, s, half)
    result = w(Op.SELECT, w(Op.EQUAL, x, INFINITY), INFINITY, result)
    result = w(Op.SELECT, w(Op.EQUAL, x, 0.0), x, result)
    return w(Op.SELECT, w(Op.LESS, x, 0.0), NAN_BITS, result)


def reciprocal_root(w: Writer, x: Value) -> Value:
    """1 / sqrt(x)."""
    m, half = _root_parts(w, x)
    result = w(Op.SCALE, _newton_root(w, m), w(Op.SUBTRACT_INTEGER, 0, half))
    result = w(Op.SELECT, w(Op.EQUAL, x, INFINITY), 0.0, result)
    result = w(Op.SELECT, w(Op.EQUAL, x, 0.0), w(Op.COPY_SIGN, INFINITY, x), result)
    return w(Op.SELECT, w(Op.LESS, x, 0.0), NAN_BITS, result)


def _sigmoid_parts(w: Writer, x: Value, low: Value | None = None) -> tuple[Value, Value, Value]:
    """1 / (1 + e**-(x + low)) as 2**n (high + rest); n is an int32."""
    negative = w(Op.LESS, x, 0.0)
    if low is not None:
        low = w(Op.SELECT, negative, low, w(Op.NEGATE, low))
    n, high, rest = _power_parts(w, w(Op.MAXIMUM, w(Op.NEGATE, w(Op.ABSOLUTE, x)), -110.0), low)
    n = w(Op.TO_INTEGER, n)
    near = w(Op.MAXIMUM_INTEGER, n, -40)
    high, rest = w(Op.SCALE, high, near), w(Op.SCALE, rest, near)
    d = w(Op.ADD, high, 1.0)
    d_rest = w(Op.ADD, w(Op.ADD, w(Op.SUBTRACT, 1.0, d), high), rest)
    y = w(Op.SCALE, _newton_reciprocal(w, w(Op.SIGNIFICAND, d)), w(Op.SUBTRACT_INTEGER, 0, w(Op.EXPONENT, d)))
    top = w(Op.SELECT, negative, high, 1.0)
    top_rest = w(Op.SELECT, negative, rest, 0.0)
    q = w(Op.MULTIPLY, top, y)
    left = w(Op.ADD, w(Op.SUBTRACT_PRODUCT, q, d, top), top_rest)
    left = w(Op.SUBTRACT_PRODUCT, q, d_rest, left)
    far = w(Op.SELECT, negative, w(Op.MINIMUM_INTEGER, w(Op.ADD_INTEGER, n, 40), 0), 0)
    return q, w(Op.MULTIPLY, left, y), far


def sigmoid(w: Writer, x: Value) -> Value:
    """1 / (1 + e**-x)."""
    high, rest, far = _sigmoid_parts(w, x)
    return w(Op.SCALE, w(Op.ADD, high, rest), far)


def _times_sigmoid(w: Writer, x: Value, high: Value, rest: Value, far: Value) -> Value:
    total = w(Op.MULTIPLY, x, high)
    low = w(Op.MULTIPLY_ADD, x, high, w(Op.NEGATE, total))
    return w(Op.SCALE, w(Op.ADD, total, w(Op.MULTIPLY_ADD, x, rest, low)), far)


def silu(w: Writer, x: Value) -> Value:
    """x / (1 + e**-x)."""
    least = w(Op.MAXIMUM, x, -110.0)
    result = _signed(w, _times_sigmoid(w, least, *_sigmoid_parts(w, least)), x)
    return w(Op.SELECT, w(Op.LESS, 88.0, x), x, result)


def gelu(w: Writer, x: Value) -> Value:
    """x / (1 + e**-u), u = 2 sqrt(2 / pi) (x + 0.044715 x**3)."""
    least = w(Op.MAXIMUM, x, -15.0)
    square = w(Op.MULTIPLY, least, least)
    square_rest = w(Op.MULTIPLY_ADD, least, least, w(Op.NEGATE, square))
    p = w(Op.MULTIPLY, square, numbers.GELU_CUBE[0])
    p_rest = w(Op.MULTIPLY_ADD, square, numbers.GELU_CUBE[0], w(Op.NEGATE, p))
    p_rest = w(Op.MULTIPLY_ADD, square_rest, numbers.GELU_CUBE[0], p_rest)
    p_rest = w(Op.MULTIPLY_ADD, square, numbers.GELU_CUBE[1], p_rest)
    # Their sum, and what it lost, whichever is greater.
    factor = w(Op.ADD, p, numbers.GELU[0])
    part = w(Op.SUBTRACT, factor, numbers.GELU[0])
    lost = w(
        Op.ADD,
        w(Op.SUBTRACT, numbers.GELU[0], w(Op.SUBTRACT, factor, part)),
        w(Op.SUBTRACT, p, part),
    )
    factor_rest = w(Op.ADD, lost, w(Op.ADD, p_rest, numbers.GELU[1]))
    u = w(Op.MULTIPLY, least, factor)
    u_rest = w(Op.MULTIPLY_ADD, least, factor, w(Op.NEGATE, u))
    u_rest = w(Op.MULTIPLY_ADD, least, factor_rest, u_rest)
    result = _signed(w, _times_sigmoid(w, least, *_sigmoid_parts(w, u, u_rest)), x)
    return w(Op.SELECT, w(Op.LESS, 15.0, x), x, result)


def hyperbolic_tangent(w: Writer, x: Value) -> Value:
    """tanh x."""
    size = w(Op.ABSOLUTE, x)
    z = w(Op.MULTIPLY, x, x)
    small = w(Op.MULTIPLY_ADD, w(Op.MULTIPLY, z, x), _horner(w, numbers.TANH, z), x)
    n, high, rest = _power_parts(w, w(Op.MAXIMUM, w(Op.MULTIPLY, size, -2.0), -60.0))
    n = w(Op.TO_INTEGER, n)
    high, rest = w(Op.SCALE, high, n), w(Op.SCALE, rest, n)
    d = w(Op.ADD, high, 1.0)
    d_rest = w(Op.ADD, w(Op.ADD, w(Op.SUBTRACT, 1.0, d), high), rest)
    top = w(Op.SUBTRACT, 1.0, high)
    top_rest = w(Op.SUBTRACT, w(Op.SUBTRACT, w(Op.SUBTRACT, 1.0, top), high), rest)
    y = w(Op.SCALE, _newton_reciprocal(w, w(Op.SIGNIFICAND, d)), w(Op.SUBTRACT_INTEGER, 0, w(Op.EXPONENT, d)))
    q = w(Op.MULTIPLY, top, y)
    left = w(Op.ADD, w(Op.SUBTRACT_PRODUCT, q, d, top), top_rest)
    left = w(Op.SUBTRACT_PRODUCT, q, d_rest, left)
    large = w(Op.MULTIPLY_ADD, left, y, q)
    return _signed(w, w(Op.SELECT, w(Op.LESS, size, numbers.TANH_LIMIT), small, large), x)


def _trigonometric(w: Writer, x: Value, quarters: int) -> Value:
    """The sine of x plus so many quarter turns."""
    k = _whole(w, x, numbers.TWO_OVER_PI)
    first = w(Op.SUBTRACT_PRODUCT, k, numbers.HALF_PI[0], x)
    p = w(Op.MULTIPLY, k, numbers.HALF_PI[1])
    p_rest = w(Op.MULTIPLY_ADD, k, numbers.HALF_PI[1], w(Op.NEGATE, p))
    r = w(Op.SUBTRACT, first, p)
    part = w(Op.SUBTRACT, r, first)
    rest = w(Op.SUBTRACT, w(Op.SUBTRACT, first, w(Op.SUBTRACT, r, part)), w(Op.ADD, p, part))
    rest = w(Op.SUBTRACT_PRODUCT, k, numbers.HALF_PI[2], w(Op.SUBTRACT, rest, p_rest))

    z = w(Op.MULTIPLY, r, r)
    high = w(Op.MULTIPLY_ADD, z, -0.5, 1.0)
    low = w(Op.MULTIPLY, rest, high)
    sine = w(Op.ADD, r, w(Op.MULTIPLY_ADD, w(Op.MULTIPLY, z, r), _horner(w, numbers.SIN, z), low))

    z_rest = w(Op.MULTIPLY_ADD, r, r, w(Op.NEGATE, z))
    low = w(Op.MULTIPLY_ADD, z, -0.5, w(Op.SUBTRACT, 1.0, high))
    low = w(Op.MULTIPLY_ADD, z_rest, -0.5, low)
    low = w(Op.MULTIPLY_ADD, w(Op.MULTIPLY, z, z), _horner(w, numbers.COS, z), low)
    cosine = w(Op.ADD, high, w(Op.SUBTRACT_PRODUCT, r, rest, low))

    turns = w(Op.TO_INTEGER, k)
    turns = w(Op.ADD_INTEGER, turns, quarters) if quarters else turns
    result = w(Op.SELECT, turns, cosine, sine)
    flipped = w(Op.SHIFT_LEFT, w(Op.SHIFT_RIGHT, turns, 1), 31)
    result = w(Op.EXCLUSIVE_OR, result, flipped)
    near = w(Op.LESS_EQUAL, w(Op.ABSOLUTE, x), numbers.TRIGONOMETRIC_LIMIT)
    return w(Op.SELECT, near, result, NAN_BITS)


def sine(w: Writer, x: Value) -> Value:
    """sin x, for |x| up to 2**17; a NaN beyond."""
    return w(Op.SELECT, w(Op.EQUAL, x, 0.0), x, _trigonometric(w, x, 0))


def cosine(w: Writer, x: Value) -> Value:
    """cos x, for |x| up to 2**17; a NaN beyond."""
    return _trigonometric(w, x, 1)


_FUNCTIONS: dict[str, Callable[[Writer, Value], Value]] = {
    "exp": exponential,
    "log": logarithm,
    "reciprocal": reciprocal,
    "sqrt": square_root,
    "rsqrt": reciprocal_root,
    "sigmoid": sigmoid,
    "silu": silu,
    "gelu": gelu,
    "tanh": hyperbolic_tangent,
    "sin": sine,
    "cos": cosine,
}

PROGRAMS: dict[str, Program] = {name: written(name, function) for name, function in _FUNCTIONS.items()}
"""Every function's program, by its name."""
