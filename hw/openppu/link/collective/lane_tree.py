"""One lane of a reduction unit: the sum of all operands, as a tree of neighbours, rounded as it leaves."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.formats.narrow import Narrow
from openppu.formats.spec import BF16
from openppu.link.collective.lane_add import LaneAdd


def latency(operands: int) -> int:
    """Cycles from the operands of a tree to its total."""
    return (operands.bit_length() - 1) * LaneAdd.LATENCY + Narrow.LATENCY


class LaneTree(wiring.Component):
    """``(o[0] + o[1]) + (o[2] + o[3])``, or ``o[0] + o[1]``. Throughput: one sum a cycle. No handshake and no reset.

    Parameters
    ----------
    operands : int
        2 or 4.

    Members
    -------
    operands : In(32), array
    int32 : In(1)
        As `LaneAdd` has it.
    narrow : In(1)
        The sum is rounded to bf16, in the lower half; with ``int32`` the sum's upper half, as it is.
    total : Out(32)
    """

    def __init__(self, operands: int):
        if operands not in (2, 4):
            raise ValueError(f"LaneTree operands = {operands}: give 2 or 4")
        self.count = operands
        super().__init__({"operands": In(32).array(operands), "int32": In(1), "narrow": In(1), "total": Out(32)})

    @property
    def latency(self) -> int:
        """Cycles from the operands to the total."""
        return latency(self.count)

    def elaborate(self, platform):
        m = Module()
        level = list(self.operands)
        integer = self.int32
        while len(level) > 1:
            sums = []
            for place in range(0, len(level), 2):
                adder = LaneAdd()
                m.submodules[f"add_{len(level)}_{place}"] = shared(adder, platform)
                m.d.comb += [adder.a.eq(level[place]), adder.b.eq(level[place + 1]), adder.int32.eq(integer)]
                sums.append(adder.total)
            integer = delayed(m, integer, LaneAdd.LATENCY, name=f"integer_{len(level)}")
            level = sums
        m.submodules.round = narrow = Narrow(formats=(BF16,))
        raw = Signal(32)
        m.d.comb += [raw.eq(level[0]), narrow.bits.eq(raw), narrow.format.eq(BF16.code)]
        raw = delayed(m, raw, Narrow.LATENCY, name="raw")
        integer = delayed(m, integer, Narrow.LATENCY, name="int32")
        is_narrow = delayed(m, self.narrow, self.latency, name="is_narrow")
        half = Mux(integer, raw[16:], narrow.result)
        m.d.comb += self.total.eq(Mux(is_narrow, half, raw))
        return m
