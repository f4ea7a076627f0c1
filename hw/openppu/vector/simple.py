"""The operations of a lane that need neither a multiplier nor a rounding."""

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.spec import BINARY32
from openppu.vector.operation import Operation
from openppu.vector.seeds import INDEX_BITS, SEED_BITS, reciprocal_seeds, root_seeds

TRUE = 0xFFFFFFFF


class Simple(wiring.Component):
    """Moves, comparisons, integer sums, bits, shifts, and the tables of first guesses.

    Latency: `LATENCY` cycles. Throughput: one operation a cycle. No handshake and no reset. Of operations that are not
    its own, ``result`` means nothing.

    Members
    -------
    operation : In(Operation)
    a, b, c : In(32)
    result : Out(32)
    """

    LATENCY = 2

    def __init__(self):
        super().__init__({"operation": In(Operation), "a": In(32), "b": In(32), "c": In(32), "result": Out(32)})

    def elaborate(self, platform):
        m = Module()
        a, b, c = self.a, self.b, self.c
        integer = Signal()
        m.d.comb += integer.eq(
            (self.operation == Operation.MINIMUM_INTEGER)
            | (self.operation == Operation.MAXIMUM_INTEGER)
            | (self.operation == Operation.EQUAL_INTEGER)
            | (self.operation == Operation.LESS_INTEGER)
        )

        # In the first cycle both numbers are compared, as integers whose order is that of the numbers; and what needs
        # no comparison is done.
        nan_a, nan_b, zeros = Signal(), Signal(), Signal()
        order_a, order_b = _order(m, a, integer, "order_a"), _order(m, b, integer, "order_b")
        m.d.comb += [
            nan_a.eq(~integer & (a[:-1] > BINARY32.infinity_bits)),
            nan_b.eq(~integer & (b[:-1] > BINARY32.infinity_bits)),
            zeros.eq(~integer & (a[:-1] == 0) & (b[:-1] == 0)),
        ]
        operation = Signal(Operation, reset_less=True)
        less, same, alike, nan = (Signal(name=n, reset_less=True) for n in ("less", "same", "alike", "nan"))
        kept_a, kept_b, early = (Signal(32, name=n, reset_less=True) for n in ("kept_a", "kept_b", "early"))
        m.d.sync += [
            operation.eq(self.operation),
            less.eq(order_a < order_b),
            same.eq(a == b),
            alike.eq((a == b) | zeros),
            nan.eq(nan_a | nan_b),
            kept_a.eq(a),
            kept_b.eq(b),
        ]
        reciprocals = Array(Const(seed, SEED_BITS + 1) for seed in reciprocal_seeds())
        roots = Array(Const(seed, SEED_BITS + 1) for seed in root_seeds())
        fraction = BINARY32.fraction_bits
        # The exponent's lowest bit is set in [1, 2) and not in [2, 4).
        root_index = Cat(a[fraction - (INDEX_BITS - 1) : fraction], ~a[fraction])
        with m.Switch(self.operation):
            for case, value in (
                (Operation.COPY, a),
                (Operation.ABSOLUTE, a[:-1]),
                (Operation.NEGATE, Cat(a[:-1], ~a[-1])),
                (Operation.COPY_SIGN, Cat(a[:-1], b[-1])),
                (Operation.SELECT, Mux(a[0], b, c)),
                (Operation.ADD_INTEGER, a + b),
                (Operation.SUBTRACT_INTEGER, a - b),
                (Operation.AND, a & b),
                (Operation.OR, a | b),
                (Operation.EXCLUSIVE_OR, a ^ b),
                (Operation.SHIFT_LEFT, a << b[:5]),
                (Operation.SHIFT_RIGHT, a >> b[:5]),
                (Operation.SHIFT_ARITHMETIC, a.as_signed() >> b[:5]),
                (Operation.RECIPROCAL_SEED, _seed(m, reciprocals[a[fraction - INDEX_BITS : fraction]], "reciprocal")),
                (Operation.ROOT_SEED, _seed(m, roots[root_index], "root")),
            ):
                with m.Case(case):
                    m.d.sync += early.eq(value)

        result = Signal(32, reset_less=True)
        m.d.comb += self.result.eq(result)
        m.d.sync += result.eq(early)
        with m.Switch(operation):
            for case, condition in (
                (Operation.EQUAL, alike & ~nan),
                (Operation.LESS, less & ~alike & ~nan),
                (Operation.LESS_EQUAL, (less | alike) & ~nan),
                (Operation.EQUAL_INTEGER, same),
                (Operation.LESS_INTEGER, less),
            ):
                with m.Case(case):
                    m.d.sync += result.eq(Mux(condition, TRUE, 0))
            with m.Case(Operation.MINIMUM, Operation.MINIMUM_INTEGER):
                m.d.sync += result.eq(Mux(nan, BINARY32.nan_bits, Mux(less, kept_a, kept_b)))
            with m.Case(Operation.MAXIMUM, Operation.MAXIMUM_INTEGER):
                m.d.sync += result.eq(Mux(nan, BINARY32.nan_bits, Mux(less, kept_b, kept_a)))
        return m


def _order(m, bits, integer, name):
    """A number whose order among others, as unsigned ones, is that of ``bits``; -0 comes before +0."""
    order = Signal(32, name=name)
    m.d.comb += order.eq(Mux(~integer & bits[-1], ~bits, Cat(bits[:-1], ~bits[-1])))
    return order


def _seed(m, seed, name):
    """A table's number, times 2**-9 and from 1/2 to 1, as binary32."""
    bits = Signal(32, name=f"{name}_seed")
    value = Signal(SEED_BITS + 1, name=f"{name}_table")
    # Normalised: one whole, or a leading one just behind the point.
    m.d.comb += [
        value.eq(seed),
        bits.eq(
            Mux(
                value[SEED_BITS],
                BINARY32.bias << BINARY32.fraction_bits,
                Cat(
                    Const(0, BINARY32.fraction_bits - (SEED_BITS - 1)),
                    value[: SEED_BITS - 1],
                    Const(BINARY32.bias - 1, 9),
                ),
            )
        ),
    ]
    return bits
