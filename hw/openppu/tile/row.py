"""One row of the systolic array."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.formats.operand import formats_named, operand_layout
from openppu.tile.cell import Cell


def row_control_layout(config: TileConfig) -> data.StructLayout:
    """What runs down the left edge: ``swap`` with a block's first activation, ``load`` with a weight for the row that
    is ``distance`` rows further down."""
    return data.StructLayout({"swap": 1, "load": 1, "distance": range(config.rows)})


class Row(wiring.Component):
    """C cells side by side, and the control of the row at their left.

    Latency: ``config.latency`` cycles down for ``swap`` and the partial sums, `Cell.weight_latency` for weights and
    their ``load``; lane c of a vector is one cycle later than lane c - 1. Throughput: one of each a cycle.

    Nothing here or in the cells is reset. What was in flight at a reset runs out ahead of all that comes after it: at
    worst it loads a weight that the next block replaces before its own swap, and no sum of it is written back.

    Members
    -------
    activation : In(operand_layout)
        The row's activation.
    control, control_next : In, Out(row_control_layout)
        ``swap`` accompanies an activation, ``load`` lane 0 of a row of weights.
    weights, weights_next : In, Out(C operands, lane 0 in the low bits)
    partials, partials_next : In, Out(C x 32, likewise)
    """

    def __init__(self, config: TileConfig):
        self.config = config
        operand = operand_layout(formats_named(config.formats))
        control = row_control_layout(config)
        # Plain vectors: with a layout, Amaranth would name every field of every lane of every row.
        weights = operand.size * config.columns
        partials = 32 * config.columns
        super().__init__(
            {
                "activation": In(operand),
                "control": In(control),
                "control_next": Out(control),
                "weights": In(weights),
                "weights_next": Out(weights),
                "partials": In(partials),
                "partials_next": Out(partials),
            }
        )

    def elaborate(self, platform):
        m = Module()

        down = Cell.weight_latency(self.config)
        arrived = Signal()
        m.d.comb += [
            arrived.eq(self.control.load & (self.control.distance == 0)),
            self.control_next.swap.eq(delayed(m, self.control.swap, self.config.latency, name="swap")),
            self.control_next.load.eq(delayed(m, self.control.load & ~arrived, down, name="load")),
            self.control_next.distance.eq(
                delayed(m, (self.control.distance - 1)[: len(self.control.distance)], down, name="distance")
            ),
        ]

        activation, swap, load = self.activation, self.control.swap, arrived
        cells = []
        for column in range(self.config.columns):
            cell = Cell(self.config)
            cells.append(cell)
            m.submodules[f"cell_{column}"] = shared(cell, platform)
            m.d.comb += [
                cell.activation.eq(activation),
                cell.swap.eq(swap),
                cell.load.eq(load),
                cell.weight.eq(self.weights.word_select(column, cell.weight.shape().size)),
                cell.partial.eq(self.partials.word_select(column, 32)),
            ]
            activation, swap, load = cell.activation_next, cell.swap_next, cell.load_next
        m.d.comb += self.weights_next.eq(Cat(cell.weight_next for cell in cells))
        m.d.comb += self.partials_next.eq(Cat(cell.partial_next for cell in cells))
        return m
