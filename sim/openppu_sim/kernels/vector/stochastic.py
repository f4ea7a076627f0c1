"""A plan that rounds to bf16 at random: up or down, with the chances that make the mean right.

Each lane of each row of a strip has a generator of its own (Marsaglia's xorshift with 13, 17, 5), which begins with a
hash of the seed and of its number, and gives 16 bits for each element. They are added below the last place of a bf16,
and what is there then is cut off.
"""

from openppu.vector.operation import Operation as Op

from openppu_sim.kernels.vector.code import INDEX, Code, Name, parameter, stream
from openppu_sim.kernels.vector.matrix import Matrix, blocks, chunks, walk
from openppu_sim.kernels.vector.plan import Plan, Unit, written

HASH = (0x85EBCA6B, 0xC2B2AE35)
"""The multipliers of MurmurHash3's last steps."""

GOLDEN = 0x9E3779B9
HIGH_HALF = 0xFFFF0000


def hashed(seed: int, part: int) -> int:
    """A run's word of the seed: each run begins with other numbers."""
    return (seed ^ part * GOLDEN) & 0xFFFFFFFF


def _begin(code: Code, strip_rows: int) -> Name:
    """The generators, before their first numbers."""
    state = code.keep()
    with code.rows(strip_rows):
        code.set(state, Op.COPY, -1)
        # Row r is the row before it and one more; the first comes from the last one, which is -1 yet.
        code.set(state, Op.ADD_INTEGER, state.shifted(strip_rows - 1), 1)
        code.set(state, Op.MULTIPLY_INTEGER, state, code.lanes)
        code.set(state, Op.ADD_INTEGER, state, INDEX)
        code.set(state, Op.MULTIPLY_INTEGER, state, GOLDEN)
        code.set(state, Op.EXCLUSIVE_OR, state, parameter(0))
        for shift, factor in zip((16, 13), HASH, strict=True):
            code.set(state, Op.EXCLUSIVE_OR, state, code(Op.SHIFT_RIGHT, state, shift))
            code.set(state, Op.MULTIPLY_INTEGER, state, factor)
        code.set(state, Op.EXCLUSIVE_OR, state, code(Op.SHIFT_RIGHT, state, 16))
        code.set(state, Op.OR, state, 1)  # of 0 comes nothing but 0
    return state


def round_stochastically(unit: Unit, x: Matrix, result: Matrix, *, seed: int) -> Plan:
    """x, of binary32, as bf16: the next one below or above, at random; infinities and NaNs as they are."""

    def write(code: Code) -> None:
        state = _begin(code, unit.strip_rows)
        with code.loop(0), code.loop(1):
            for operation, by in ((Op.SHIFT_LEFT, 13), (Op.SHIFT_RIGHT, 17), (Op.SHIFT_LEFT, 5)):
                code.set(state, Op.EXCLUSIVE_OR, state, code(operation, state, by))
            moved = code(Op.ADD_INTEGER, stream(0), code(Op.SHIFT_RIGHT, state, 16))
            code.put(4, Op.AND, moved, HIGH_HALF)

    plan = written(unit, "round_stochastically", write, operations=9 * x.rows * x.columns)
    for number, part in enumerate(blocks(x.rows, unit.strip_rows)):
        counts = (part.groups, chunks(x.columns, unit.lanes))
        streams = [walk(0, x, part, unit.lanes), walk(4, result, part, unit.lanes)]
        plan.run(streams, rows=part.rows, counts=counts, parameters=[hashed(seed, number)])
    return plan
