"""How others read the tile's accumulators."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.config import TileConfig


class AccumulatorPort(wiring.Signature):
    """The accumulators, seen from who reads them; they take nothing from the tile, and never wait.

    A row that was collected in one cycle can be read from the next.

    Members
    -------
    read, row : Out(1), Out
        Read this row of accumulators now.
    sums : In(array of C x 32)
        What it holds, one cycle later; kept while ``read`` is low.
    """

    def __init__(self, config: TileConfig):
        super().__init__(
            {
                "read": Out(1),
                "row": Out(config.accumulator_bits),
                "sums": In(data.ArrayLayout(32, config.columns)),
            }
        )
