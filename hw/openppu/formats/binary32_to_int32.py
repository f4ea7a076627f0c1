"""From binary32 to integers."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.formats.spec import BINARY32

INTEGER_BITS = 32
BELOW_BITS = 24
"""Places kept below the integer's: the significand of a number just under 1."""


class Binary32ToInt32(wiring.Component):
    """Rounds a binary32 number to the nearest int32, ties to even.

    Numbers out of range, and infinities, give -2**31 or 2**31 - 1; NaN gives 0. Latency: `LATENCY` cycles. Throughput:
    one number a cycle. No handshake and no reset.

    Members
    -------
    bits : In(32)
        The binary32 number.
    result : Out(32)
        The int32.
    """

    LATENCY = 2

    def __init__(self):
        super().__init__({"bits": In(32), "result": Out(32)})

    def elaborate(self, platform):
        m = Module()
        fraction = self.bits[: BINARY32.fraction_bits]
        field = self.bits[BINARY32.fraction_bits : -1]

        # Moved right from where the leading one is worth 2**31; what is less than 1/2 rounds to 0.
        top = BINARY32.bias + INTEGER_BITS - 1
        start = Cat(Const(0, INTEGER_BITS + BELOW_BITS - BINARY32.fraction_bits - 1), fraction, field != 0)
        amount = Signal(9)
        small = Signal()
        moved = Signal(INTEGER_BITS + BELOW_BITS)
        m.d.comb += [
            amount.eq(top - field),
            small.eq(field < BINARY32.bias - 1),
            moved.eq(Mux(small, 0, start >> amount[:6])),
        ]
        magnitude = Signal(INTEGER_BITS, reset_less=True)
        half = Signal(reset_less=True)
        more = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        beyond = Signal(reset_less=True)
        nan = Signal(reset_less=True)
        m.d.sync += [
            magnitude.eq(moved[BELOW_BITS:]),
            half.eq(moved[BELOW_BITS - 1]),
            more.eq(moved[: BELOW_BITS - 1].any()),
            negative.eq(self.bits[-1]),
            beyond.eq(field >= top),
            nan.eq(field.all() & (fraction != 0)),
        ]

        # -(magnitude + 1) is ~magnitude, and -magnitude is ~magnitude + 1.
        up = Signal()
        rounded = Signal(INTEGER_BITS)
        limit = Cat((~negative).replicate(INTEGER_BITS - 1), negative)
        result = Signal(INTEGER_BITS, reset_less=True)
        m.d.comb += [
            up.eq(half & (more | magnitude[0])),
            rounded.eq((magnitude ^ negative.replicate(INTEGER_BITS)) + (up ^ negative)),
            self.result.eq(result),
        ]
        m.d.sync += result.eq(Mux(nan, 0, Mux(beyond, limit, rounded)))
        return m
