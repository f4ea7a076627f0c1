"""Random bits that depend on a place and a seed alone."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

ROUNDS = 8
ROUNDS_A_CYCLE = 2


class PositionRandom(wiring.Component):
    """16 bits for each row and column of a matrix: whoever works it out, and in whatever order, gets the same ones.

    `ROUNDS` rounds of Speck32's round function (Beaulieu and others, "The SIMON and SPECK families of lightweight block
    ciphers", 2013) on row and column; the key of a round is the low half of the seed in even rounds, else the high one,
    with the round's number added modulo 2. Latency: `LATENCY` cycles. Throughput: a place a cycle.

    Members
    -------
    row, column : In(16)
    seed : In(32)
    random : Out(16)
    """

    LATENCY = ROUNDS // ROUNDS_A_CYCLE

    def __init__(self):
        super().__init__({"row": In(16), "column": In(16), "seed": In(32), "random": Out(16)})

    def elaborate(self, platform):
        m = Module()
        x, y, seed = self.row, self.column, self.seed
        for number in range(ROUNDS):
            mixed = Signal(16, name=f"mixed_{number}")
            other = Signal(16, name=f"other_{number}")
            key = seed[16:] if number % 2 else seed[:16]
            m.d.comb += [mixed.eq((x.rotate_right(7) + y) ^ key ^ number), other.eq(y.rotate_left(2) ^ mixed)]
            x, y = mixed, other
            if number % ROUNDS_A_CYCLE == ROUNDS_A_CYCLE - 1:
                held = [
                    Signal.like(value, name=f"{name}_{number}", reset_less=True)
                    for name, value in (("x", x), ("y", y), ("seed", seed))
                ]
                m.d.sync += [register.eq(value) for register, value in zip(held, (x, y, seed), strict=True)]
                x, y, seed = held
        m.d.comb += self.random.eq(x)
        return m
