"""The systolic array: R rows of C cells."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.formats.operand import formats_named, operand_layout
from openppu.tile.row import Row, row_control_layout


class Array(wiring.Component):
    """R x C cells; every input is a vector of lanes, lane 0 in the low bits, and skewed already.

    Latency: R * ``config.latency`` cycles for partial sums. Throughput: a row of activations, a row of weights and a
    row of sums a cycle.

    Members
    -------
    activations : In(R operands)
        Lane r is ``r * latency`` cycles later than lane 0.
    control : In(row_control_layout)
        For row 0: ``swap`` accompanies activation lane 0, ``load`` weight lane 0.
    weights : In(C operands)
        Lane c is c cycles later than lane 0.
    partials, totals : In, Out(C x 32)
        Lane c is c cycles later than lane 0. A partial sum enters 2 cycles after its activation.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        operand = operand_layout(formats_named(config.formats))
        lanes = 32 * config.columns
        super().__init__(
            {
                "activations": In(operand.size * config.rows),
                "control": In(row_control_layout(config)),
                "weights": In(operand.size * config.columns),
                "partials": In(lanes),
                "totals": Out(lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control, weights, partials = self.control, self.weights, self.partials
        for index in range(self.config.rows):
            row = Row(self.config)
            m.submodules[f"row_{index}"] = shared(row, platform)
            m.d.comb += [
                row.activation.eq(self.activations.word_select(index, row.activation.shape().size)),
                row.control.eq(control),
                row.weights.eq(weights),
                row.partials.eq(partials),
            ]
            control, weights, partials = row.control_next, row.weights_next, row.partials_next
        m.d.comb += self.totals.eq(partials)
        return m
