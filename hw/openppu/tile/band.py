"""A few rows of the systolic array."""

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.formats.operand import formats_named, operand_layout
from openppu.tile.row import Row, row_control_layout


class Band(wiring.Component):
    """``rows`` rows, one below the other, with the ports of one row but for R' activations.

    A level of hierarchy: an array of 128 rows is 16 bands of 8, so that neither module has hundreds of wide vectors.

    Latency: ``rows * config.latency`` cycles down. Throughput: a row a cycle.

    Members
    -------
    activations : In(rows operands)
        Lane r is ``r * latency`` cycles later than lane 0.
    control, weights, partials and their ``_next`` : In, Out
        As in `Row`.
    """

    def __init__(self, config: TileConfig, *, rows: int):
        self.config = config
        self.rows = rows
        operand = operand_layout(formats_named(config.formats)).size
        control = row_control_layout(config)
        super().__init__(
            {
                "activations": In(operand * rows),
                "control": In(control),
                "control_next": Out(control),
                "weights": In(operand * config.columns),
                "weights_next": Out(operand * config.columns),
                "partials": In(32 * config.columns),
                "partials_next": Out(32 * config.columns),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rows = [Row(self.config) for _ in range(self.rows)]
        for index, row in enumerate(rows):
            m.submodules[f"row_{index}"] = shared(row, platform)
        m.d.comb += Cat(row.activation for row in rows).eq(self.activations)
        chain(m, self, rows)
        return m


def chain(m: Module, outer: wiring.Component, parts: list) -> None:
    """Hangs ``parts`` (rows or bands) one below the other between the ports of ``outer``."""
    above = (outer.control, outer.weights, outer.partials)
    for part in parts:
        m.d.comb += [part.control.eq(above[0]), part.weights.eq(above[1]), part.partials.eq(above[2])]
        above = (part.control_next, part.weights_next, part.partials_next)
    m.d.comb += [
        outer.control_next.eq(above[0]),
        outer.weights_next.eq(above[1]),
        outer.partials_next.eq(above[2]),
    ]
