"""Pieces of programs that several computations need."""

from collections.abc import Callable
from typing import Any

from openppu.vector.functions import (
    cosine,
    exponential,
    gelu,
    hyperbolic_tangent,
    logarithm,
    reciprocal,
    reciprocal_root,
    sigmoid,
    silu,
    sine,
    square_root,
)
from openppu.vector.operation import Operation as Op

from openppu_sim.checks import whole
from openppu_sim.errors import UserError
from openppu_sim.kernels.vector.code import Code, Name, Word

Function = Callable[[Any, Any], Any]
"""Given a `Code` and an argument, the value."""


def relu(code: Code, x: Name) -> Name:
    """max(x, 0)."""
    return code(Op.MAXIMUM, x, 0.0)


def identity(code: Code, x: Name) -> Name:
    """x."""
    return x


FUNCTIONS: dict[str, Function] = {
    "identity": identity,
    "relu": relu,
    "exp": exponential,
    "log": logarithm,
    "reciprocal": reciprocal,
    "sqrt": square_root,
    "rsqrt": reciprocal_root,
    "sigmoid": sigmoid,
    "tanh": hyperbolic_tangent,
    "silu": silu,
    "gelu": gelu,
    "sin": sine,
    "cos": cosine,
}
"""Of one argument, by their names."""


def check_function(name: str) -> None:
    """Raise UserError unless there is such a function."""
    if name not in FUNCTIONS:
        raise UserError(f"function {name!r}: give one of {', '.join(FUNCTIONS)}")


def check_zero_point(name: str, value: int) -> None:
    """Raise UserError unless it is one of int8."""
    if not -128 <= whole(f"{name} zero_point", value) <= 127:
        raise UserError(f"{name} zero_point = {value}: give -128 to 127")


def fold(code: Code, operation: Any, value: Name, *, into: Name | None = None) -> Name:
    """All lanes of a row together, by halves of the distance: lane i with lane i ^ 1, then i ^ 2, then i ^ 4 ...

    Every lane gets the result; or, packed, one lane of register ``into``.
    """
    by = 1
    while by < code.lanes:
        if into is not None and 2 * by == code.lanes:
            code.pack(into, operation, value, value.cross(by))
            return into
        value = code(operation, value, value.cross(by))
        by *= 2
    return value


def accumulate(code: Code, operation: Any, start: Word, *sources: Word, loop: int) -> Name:
    """A kept register: ``start``, then the operation on it and the sources in each round of a loop."""
    total = code.keep()
    code.set(total, Op.COPY, start)
    with code.loop(loop):
        code.set(total, operation, *sources, total)
    return total
