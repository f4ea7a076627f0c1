"""The plans of `elementwise`, `rowwise` and `stochastic` as jobs on matrices in memory.

Results are matrices in memory, too; `openppu_sim.kernels.vector.memory.vector_programs` makes the queues' programs.
"""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

from openppu.formats.spec import BINARY32
from openppu.vector.operation import Operation

from openppu_sim.checks import whole
from openppu_sim.errors import UserError
from openppu_sim.kernels.vector import elementwise, rowwise, stochastic
from openppu_sim.kernels.vector.matrix import Matrix
from openppu_sim.kernels.vector.memory import Array, Operand, Piece, Shape, VectorJob
from openppu_sim.kernels.vector.parts import check_function, check_zero_point
from openppu_sim.kernels.vector.plan import Plan, Unit

Matrices = Sequence[Matrix]


def _shaped(name: str, x: Array, *others: Array) -> None:
    """Raise UserError unless all have the shape of x."""
    for other in others:
        if (other.rows, other.columns) != (x.rows, x.columns):
            raise UserError(f"{name}: a matrix of {other.rows} x {other.columns} beside one of {x.rows} x {x.columns}")


def _numbers(name: str, **values: object) -> None:
    """Raise UserError unless all are real numbers."""
    for what, value in values.items():
        if not isinstance(value, Real):
            raise UserError(f"{name} {what} = {value!r}: give a number")


def _row(name: str, x: Array, row: Array) -> Operand:
    """An operand with an element for each column."""
    if (row.rows, row.columns) != (1, x.columns):
        raise UserError(f"{name}: a matrix of {row.rows} x {row.columns}: give one row of {x.columns}")
    return Operand(shape=Shape.ROW, reads=row)


def _list(name: str, x: Array, *, reads: Array | None = None, writes: Array | None = None) -> Operand:
    """An operand with an element for each row."""
    found = reads or writes
    if found is None or (found.rows, found.columns) != (1, x.rows):
        raise UserError(f"{name}: give one row of {x.rows}, with an element for each row")
    return Operand(shape=Shape.LIST, reads=reads, writes=writes)


def _job(name: str, x: Array, plan: Any, *operands: Operand, whole_rows: bool = False, **more: Any) -> VectorJob:
    rows, columns = x.rows, x.columns
    return VectorJob(name=name, rows=rows, columns=columns, operands=operands, plan=plan, whole_rows=whole_rows, **more)


def function(name: str, x: Array, result: Array) -> VectorJob:
    """A function of each element: one of `openppu_sim.kernels.vector.parts.FUNCTIONS`; ``identity`` converts."""
    check_function(name)
    _shaped(name, x, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.function(unit, name, at[0], at[1])

    return _job(name, x, plan, Operand(reads=x), Operand(writes=result))


def scaled_function(
    name: str,
    x: Array,
    result: Array,
    *,
    integer: bool = False,
    scale: float | None = None,
    result_scale: float = 1.0,
    zero_point: int = 0,
) -> VectorJob:
    """f(x scale), of x in int32 if ``integer``; as int8 round(f(x scale) result_scale) + zero_point."""
    check_function(name)
    _shaped(name, x, result)
    _numbers(name, scale=1.0 if scale is None else scale, result_scale=result_scale)
    check_zero_point(name, zero_point)
    if result.format != "int8" and (result_scale, zero_point) != (1.0, 0):
        raise UserError(f"{name}: result_scale and zero_point are of int8, and the result of {result.format}")
    more: Any = {"integer": integer, "scale": scale, "result_scale": result_scale, "zero_point": zero_point}

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.scaled_function(unit, name, at[0], at[1], **more)

    return _job(f"scaled_{name}", x, plan, Operand(reads=x), Operand(writes=result))


def binary(operation: Any, x: Array, y: Array, result: Array) -> VectorJob:
    """An operation of two matrices; ``y`` may be one row, for all rows, or one column, for all columns."""
    if not isinstance(operation, Operation):
        raise UserError(f"binary {operation!r}: give one of openppu.vector.operation.Operation")
    name = str(operation.name).lower()
    _shaped(name, x, result)
    column = (y.rows, y.columns) == (x.rows, 1) and x.columns > 1
    if column:
        second = Operand(shape=Shape.COLUMN, reads=y)
    elif y.rows == 1 and x.rows > 1:
        second = _row(name, x, y)
    else:
        _shaped(name, x, y)
        second = Operand(reads=y)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.binary(unit, operation, at[0], at[1], at[2], column=column)

    return _job(name, x, plan, Operand(reads=x), second, Operand(writes=result))


def bias_activation(name: str, x: Array, bias: Array, result: Array) -> VectorJob:
    """A function of x + bias; the bias is one row, for all rows."""
    check_function(name)
    _shaped(name, x, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.bias_activation(unit, name, *at)

    return _job(f"bias_{name}", x, plan, Operand(reads=x), _row(name, x, bias), Operand(writes=result))


def swiglu(gate: Array, x: Array, result: Array) -> VectorJob:
    """SiLU(gate) x."""
    _shaped("swiglu", x, gate, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.swiglu(unit, *at)

    return _job("swiglu", x, plan, Operand(reads=gate), Operand(reads=x), Operand(writes=result))


def requantise(
    x: Array, result: Array, *, scale: float | Array, zero_point: int = 0, integer: bool = False
) -> VectorJob:
    """round(x scale) + zero_point, to int8; the scale may be one row, and x int32 (``integer``)."""
    _shaped("requantise", x, result)
    if result.format != "int8":
        raise UserError(f"requantise: a result of {result.format}: give one of int8")
    check_zero_point("requantise", zero_point)
    scales = (_row("requantise", x, scale),) if isinstance(scale, Array) else ()

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        by = at[2] if isinstance(scale, Array) else scale
        return elementwise.requantise(unit, at[0], at[1], scale=by, zero_point=zero_point, integer=integer)

    return _job("requantise", x, plan, Operand(reads=x), Operand(writes=result), *scales)


def rope(x: Array, cosines: Array, sines: Array, result: Array) -> VectorJob:
    """Both halves of each row turned by an angle: (x0 cos - x1 sin, x1 cos + x0 sin)."""
    _shaped("rope", x, result)
    _shaped("rope", cosines, sines)
    if (cosines.rows, 2 * cosines.columns) != (x.rows, x.columns):
        raise UserError(f"rope: cosines of {cosines.rows} x {cosines.columns} for {x.rows} x {x.columns}")
    inputs = (*_halves(x), cosines, sines)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.rope(unit, (at[0], at[1]), at[2], at[3], (at[4], at[5]))

    reads = [Operand(reads=each) for each in inputs]
    return _job("rope", cosines, plan, *reads, *[Operand(writes=each) for each in _halves(result)])


def _halves(x: Array) -> tuple[Array, Array]:
    half = x.columns // 2
    low = replace(x, columns=half, stride=x.pitch)
    return low, replace(low, address=x.address + half * x.element_bytes)


def relu_gradient(result_of_relu: Array, gradient: Array, result: Array) -> VectorJob:
    """The gradient where the ReLU's result is more than 0, and 0 elsewhere."""
    _shaped("relu_gradient", gradient, result_of_relu, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.relu_gradient(unit, *at)

    reads = (Operand(reads=result_of_relu), Operand(reads=gradient))
    return _job("relu_gradient", gradient, plan, *reads, Operand(writes=result))


def sgd(
    weights: Array,
    gradient: Array,
    velocity: Array,
    *,
    rate: float,
    momentum: float,
    decay: float = 0.0,
    to: tuple[Array, Array] | None = None,
    copy: Array | None = None,
) -> VectorJob:
    """v = momentum v + (g + decay w); w = w - rate v.

    Parameters
    ----------
    to : tuple of Array, optional
        Where the new weights and velocity go, if not to the old ones' place.
    copy : Array, optional
        Gets the weights, too, rounded to its format.
    """
    new_weights, new_velocity = to or (weights, velocity)
    _shaped("sgd", weights, gradient, velocity, new_weights, new_velocity, *([copy] if copy else []))

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        rounded = at[3] if copy else None
        return elementwise.sgd(unit, *at[:3], rate=rate, momentum=momentum, decay=decay, copy=rounded)

    operands = [Operand(reads=weights, writes=new_weights), Operand(reads=gradient)]
    operands.append(Operand(reads=velocity, writes=new_velocity))
    return _job("sgd", weights, plan, *operands, *([Operand(writes=copy)] if copy else []))


def adamw(
    weights: Array,
    gradient: Array,
    first: Array,
    second: Array,
    *,
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    decay: float = 0.01,
) -> VectorJob:
    """A step of AdamW, number ``step`` from 1; weights and both moments are changed in place."""
    _shaped("adamw", weights, gradient, first, second)
    whole("adamw step", step, 1)
    _numbers("adamw", rate=rate, beta_1=betas[0], beta_2=betas[1], epsilon=epsilon, decay=decay)
    if not all(0 <= beta < 1 for beta in betas):
        raise UserError(f"adamw betas = {betas}: give two numbers from 0 to less than 1")

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return elementwise.adamw(unit, *at, step=step, rate=rate, betas=betas, epsilon=epsilon, decay=decay)

    changed = [Operand(reads=each, writes=each) for each in (weights, first, second)]
    return _job("adamw", weights, plan, changed[0], Operand(reads=gradient), *changed[1:])


def round_stochastically(x: Array, result: Array, *, seed: int) -> VectorJob:
    """x, of binary32, as bf16, up or down at random; the random numbers depend on the pieces, too."""
    _shaped("round_stochastically", x, result)
    whole("round_stochastically seed", seed)
    for what, array, name in (("matrix", x, BINARY32.name), ("result", result, "bf16")):
        if array.format != name:
            raise UserError(f"round_stochastically: a {what} of {array.format}: give one of {name}")

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        own = stochastic.hashed(seed, piece.row << 16 ^ piece.column)
        return stochastic.round_stochastically(unit, *at, seed=own)

    return _job("round_stochastically", x, plan, Operand(reads=x), Operand(writes=result), own_pieces=True)


def row_sum(x: Array, result: Array) -> VectorJob:
    """The sum of each row."""

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.row_sum(unit, *at)

    return _job("row_sum", x, plan, Operand(reads=x), _list("row_sum", x, writes=result), whole_rows=True)


def row_max(x: Array, result: Array, indices: Array) -> VectorJob:
    """The greatest element of each row, and the number of its column: of several the first."""

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.row_max(unit, *at)

    lists = [_list("row_max", x, writes=each) for each in (result, indices)]
    return _job("row_max", x, plan, Operand(reads=x), *lists, whole_rows=True)


def column_sum(x: Array, result: Array) -> VectorJob:
    """The sum of each column, row after row."""
    total = Operand(shape=Shape.TOTAL, writes=_row("column_sum", x, result).reads)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.column_sum(unit, *at, goes_on=piece.row > 0)

    return _job("column_sum", x, plan, Operand(reads=x), total)


def softmax(x: Array, result: Array) -> VectorJob:
    """e^(x - max) over its sum, in each row."""
    _shaped("softmax", x, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.softmax(unit, *at)

    operands = (Operand(reads=x), Operand(shape=Shape.ROOM), Operand(writes=result))
    return _job("softmax", x, plan, *operands, whole_rows=True)


def rms_norm(x: Array, gain: Array, result: Array, *, epsilon: float = 1e-6) -> VectorJob:
    """x gain / sqrt(mean of x^2 + epsilon), in each row; ``gain`` is one row."""
    _shaped("rms_norm", x, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.rms_norm(unit, *at, epsilon=epsilon)

    operands = (Operand(reads=x), _row("rms_norm", x, gain), Operand(writes=result))
    return _job("rms_norm", x, plan, *operands, whole_rows=True)


def layer_norm(x: Array, gain: Array, bias: Array, result: Array, *, epsilon: float = 1e-5) -> VectorJob:
    """(x - mean) gain / sqrt(variance + epsilon) + bias, in each row; ``gain`` and ``bias`` are one row each."""
    _shaped("layer_norm", x, result)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.layer_norm(unit, *at, epsilon=epsilon)

    rows = [_row("layer_norm", x, each) for each in (gain, bias)]
    return _job("layer_norm", x, plan, Operand(reads=x), *rows, Operand(writes=result), whole_rows=True)


def cross_entropy(x: Array, labels: Array, losses: Array, gradient: Array, *, scale: float) -> VectorJob:
    """ln(sum of e^x) - x[label] of each row, and its gradient times ``scale``.

    ``labels`` are int32, one row with an element for each row of x, as ``losses``.
    """
    _shaped("cross_entropy", x, gradient)

    def plan(unit: Unit, at: Matrices, piece: Piece) -> Plan:
        return rowwise.cross_entropy(unit, *at, scale=scale)

    lists = _list("cross_entropy", x, reads=labels), _list("cross_entropy", x, writes=losses)
    operands = (Operand(reads=x), lists[0], Operand(shape=Shape.ROOM), lists[1], Operand(writes=gradient))
    return _job("cross_entropy", x, plan, *operands, whole_rows=True)
