"""One cell of the systolic array: holds a weight, multiplies, adds."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.config import TileConfig
from openppu.formats.fused_add import FusedAdd
from openppu.formats.multiply import Multiply
from openppu.formats.operand import formats_named, operand_layout


class Cell(wiring.Component):
    """Multiplies each activation that passes by its weight and adds the product to the partial sum that passes.

    A second weight is loaded while the first one is in use; ``swap`` comes with the first activation of a block and
    puts it in force. Nothing in a cell stalls, and nothing needs a reset: what was in flight at a reset is never
    written back, and a stale ``load`` or ``swap`` stays ahead of all that comes after the reset.

    Latency: 1 cycle to the right (``activation``, ``swap``, ``load``); ``config.latency`` cycles down for the partial
    sum, which enters 2 cycles after its activation; `weight_latency` cycles down for weights. Throughput: one
    activation and one weight a cycle.

    Members
    -------
    activation, activation_next : In, Out(operand_layout)
        Activation from the left and to the right.
    swap, swap_next : In, Out(1)
        This activation is the first one to use the loaded weight.
    load, load_next : In, Out(1)
        The weight at the top is this cell's.
    weight, weight_next : In, Out(operand_layout)
        Weight from above and to below.
    partial, partial_next : In, Out(32)
        Partial sum from above and to below: binary32, or int32 for an integer activation.
    """

    PARTIAL_AFTER_ACTIVATION = 2

    def __init__(self, config: TileConfig):
        self.config = config
        self.formats = formats_named(config.formats)
        operand = operand_layout(self.formats)
        super().__init__(
            {
                "activation": In(operand),
                "activation_next": Out(operand),
                "swap": In(1),
                "swap_next": Out(1),
                "load": In(1),
                "load_next": Out(1),
                "weight": In(operand),
                "weight_next": Out(operand),
                "partial": In(32),
                "partial_next": Out(32),
            }
        )

    @staticmethod
    def weight_latency(config: TileConfig) -> int:
        """Cycles a weight takes down one cell: no less than a partial sum's less one, so that it cannot overtake the
        swap of the block before it."""
        return max(1, config.latency - 1)

    def elaborate(self, platform):
        m = Module()

        def later(value, name):
            register = Signal.like(value, name=name, reset_less=True)
            m.d.sync += register.eq(value)
            return register

        activation = later(self.activation, "activation_now")
        m.d.comb += [
            self.activation_next.eq(activation),
            self.swap_next.eq(later(self.swap, "swap_now")),
            self.load_next.eq(later(self.load, "load_now")),
        ]
        weight = self.weight
        for place in range(self.weight_latency(self.config)):
            weight = later(weight, f"weight_{place}")
        m.d.comb += self.weight_next.eq(weight)

        loaded = Signal.like(weight, reset_less=True)
        in_use = Signal.like(weight, reset_less=True)
        m.d.sync += loaded.eq(Mux(self.load, self.weight, loaded))
        m.d.sync += in_use.eq(Mux(self.swap, loaded, in_use))

        multiply = Multiply(formats=self.formats)
        m.submodules.multiply = shared(multiply, platform)
        m.d.comb += [multiply.a.eq(activation), multiply.b.eq(in_use)]
        if not self.config.has_float:
            total = (self.partial + multiply.product.significand.as_signed())[:32]
            m.d.comb += self.partial_next.eq(later(total, "total"))
            return m
        add = FusedAdd(width=multiply.width, integer=self.config.has_int, latency=self.config.latency)
        m.submodules.add = shared(add, platform)
        m.d.comb += [
            add.product.eq(multiply.product),
            add.addend.eq(self.partial),
            self.partial_next.eq(add.total),
        ]
        return m
