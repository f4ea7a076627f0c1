"""Plans of computations on whole rows: sums, greatest elements, norms, softmax, cross-entropy.

A strip holds a chunk of L columns of up to S rows; sums are kept in a register, row by row and lane by lane, over the
chunks in their order, then folded over the lanes. What there is once for a row is packed before a function of it is
computed, so that all lanes work.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from openppu.vector.functions import PROGRAMS
from openppu.vector.operation import Operation as Op

from openppu_sim.kernels.vector.code import INDEX, Code, Name, parameter, stream
from openppu_sim.kernels.vector.commands import SetStream, word_of
from openppu_sim.kernels.vector.matrix import Blocks, Matrix, blocks, chunks, each_column, each_row, packed_column, walk
from openppu_sim.kernels.vector.parts import FUNCTIONS, accumulate, fold
from openppu_sim.kernels.vector.plan import Plan, Unit, written

Streams = Callable[[Blocks], list[SetStream]]

MINUS_INFINITY = -float("inf")
FILL = word_of(MINUS_INFINITY)
EXP = len(PROGRAMS["exp"].steps)


def _run(plan: Plan, x: Matrix, streams: Streams, parameters: Sequence[int] = ()) -> Plan:
    unit = plan.unit
    for part in blocks(x.rows, unit.strip_rows):
        counts = (part.groups, chunks(x.columns, unit.lanes))
        plan.run(streams(part), rows=part.rows, counts=counts, parameters=parameters)
    return plan


def row_sum(unit: Unit, x: Matrix, result: Matrix) -> Plan:
    """The sum of each row; ``result`` has one row, an element for each row of x."""

    def write(code: Code) -> None:
        with code.loop(0):
            total = accumulate(code, Op.ADD, 0.0, stream(0), loop=1)
            packed = fold(code, Op.ADD, total, into=code.keep())
            with code.rows():
                code.put(4, Op.COPY, packed)

    plan = written(unit, "row_sum", write, operations=x.rows * x.columns)
    return _run(plan, x, lambda part: [walk(0, x, part, unit.lanes), packed_column(4, result, part, unit.lanes)])


def row_max(unit: Unit, x: Matrix, result: Matrix, indices: Matrix) -> Plan:
    """The greatest element of each row, and the number of its column, an int32: of several the first."""

    def write(code: Code) -> None:
        with code.loop(0):
            best, where = code.keep(), code.keep()
            code.set(best, Op.COPY, MINUS_INFINITY)
            code.set(where, Op.COPY, 0)
            with code.loop(1):
                value = code(Op.COPY, stream(0))
                better = code(Op.LESS, best, value)
                code.set(where, Op.SELECT, better, INDEX, where)
                code.set(best, Op.SELECT, better, value, best)
            by = 1
            while by < code.lanes:
                value = code(Op.COPY, best.cross(by))
                place = code(Op.COPY, where.cross(by))
                tie = code(Op.AND, code(Op.EQUAL, best, value), code(Op.LESS_INTEGER, place, where))
                better = code(Op.OR, code(Op.LESS, best, value), tie)
                code.set(where, Op.SELECT, better, place, where)
                code.set(best, Op.SELECT, better, value, best)
                by *= 2
            packed, places = code.keep(), code.keep()
            code.pack(packed, Op.COPY, best)
            code.pack(places, Op.COPY, where)
            with code.rows():
                code.put(4, Op.COPY, packed)
                code.put(5, Op.COPY, places)

    lanes = unit.lanes
    plan = written(unit, "row_max", write, operations=3 * x.rows * x.columns)

    def streams(part: Blocks) -> list[SetStream]:
        outputs = [packed_column(4, result, part, lanes), packed_column(5, indices, part, lanes)]
        return [walk(0, x, part, lanes, fill=FILL), *outputs]

    return _run(plan, x, streams)


def column_sum(unit: Unit, x: Matrix, result: Matrix, *, goes_on: bool = False) -> Plan:
    """The sum of each column, row after row; ``result`` has one row.

    ``goes_on``: the sums begin with what is in ``result``, not with 0.
    """

    def write(code: Code) -> None:
        with code.loop(0):
            total = accumulate(code, Op.ADD, stream(1) if goes_on else 0.0, stream(0), loop=1)
            code.put(4, Op.COPY, total)

    lanes = unit.lanes
    plan = written(unit, "column_sum", write, operations=x.rows * x.columns)
    width = lanes * unit.strip_rows
    for first in range(0, x.columns, width):
        columns = min(width, x.columns - first)
        count = chunks(columns, lanes)
        # A strip's rows are the chunks of one row of the matrix.
        given = ((0, x, x.rows, x.pitch), (1, result, 1, 0), (4, result, 1, 0))
        streams = [
            replace(
                walk(number, matrix, Blocks(first=0, rows=1, groups=1), lanes),
                base=matrix.base + first * matrix.element_bytes,
                counts=(count, rows),
                strides=(lanes * matrix.element_bytes, pitch),
                tail=columns % lanes,
                tail_dimension=0,
            )
            for number, matrix, rows, pitch in (given if goes_on else (given[0], given[2]))
        ]
        plan.run(streams, rows=count, counts=(1, x.rows))
    return plan


def softmax(unit: Unit, x: Matrix, powers: Matrix, result: Matrix) -> Plan:
    """e^(x - max) over its sum, in each row.

    ``powers`` is room for the powers of one strip of rows, in binary32: S rows of as many columns as x.
    """

    def write(code: Code) -> None:
        with code.loop(0):
            top = fold(code, Op.MAXIMUM, accumulate(code, Op.MAXIMUM, MINUS_INFINITY, stream(0), loop=1))
            total = _powers(code, top)
            inverse = _inverse(code, total)
            code.free(1)
            with code.loop(1):
                code.put(4, Op.MULTIPLY, stream(1), inverse.spread)

    lanes = unit.lanes
    plan = written(unit, "softmax", write, operations=(4 + EXP) * x.rows * x.columns)

    def streams(part: Blocks) -> list[SetStream]:
        room = Blocks(first=0, rows=part.rows, groups=part.groups)
        return [
            walk(0, x, part, lanes, passes=2, fill=FILL),
            _again(walk(1, powers, room, lanes, held=True)),
            walk(4, result, part, lanes),
            _again(walk(5, powers, room, lanes)),
        ]

    return _run(plan, x, streams)


def _again(stream: SetStream) -> SetStream:
    """The same block for each group."""
    return replace(stream, strides=(*stream.strides[:3], 0))


def _powers(code: Code, top: Name) -> Name:
    """Writes e^(s0 - top) to stream 5 and adds them up."""
    total = code.keep()
    code.set(total, Op.COPY, 0.0)
    with code.loop(1):
        power = FUNCTIONS["exp"](code, code(Op.SUBTRACT, stream(0), top))
        code.store(5, power)
        code.set(total, Op.ADD, total, power)
    return total


def _inverse(code: Code, total: Name) -> Name:
    """1 / the total of all lanes, packed."""
    packed = fold(code, Op.ADD, total, into=code.keep())
    inverse = code.keep()
    with code.rows():
        code.set(inverse, Op.COPY, FUNCTIONS["reciprocal"](code, code(Op.COPY, packed)))
    return inverse


def rms_norm(unit: Unit, x: Matrix, gain: Matrix, result: Matrix, *, epsilon: float = 1e-6) -> Plan:
    """x gain / sqrt(mean of x^2 + epsilon), in each row; ``gain`` is one row."""

    def write(code: Code) -> None:
        with code.loop(0):
            total = code.keep()
            code.set(total, Op.COPY, 0.0)
            with code.loop(1):
                code.set(total, Op.MULTIPLY_ADD, stream(0), stream(0), total)
            packed = fold(code, Op.ADD, total, into=code.keep())
            inverse = code.keep()
            with code.rows():
                mean = code(Op.MULTIPLY_ADD, packed, parameter(0), parameter(1))
                code.set(inverse, Op.COPY, FUNCTIONS["rsqrt"](code, mean))
            with code.loop(1):
                code.put(4, Op.MULTIPLY, code(Op.MULTIPLY, stream(0), inverse.spread), stream(1))

    lanes = unit.lanes
    plan = written(unit, "rms_norm", write, operations=3 * x.rows * x.columns)

    def streams(part: Blocks) -> list[SetStream]:
        return [
            walk(0, x, part, lanes, passes=2),
            each_row(1, gain, part, lanes),
            walk(4, result, part, lanes),
        ]

    return _run(plan, x, streams, (word_of(1 / x.columns), word_of(epsilon)))


def layer_norm(unit: Unit, x: Matrix, gain: Matrix, bias: Matrix, result: Matrix, *, epsilon: float = 1e-5) -> Plan:
    """(x - mean) gain / sqrt(variance + epsilon) + bias, in each row; ``gain`` and ``bias`` are one row each.

    The variance is the mean of (x - mean)^2, in a pass of its own; lanes beyond the last column add nothing to it.
    """

    def write(code: Code) -> None:
        with code.loop(0):
            packed = fold(code, Op.ADD, accumulate(code, Op.ADD, 0.0, stream(0), loop=1), into=code.keep())
            mean = code.keep()
            with code.rows():
                code.set(mean, Op.MULTIPLY, packed, parameter(0))
            total = code.keep()
            code.set(total, Op.COPY, 0.0)
            with code.loop(1):
                apart = code(Op.SUBTRACT, stream(0), mean.spread)
                if ragged:
                    apart = code(Op.SELECT, code(Op.LESS_INTEGER, INDEX, parameter(2)), apart, 0)
                code.set(total, Op.MULTIPLY_ADD, apart, apart, total)
            spread = fold(code, Op.ADD, total, into=code.keep())
            inverse = code.keep()
            with code.rows():
                variance = code(Op.MULTIPLY_ADD, spread, parameter(0), parameter(1))
                code.set(inverse, Op.COPY, FUNCTIONS["rsqrt"](code, variance))
            with code.loop(1):
                apart = code(Op.SUBTRACT, stream(0), mean.spread)
                scaled = code(Op.MULTIPLY, apart, inverse.spread)
                code.put(4, Op.MULTIPLY_ADD, scaled, stream(1), stream(2))

    lanes = unit.lanes
    ragged = bool(x.columns % lanes)
    plan = written(unit, "layer_norm", write, operations=6 * x.rows * x.columns)

    def streams(part: Blocks) -> list[SetStream]:
        return [
            walk(0, x, part, lanes, passes=3),
            each_row(1, gain, part, lanes),
            each_row(2, bias, part, lanes),
            walk(4, result, part, lanes),
        ]

    return _run(plan, x, streams, (word_of(1 / x.columns), word_of(epsilon), x.columns))


def cross_entropy(
    unit: Unit, x: Matrix, labels: Matrix, powers: Matrix, losses: Matrix, gradient: Matrix, *, scale: float
) -> Plan:
    """ln(sum of e^x) - x[label] of each row, and its gradient times ``scale``: (softmax - one at the label) scale.

    ``labels`` are int32, one row with an element for each row of x, as ``losses``; ``powers`` as for `softmax`.
    """

    def write(code: Code) -> None:
        with code.loop(0):
            top = fold(code, Op.MAXIMUM, accumulate(code, Op.MAXIMUM, MINUS_INFINITY, stream(0), loop=1))
            label, picked, total = code.keep(), code.keep(), code.keep()
            code.set(label, Op.COPY, stream(3))
            code.set(picked, Op.COPY, 0.0)
            code.set(total, Op.COPY, 0.0)
            with code.loop(1):
                apart = code(Op.SUBTRACT, stream(0), top)
                hit = code(Op.EQUAL_INTEGER, INDEX, label)
                code.set(picked, Op.SELECT, hit, apart, picked)
                power = FUNCTIONS["exp"](code, apart)
                code.store(5, power)
                code.set(total, Op.ADD, total, power)
            packed = fold(code, Op.ADD, total, into=code.keep())
            chosen = fold(code, Op.ADD, picked, into=code.keep())
            inverse = code.keep()
            with code.rows():
                code.set(inverse, Op.MULTIPLY, FUNCTIONS["reciprocal"](code, code(Op.COPY, packed)), parameter(0))
                code.put(6, Op.SUBTRACT, FUNCTIONS["log"](code, code(Op.COPY, packed)), chosen)
            code.free(1)
            with code.loop(1):
                hit = code(Op.EQUAL_INTEGER, INDEX, label)
                part = code(Op.SELECT, hit, parameter(0), 0.0)
                share = code(Op.MULTIPLY, stream(1), inverse.spread)
                code.put(4, Op.SUBTRACT, share, part)

    lanes = unit.lanes
    plan = written(unit, "cross_entropy", write, operations=(8 + EXP) * x.rows * x.columns)

    def streams(part: Blocks) -> list[SetStream]:
        room = Blocks(first=0, rows=part.rows, groups=part.groups)
        column = Matrix(base=labels.base, rows=x.rows, columns=1, pitch=labels.element_bytes, format=labels.format)
        return [
            walk(0, x, part, lanes, passes=2, fill=FILL),
            _again(walk(1, powers, room, lanes, held=True)),
            each_column(3, column, part),
            walk(4, gradient, part, lanes),
            _again(walk(5, powers, room, lanes)),
            packed_column(6, losses, part, lanes),
        ]

    return _run(plan, x, streams, (word_of(scale),))
