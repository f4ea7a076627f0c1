"""The systolic array: R rows of C cells."""

from amaranth import Cat, Module

from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.tile.band import Band, chain


class Array(Band):
    """All R rows, in bands of about the square root of R rows; ports and timing are a band's.

    Every input is a vector of lanes, lane 0 in the low bits, and skewed already: activation lane r is
    ``r * latency`` cycles later than lane 0, lane c of weights and partial sums c cycles. A partial sum enters 2 cycles
    after its activation.
    """

    def __init__(self, config: TileConfig):
        super().__init__(config, rows=config.rows)

    def elaborate(self, platform):
        m = Module()
        height = max(d for d in range(1, self.rows + 1) if self.rows % d == 0 and d * d <= self.rows)
        bands = [Band(self.config, rows=height) for _ in range(self.rows // height)]
        for index, band in enumerate(bands):
            m.submodules[f"band_{index}"] = shared(band, platform)
        m.d.comb += Cat(band.activations for band in bands).eq(self.activations)
        chain(m, self, bands)
        return m
