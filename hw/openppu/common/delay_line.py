"""A delay that is a memory, not a chain of registers."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class DelayLine(wiring.Component):
    """Delays a value by a number of cycles that is an input, so that lines of all lengths are one module.

    The memory is not reset: after a reset ``o`` is meaningless for ``delay`` cycles, so what goes through must be
    accompanied by a valid bit elsewhere. Latency: ``delay`` cycles. Throughput: one value a cycle.

    Parameters
    ----------
    shape : ShapeLike
        What is delayed.
    most : int, at least 2
        The longest delay.

    Members
    -------
    now : In
        A counter that goes up by one each cycle and wraps; many lines share it. At least as wide as `time_bits` gives.
    delay : In
        Cycles from ``i`` to ``o``, 2 to ``most``. A constant for each use.
    i : In(shape)
    o : Out(shape)

    Raises
    ------
    ValueError
        If ``most`` is under 2.
    """

    LEAST = 2

    def __init__(self, shape, *, most: int):
        if most < self.LEAST:
            raise ValueError(f"DelayLine most = {most}: a memory's delay is at least {self.LEAST}")
        self.shape = shape
        self.most = most
        self.time_bits = (most - 1).bit_length()
        super().__init__({"now": In(self.time_bits), "delay": In(range(most + 1)), "i": In(shape), "o": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=self.shape, depth=1 << self.time_bits, init=[])
        write = store.write_port()
        read = store.read_port()
        age = Signal(self.time_bits)
        m.d.comb += [
            write.addr.eq(self.now),
            write.data.eq(self.i),
            write.en.eq(1),
            # What is read now is out in the next cycle.
            age.eq(self.delay - 1),
            read.addr.eq(self.now - age),
            self.o.eq(read.data),
        ]
        return m
