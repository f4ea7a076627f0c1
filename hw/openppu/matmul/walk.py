"""Four nested loops over a matrix in the scratchpad, a step a cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.matmul.sizes import ADDRESS_BITS


def nest_layout(*, count: int, context) -> data.StructLayout:
    """A loop nest: turns of each loop (``count`` bits), a base address and a stride for each, in bytes.

    The inner loop has ``short`` turns instead of ``inner`` while the outer loop is in its last turn, or, with
    ``short_in_middle``, while the middle one is. ``context`` comes back with every step.
    """
    counts = ("outer", "middle", "third", "inner", "short")
    addresses = ("base", "outer_stride", "middle_stride", "third_stride", "inner_stride")
    return data.StructLayout(
        {name: count for name in counts}
        | {name: ADDRESS_BITS for name in addresses}
        | {"short_in_middle": 1, "context": context}
    )


def step_layout(nest: data.StructLayout) -> data.StructLayout:
    """One turn of the inner loop: its address, its index, and in which loops it stands at the end."""
    return data.StructLayout(
        {
            "address": ADDRESS_BITS,
            "index": nest["inner"].shape,
            "inner_last": 1,
            "third_last": 1,
            "middle_last": 1,
            "outer_last": 1,
            "last": 1,
            "context": nest["context"].shape,
        }
    )


class Walk(wiring.Component):
    """Walks loop nests, outermost loop first, one step a cycle and without a bubble between nests.

    Latency: a nest taken in one cycle offers its first step in the next. Throughput: one step a cycle.

    Parameters
    ----------
    nest : StructLayout
        Made by `nest_layout`. Counts are at least 1; addresses wrap.

    Members
    -------
    nests : In(stream)
    steps : Out(stream of step_layout)
        ``last``: of its nest.
    """

    def __init__(self, nest: data.StructLayout):
        self.nest = nest
        super().__init__({"nests": In(stream.Signature(nest)), "steps": Out(stream.Signature(step_layout(nest)))})

    def elaborate(self, platform):
        m = Module()
        nest = Signal(self.nest)
        step = self.steps.payload
        # Turns of each loop that are left, this one included.
        outer, middle, third, inner = (
            Signal.like(nest.outer, name=name) for name in ("outer", "middle", "third", "inner")
        )
        address, third_base, middle_base, outer_base = (
            Signal(ADDRESS_BITS, name=name) for name in ("address", "third_base", "middle_base", "outer_base")
        )
        index = Signal.like(nest.inner)
        inner_last, third_last, middle_last, outer_last = (
            Signal(name=f"{name}_last") for name in ("inner", "third", "middle", "outer")
        )
        last = Signal()
        m.d.comb += [
            inner_last.eq(inner == 1),
            third_last.eq(third == 1),
            middle_last.eq(middle == 1),
            outer_last.eq(outer == 1),
            last.eq(inner_last & third_last & middle_last & outer_last),
            step.address.eq(address),
            step.index.eq(index),
            step.inner_last.eq(inner_last),
            step.third_last.eq(third_last),
            step.middle_last.eq(middle_last),
            step.outer_last.eq(outer_last),
            step.last.eq(last),
            step.context.eq(nest.context),
        ]

        # What the inner loop runs to next, for the turns of the loops around it that come next.
        next_outer = Signal.like(nest.outer)
        next_middle = Signal.like(nest.middle)
        inner_then = Signal.like(nest.inner)
        m.d.comb += [
            next_middle.eq(Mux(~third_last, middle, Mux(middle_last, nest.middle, middle - 1))),
            next_outer.eq(outer - (third_last & middle_last)),
            inner_then.eq(Mux(Mux(nest.short_in_middle, next_middle == 1, next_outer == 1), nest.short, nest.inner)),
        ]
        next_third_base = Signal(ADDRESS_BITS)
        next_middle_base = Signal(ADDRESS_BITS)
        next_outer_base = Signal(ADDRESS_BITS)
        m.d.comb += [
            next_third_base.eq(third_base + nest.third_stride),
            next_middle_base.eq(middle_base + nest.middle_stride),
            next_outer_base.eq(outer_base + nest.outer_stride),
        ]
        with m.If(self.steps.ready):
            with m.If(~inner_last):
                m.d.sync += [index.eq(index + 1), inner.eq(inner - 1), address.eq(address + nest.inner_stride)]
            with m.Else():
                m.d.sync += [index.eq(0), inner.eq(inner_then), middle.eq(next_middle), outer.eq(next_outer)]
                with m.If(~third_last):
                    m.d.sync += [third.eq(third - 1), address.eq(next_third_base), third_base.eq(next_third_base)]
                with m.Else():
                    m.d.sync += third.eq(nest.third)
                    base = Mux(middle_last, next_outer_base, next_middle_base)
                    m.d.sync += [address.eq(base), third_base.eq(base), middle_base.eq(base)]
                    with m.If(middle_last):
                        m.d.sync += outer_base.eq(next_outer_base)

        first = self.nests.payload
        starts_short = Signal()
        m.d.comb += [
            starts_short.eq(Mux(first.short_in_middle, first.middle == 1, first.outer == 1)),
            self.nests.ready.eq(~self.steps.valid | (self.steps.ready & last)),
        ]
        with m.If(self.nests.ready):
            m.d.sync += [
                self.steps.valid.eq(self.nests.valid),
                nest.eq(first),
                index.eq(0),
                inner.eq(Mux(starts_short, first.short, first.inner)),
                third.eq(first.third),
                middle.eq(first.middle),
                outer.eq(first.outer),
                address.eq(first.base),
                third_base.eq(first.base),
                middle_base.eq(first.base),
                outer_base.eq(first.base),
            ]
        return m
