"""What becomes of one column's sums on their way out."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.formats.narrow import Narrow
from openppu.formats.requantise import Requantise
from openppu.formats.spec import INT8
from openppu.matmul.sizes import Sizes


def conversion_layout() -> data.StructLayout:
    """How sums are converted: negative ones to 0 first (``relu``), then nothing, or to the ``format``."""
    return data.StructLayout(
        {
            "relu": 1,
            "convert": 1,
            "format": 3,
            "saturate": 1,
            "is_integer": 1,
            "zero_point": signed(8),
            "scale": 32,
        }
    )


class Convert(wiring.Component):
    """Converts one sum. Latency: `latency` cycles, whatever is done. Throughput: a sum a cycle. No handshake, no reset.

    Parameters
    ----------
    sizes : Sizes
        int8 results need int8, and float results a float format, among the tile's formats.

    Members
    -------
    how : In(conversion_layout)
    total : In(32)
    result : Out(32)
        In the low bits.
    """

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        super().__init__({"how": In(conversion_layout()), "total": In(32), "result": Out(32)})

    @staticmethod
    def latency(sizes: Sizes) -> int:
        """Cycles from ``total`` to ``result``."""
        return 1 + (Requantise.LATENCY if sizes.tile.has_int else Narrow.LATENCY)

    def elaborate(self, platform):
        m = Module()
        sizes = self.sizes
        how = Signal(conversion_layout(), reset_less=True)
        total = Signal(32, reset_less=True)
        # The sign bit says it for either kind of number; NaNs are positive.
        m.d.sync += [how.eq(self.how), total.eq(Mux(self.how.relu & self.total[-1], 0, self.total))]
        inside = self.latency(sizes) - 1
        result = delayed(m, total, inside, name="as_it_is")
        converts = delayed(m, how.convert, inside, name="converts")
        if sizes.tile.has_float:
            narrow = Narrow(formats=sizes.floats)
            m.submodules.narrow = shared(narrow, platform)
            m.d.comb += [
                narrow.bits.eq(total),
                narrow.format.eq(how.format),
                narrow.saturate.eq(how.saturate),
            ]
            result = Mux(converts, delayed(m, narrow.result, inside - Narrow.LATENCY, name="narrowed"), result)
        if sizes.tile.has_int:
            requantise = Requantise()
            m.submodules.requantise = shared(requantise, platform)
            to_int8 = Signal()
            m.d.comb += [
                requantise.bits.eq(total),
                requantise.is_integer.eq(how.is_integer),
                requantise.scale.eq(how.scale),
                requantise.zero_point.eq(how.zero_point),
                to_int8.eq(how.convert & (how.format == INT8.code)),
            ]
            result = Mux(delayed(m, to_int8, inside, name="to_int8"), requantise.result.as_unsigned(), result)
        m.d.comb += self.result.eq(result)
        return m
