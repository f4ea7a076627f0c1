"""What becomes of one column's sums on their way out."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.formats.narrow import Narrow
from openppu.formats.requantise import Requantise
from openppu.formats.spec import INT8
from openppu.matmul.position_random import PositionRandom
from openppu.matmul.sizes import COUNT_BITS, Sizes


def conversion_layout() -> data.StructLayout:
    """How sums are converted: negative ones to 0 first (``relu``), then nothing, or to the ``format``.

    ``scale`` is the seed of ``stochastic`` rounding, too; ``rows``: of the result.
    """
    return data.StructLayout(
        {
            "relu": 1,
            "convert": 1,
            "format": 3,
            "saturate": 1,
            "stochastic": 1,
            "is_integer": 1,
            "zero_point": signed(8),
            "scale": 32,
            "rows": COUNT_BITS,
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
    row, column : In(16)
        The sum's place in the result, if there is stochastic rounding.
    total : In(32)
    result : Out(32)
        In the low bits.
    """

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        super().__init__(
            {
                "how": In(conversion_layout()),
                **({"row": In(COUNT_BITS), "column": In(COUNT_BITS)} if sizes.stochastic else {}),
                "total": In(32),
                "result": Out(32),
            }
        )

    @staticmethod
    def latency(sizes: Sizes) -> int:
        """Cycles from ``total`` to ``result``."""
        to_float = Narrow.LATENCY + (PositionRandom.LATENCY if sizes.stochastic else 0)
        return 1 + max(to_float, Requantise.LATENCY if sizes.tile.has_int else 0)

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
            narrow = Narrow(formats=sizes.floats, stochastic=sizes.stochastic)
            m.submodules.narrow = shared(narrow, platform)
            wait = self._draw(m, platform, how, narrow) if sizes.stochastic else 0
            m.d.comb += [
                narrow.bits.eq(delayed(m, total, wait, name="total")),
                narrow.format.eq(delayed(m, how.format, wait, name="format")),
                narrow.saturate.eq(delayed(m, how.saturate, wait, name="saturate")),
            ]
            narrowed = delayed(m, narrow.result, inside - wait - Narrow.LATENCY, name="narrowed")
            result = Mux(converts, narrowed, result)
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

    def _draw(self, m, platform, how, narrow):
        """Random bits for the sum; the cycles that they take."""
        source = PositionRandom()
        m.submodules.source = shared(source, platform)
        row = Signal.like(self.row, reset_less=True)
        column = Signal.like(self.column, reset_less=True)
        m.d.sync += [row.eq(self.row), column.eq(self.column)]
        m.d.comb += [
            source.row.eq(row),
            source.column.eq(column),
            source.seed.eq(how.scale),
            narrow.random.eq(source.random),
            narrow.stochastic.eq(delayed(m, how.stochastic, source.LATENCY, name="stochastic")),
        ]
        return source.LATENCY
