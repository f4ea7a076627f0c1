"""Semaphores that other chips signal."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import MOST_DATA_BYTES

VALUE_BITS = 32


class Semaphores(wiring.Component):
    """Counters that are raised from outside and lowered by the chip, modulo 2**32.

    Latency: 1 cycle. Both may happen to one in the same cycle.

    Parameters
    ----------
    count : int, at least 1

    Members
    -------
    signal : In(struct valid, index, amount)
        Raises one by ``amount`` + 1.
    lower : In(struct valid, index, amount)
        Lowers one by ``amount``.
    values : Out(VALUE_BITS), array
    """

    def __init__(self, count: int):
        if count < 1:
            raise ValueError(f"Semaphores count = {count}: give at least 1")
        self.count = count
        super().__init__(
            {
                "signal": In(self.signal_layout(count)),
                "lower": In(self.lower_layout(count)),
                "values": Out(VALUE_BITS).array(count),
            }
        )

    @staticmethod
    def signal_layout(count: int) -> data.StructLayout:
        """What ``signal`` is."""
        return data.StructLayout({"valid": 1, "index": range(count), "amount": range(MOST_DATA_BYTES)})

    @staticmethod
    def lower_layout(count: int) -> data.StructLayout:
        """What ``lower`` is."""
        return data.StructLayout({"valid": 1, "index": range(count), "amount": VALUE_BITS})

    def elaborate(self, platform):
        m = Module()
        for index, value in enumerate(self.values):
            raised = Signal(VALUE_BITS, name=f"raised_{index}")
            lowered = Signal(VALUE_BITS, name=f"lowered_{index}")
            m.d.comb += [
                raised.eq(Mux(self.signal.valid & (self.signal.index == index), self.signal.amount + 1, 0)),
                lowered.eq(Mux(self.lower.valid & (self.lower.index == index), self.lower.amount, 0)),
            ]
            m.d.sync += value.eq(value + raised - lowered)
        return m
