"""One lane of a reduction: a sum of binary32 or of int32."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.formats.add32 import Add32


class LaneAdd(wiring.Component):
    """``a + b``: of binary32 as `Add32` has it, or modulo 2**32. Latency: `LATENCY` cycles. Throughput: one a cycle. No
    handshake and no reset.

    Members
    -------
    a, b : In(32)
    int32 : In(1)
    total : Out(32)
    """

    LATENCY = Add32.LATENCY

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "int32": In(1), "total": Out(32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.add = add = Add32()
        whole = Signal(32, reset_less=True)
        m.d.sync += whole.eq(self.a + self.b)
        integer = delayed(m, self.int32, self.LATENCY, name="int32")
        m.d.comb += [
            add.a.eq(self.a),
            add.b.eq(self.b),
            self.total.eq(Mux(integer, delayed(m, whole, self.LATENCY - 1, name="whole"), add.total)),
        ]
        return m
