"""An element in another format."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.dma.layouts import INT32
from openppu.formats.binary32_to_int32 import Binary32ToInt32
from openppu.formats.int32_to_binary32 import Int32ToBinary32
from openppu.formats.narrow import Narrow
from openppu.formats.spec import BINARY32, INT8, Format
from openppu.formats.widen import Widen


class ConvertElement(wiring.Component):
    """To binary32, and from there; integers among themselves directly, those of 32 bits clamped to 8.

    Each step rounds to nearest, ties to even. What becomes an integer of 8 bits is an int32 first, then clamped.
    Latency: `LATENCY` cycles. Throughput: one element a cycle. No handshake and no reset.

    Parameters
    ----------
    formats : tuple of Format
        Float formats, beside binary32.

    Members
    -------
    bits : In(32)
        The element, in the low bits.
    source, target : In(3)
        Codes; int8, int32, binary32, or of ``formats``.
    saturate : In(1)
        OFP8's saturating mode.
    result : Out(32)
        In the low bits.
    """

    WIDENS = Int32ToBinary32.LATENCY
    NARROWS = Binary32ToInt32.LATENCY + 1
    LATENCY = WIDENS + NARROWS

    def __init__(self, *, formats: tuple[Format, ...]):
        self.formats = formats
        super().__init__({"bits": In(32), "source": In(3), "target": In(3), "saturate": In(1), "result": Out(32)})

    def elaborate(self, platform):
        m = Module()
        # To binary32.
        integer = Signal(signed(32))
        m.d.comb += integer.eq(Mux(self.source == INT8.code, self.bits[:8].as_signed(), self.bits.as_signed()))
        m.submodules.from_integer = from_integer = Int32ToBinary32()
        m.d.comb += from_integer.bits.eq(integer)
        source = delayed(m, self.source, self.WIDENS, name="source")
        target = delayed(m, self.target, self.WIDENS, name="target")
        saturate = delayed(m, self.saturate, self.WIDENS, name="saturate")
        kept = delayed(m, integer, self.WIDENS, name="kept")
        is_integer = Signal()
        middle = Signal(32)
        m.d.comb += is_integer.eq((source == INT8.code) | (source == INT32.code))
        widened = kept
        if self.formats:
            m.submodules.widen = widen = Widen(formats=self.formats)
            m.d.comb += [widen.bits.eq(self.bits), widen.format.eq(self.source)]
            late = delayed(m, widen.result, self.WIDENS - Widen.LATENCY, name="widened")
            widened = Mux(source == BINARY32.code, kept, late)
        m.d.comb += middle.eq(Mux(is_integer, from_integer.result, widened))

        # And from there.
        m.submodules.to_integer = to_integer = Binary32ToInt32()
        m.d.comb += to_integer.bits.eq(middle)
        before = self.NARROWS - 1
        whole = Signal(signed(32))
        m.d.comb += whole.eq(
            Mux(
                delayed(m, is_integer, before, name="is_integer"),
                delayed(m, kept, before, name="kept_on"),
                to_integer.result,
            )
        )
        goal = delayed(m, target, before, name="goal")
        high = whole[7:]
        clamped = Mux(high.all() | ~high.any(), whole[:8], Mux(whole < 0, 0x80, 0x7F))
        result = Signal(32, reset_less=True)
        other = delayed(m, middle, before, name="middle_on")
        if self.formats:
            m.submodules.narrow = narrow = Narrow(formats=self.formats)
            m.d.comb += [narrow.bits.eq(middle), narrow.format.eq(target), narrow.saturate.eq(saturate)]
            late = delayed(m, narrow.result, before - Narrow.LATENCY, name="narrowed")
            other = Mux(goal == BINARY32.code, other, late)
        m.d.sync += result.eq(Mux(goal == INT8.code, clamped, Mux(goal == INT32.code, whole, other)))
        m.d.comb += self.result.eq(result)
        return m
