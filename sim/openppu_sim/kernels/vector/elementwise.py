"""Plans of computations on each element by itself."""

from collections.abc import Callable, Sequence
from typing import Any

from openppu.vector.functions import PROGRAMS
from openppu.vector.operation import Operation as Op

from openppu_sim.kernels.vector.code import Code, Word, parameter, stream
from openppu_sim.kernels.vector.commands import SetStream, word_of
from openppu_sim.kernels.vector.matrix import Blocks, Matrix, blocks, chunks, each_column, each_row, walk
from openppu_sim.kernels.vector.parts import FUNCTIONS
from openppu_sim.kernels.vector.plan import Plan, Unit, written

Streams = Callable[[Blocks], list[SetStream]]

FAR = 1024.0
"""Beyond int8 with any zero point, so a whole number is cut there before a zero point is added."""


def steps_of(name: str) -> int:
    """Operations of a function on each element."""
    return {"identity": 0, "relu": 1}.get(name) or (len(PROGRAMS[name].steps) if name in PROGRAMS else 0)


def _run(plan: Plan, x: Matrix, streams: Streams, parameters: Sequence[int] = ()) -> Plan:
    """Run a program whose loop 0 goes over the groups and loop 1 over the chunks of ``x``; streams for each part."""
    unit = plan.unit
    for part in blocks(x.rows, unit.strip_rows):
        counts = (part.groups, chunks(x.columns, unit.lanes))
        plan.run(streams(part), rows=part.rows, counts=counts, parameters=parameters)
    return plan


def function(unit: Unit, name: str, x: Matrix, result: Matrix) -> Plan:
    """A function of each element."""

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            if name == "identity":
                code.put(4, Op.COPY, stream(0))
            else:
                code.store(4, FUNCTIONS[name](code, code(Op.COPY, stream(0))))

    plan = written(unit, name, write, operations=max(steps_of(name), 1) * x.rows * x.columns)
    return _run(plan, x, lambda part: [walk(0, x, part, unit.lanes), walk(4, result, part, unit.lanes)])


def scaled_function(
    unit: Unit,
    name: str,
    x: Matrix,
    result: Matrix,
    *,
    integer: bool = False,
    scale: float | None = None,
    result_scale: float = 1.0,
    zero_point: int = 0,
) -> Plan:
    """f(x scale); as int8 round(f(x scale) result_scale) + zero_point. Every step rounds once in binary32.

    Parameters
    ----------
    integer : bool
        x is int32, and rounded to binary32 first.
    scale : float, optional
        None: x is not multiplied.
    result_scale : float
    zero_point : int
        Both of int8 results alone.
    """
    to_int8 = result.format == "int8"

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            value = code(Op.FROM_INTEGER if integer else Op.COPY, stream(0))
            if scale is not None:
                value = code(Op.MULTIPLY, value, parameter(0))
            value = FUNCTIONS[name](code, value)
            if to_int8:
                _put_int8(code, code(Op.MULTIPLY, value, parameter(1)), zero_point, parameter(2))
            else:
                code.store(4, value)

    steps = max(1, integer + (scale is not None) + steps_of(name) + (_int8_steps(zero_point) if to_int8 else 0))
    plan = written(unit, f"scaled_{name}", write, operations=steps * x.rows * x.columns)
    words = [0 if scale is None else word_of(scale), word_of(result_scale), zero_point & 0xFFFFFFFF]
    return on(plan, x, result, words)


def on(plan: Plan, x: Matrix, result: Matrix, parameters: Sequence[int]) -> Plan:
    """Run the program of a plan, which has one operand and one result, on these."""
    lanes, saturate = plan.unit.lanes, result.format == "int8"
    return _run(
        plan, x, lambda part: [walk(0, x, part, lanes), walk(4, result, part, lanes, saturate=saturate)], parameters
    )


def _put_int8(code: Code, value: Word, zero_point: int, word: Word) -> None:
    """Write a whole number near to a value, plus a zero point, which is in ``word``; the stream saturates."""
    if zero_point == 0:
        code.put(4, Op.TO_INTEGER, value)
    else:
        value = code(Op.MAXIMUM, code(Op.MINIMUM, value, FAR), -FAR)
        code.put(4, Op.ADD_INTEGER, code(Op.TO_INTEGER, value), word)


def _int8_steps(zero_point: int) -> int:
    """Operations of a product with a scale, and of `_put_int8`."""
    return 2 + (3 if zero_point else 0)


def binary(unit: Unit, operation: Any, x: Matrix, y: Matrix, result: Matrix, *, column: bool | None = None) -> Plan:
    """An operation of two matrices; ``y`` may have one row, for all rows, or one column, for all columns.

    ``column`` says that it is a column also if x has no more than one.
    """
    column = y.columns == 1 and x.columns > 1 if column is None else column

    def write(code: Code) -> None:
        with code.loop(0):
            if column:
                kept = code.keep()
                code.set(kept, Op.COPY, stream(1))
                with code.loop(1):
                    code.put(4, operation, stream(0), kept)
            else:
                with code.loop(1):
                    code.put(4, operation, stream(0), stream(1))

    lanes = unit.lanes
    plan = written(unit, operation.name.lower(), write, operations=x.rows * x.columns)

    def streams(part: Blocks) -> list[SetStream]:
        if column:
            second = each_column(1, y, part)
        elif y.rows == 1 and x.rows > 1:
            second = each_row(1, y, part, lanes)
        else:
            second = walk(1, y, part, lanes)
        return [walk(0, x, part, lanes), second, walk(4, result, part, lanes)]

    return _run(plan, x, streams)


def bias_activation(unit: Unit, name: str, x: Matrix, bias: Matrix, result: Matrix) -> Plan:
    """A function of x + bias; the bias is one row, for all rows."""

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            code.store(4, FUNCTIONS[name](code, code(Op.ADD, stream(0), stream(1))))

    lanes = unit.lanes
    plan = written(unit, f"bias_{name}", write, operations=(1 + steps_of(name)) * x.rows * x.columns)
    return _run(
        plan, x, lambda part: [walk(0, x, part, lanes), each_row(1, bias, part, lanes), walk(4, result, part, lanes)]
    )


def swiglu(unit: Unit, gate: Matrix, x: Matrix, result: Matrix) -> Plan:
    """SiLU(gate) x."""

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            value = FUNCTIONS["silu"](code, code(Op.COPY, stream(0)))
            code.put(4, Op.MULTIPLY, value, stream(1))

    lanes = unit.lanes
    plan = written(unit, "swiglu", write, operations=(1 + steps_of("silu")) * x.rows * x.columns)
    return _run(
        plan, x, lambda part: [walk(0, gate, part, lanes), walk(1, x, part, lanes), walk(4, result, part, lanes)]
    )


def requantise(
    unit: Unit, x: Matrix, result: Matrix, *, scale: float | Matrix, zero_point: int = 0, integer: bool = False
) -> Plan:
    """round(x scale) + zero_point, to int8: the steps of `openppu.formats.requantise`.

    Parameters
    ----------
    scale : float or Matrix
        Of the whole matrix, or one row: one for each column.
    zero_point : int
    integer : bool
        x is int32, and rounded to binary32 first.
    """
    channels = isinstance(scale, Matrix)

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            value: Word = stream(0)
            if integer:
                value = code(Op.FROM_INTEGER, value)
            value = code(Op.MULTIPLY, value, stream(1) if channels else parameter(0))
            _put_int8(code, value, zero_point, parameter(1))

    lanes = unit.lanes
    steps = integer + _int8_steps(zero_point)
    plan = written(unit, "requantise", write, operations=steps * x.rows * x.columns)
    words = (0 if isinstance(scale, Matrix) else word_of(scale), zero_point & 0xFFFFFFFF)

    def streams(part: Blocks) -> list[SetStream]:
        scales = [each_row(1, scale, part, lanes)] if isinstance(scale, Matrix) else []
        return [walk(0, x, part, lanes), *scales, walk(4, result, part, lanes, saturate=True)]

    return _run(plan, x, streams, words)


def rope(unit: Unit, x: tuple[Matrix, Matrix], cosines: Matrix, sines: Matrix, result: tuple[Matrix, Matrix]) -> Plan:
    """Pairs turned by an angle: (x0 cos - x1 sin, x1 cos + x0 sin); the product with x0 is rounded before the sum.

    ``x`` and ``result`` are the two halves of the rows, as matrices of their own.
    """

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            first, second = code(Op.COPY, stream(0)), code(Op.COPY, stream(1))
            cosine, sine = code(Op.COPY, stream(2)), code(Op.COPY, stream(3))
            code.put(4, Op.SUBTRACT_PRODUCT, second, sine, code(Op.MULTIPLY, first, cosine))
            code.put(5, Op.MULTIPLY_ADD, second, cosine, code(Op.MULTIPLY, first, sine))

    lanes = unit.lanes
    inputs = (*x, cosines, sines)
    plan = written(unit, "rope", write, operations=4 * x[0].rows * x[0].columns)

    def streams(part: Blocks) -> list[SetStream]:
        given = [walk(number, matrix, part, lanes) for number, matrix in enumerate(inputs)]
        return given + [walk(4 + number, matrix, part, lanes) for number, matrix in enumerate(result)]

    return _run(plan, x[0], streams)


def relu_gradient(unit: Unit, result_of_relu: Matrix, gradient: Matrix, result: Matrix) -> Plan:
    """The gradient where the ReLU's result is more than 0, and 0 elsewhere."""

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            code.put(4, Op.SELECT, code(Op.LESS, 0.0, stream(0)), stream(1), 0.0)

    lanes = unit.lanes
    plan = written(unit, "relu_gradient", write, operations=2 * gradient.rows * gradient.columns)
    matrices = ((0, result_of_relu), (1, gradient), (4, result))
    return _run(plan, gradient, lambda part: [walk(number, matrix, part, lanes) for number, matrix in matrices])


def sgd(
    unit: Unit,
    weights: Matrix,
    gradient: Matrix,
    velocity: Matrix,
    *,
    rate: float,
    momentum: float,
    decay: float = 0.0,
    copy: Matrix | None = None,
) -> Plan:
    """v = momentum v + (g + decay w); w = w - rate v: weights and velocity are changed in place.

    ``copy`` gets the weights, too, rounded to its format.
    """

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            old = code(Op.COPY, stream(0))
            slope = code(Op.MULTIPLY_ADD, old, parameter(2), stream(1)) if decay else stream(1)
            new = code(Op.MULTIPLY_ADD, stream(2), parameter(1), slope)
            code.store(5, new)
            moved = code(Op.SUBTRACT_PRODUCT, new, parameter(0), old)
            code.store(4, moved)
            if copy is not None:
                code.put(6, Op.COPY, moved)

    lanes = unit.lanes
    steps = 2 + bool(decay) + (copy is not None)
    plan = written(unit, "sgd", write, operations=steps * weights.rows * weights.columns)
    inputs, outputs = (weights, gradient, velocity), (weights, velocity, *([copy] if copy is not None else []))

    def streams(part: Blocks) -> list[SetStream]:
        given = [walk(number, matrix, part, lanes) for number, matrix in enumerate(inputs)]
        return given + [walk(4 + number, matrix, part, lanes) for number, matrix in enumerate(outputs)]

    return _run(plan, weights, streams, [word_of(value) for value in (rate, momentum, decay)])


def adamw(
    unit: Unit,
    weights: Matrix,
    gradient: Matrix,
    first: Matrix,
    second: Matrix,
    *,
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    decay: float = 0.01,
) -> Plan:
    """A step of AdamW, number ``step`` from 1; weights and both moments are changed in place."""
    one, two = betas

    def write(code: Code) -> None:
        with code.loop(0), code.loop(1):
            slope = code(Op.COPY, stream(1))
            mean = code(Op.MULTIPLY_ADD, stream(2), parameter(0), code(Op.MULTIPLY, slope, parameter(1)))
            code.store(5, mean)
            square = code(Op.MULTIPLY, slope, slope)
            spread = code(Op.MULTIPLY_ADD, stream(3), parameter(2), code(Op.MULTIPLY, square, parameter(3)))
            code.store(6, spread)
            below = code(Op.MULTIPLY_ADD, FUNCTIONS["sqrt"](code, spread), parameter(4), parameter(5))
            move = code(Op.MULTIPLY, mean, FUNCTIONS["reciprocal"](code, below))
            left = code(Op.MULTIPLY, stream(0), parameter(6))
            code.put(4, Op.SUBTRACT_PRODUCT, move, parameter(7), left)

    lanes = unit.lanes
    steps = 9 + steps_of("sqrt") + steps_of("reciprocal")
    plan = written(unit, "adamw", write, operations=steps * weights.rows * weights.columns)
    values = (one, 1 - one, two, 1 - two, (1 - two**step) ** -0.5, epsilon, 1 - rate * decay, rate / (1 - one**step))
    inputs, outputs = (weights, gradient, first, second), (weights, first, second)

    def streams(part: Blocks) -> list[SetStream]:
        given = [walk(number, matrix, part, lanes) for number, matrix in enumerate(inputs)]
        return given + [walk(4 + number, matrix, part, lanes) for number, matrix in enumerate(outputs)]

    return _run(plan, weights, streams, [word_of(value) for value in values])
