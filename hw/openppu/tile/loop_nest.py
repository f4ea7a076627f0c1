"""Three nested loops over an operand buffer, a step a cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


def nest_layout(*, outer: int, middle: int, inner: int, address: int, context) -> data.StructLayout:
    """A loop nest: counts of the given widths (in bits), a base address and a stride for each loop.

    ``inner_last`` is the inner count in the last turn of the outer loop, ``start`` the place at which each turn of the
    outer loop starts. ``context`` comes back with every step.
    """
    return data.StructLayout(
        {
            "outer": outer,
            "middle": middle,
            "inner": inner,
            "inner_last": inner,
            "start": middle,
            "base": address,
            "outer_stride": address,
            "middle_stride": address,
            "inner_stride": address,
            "context": context,
        }
    )


def step_layout(nest: data.StructLayout) -> data.StructLayout:
    """One turn of the inner loop: its address, its index, and where in the nest it stands."""
    fields = {name: field.shape for name, field in nest}
    return data.StructLayout(
        {
            "address": fields["base"],
            "index": fields["inner"],
            "last_index": 1,
            "place": fields["middle"],
            "outer_first": 1,
            "outer_last": 1,
            "last": 1,
            "context": fields["context"],
        }
    )


class LoopNest(wiring.Component):
    """Walks loop nests, outermost loop first, one step a cycle and without a bubble between nests.

    Latency: a nest taken in one cycle offers its first step in the next. Throughput: one step a cycle.

    Parameters
    ----------
    nest : StructLayout
        Made by `nest_layout`. Counts are at least 1; addresses wrap.

    Members
    -------
    nests : In(stream)
    steps : Out(stream)
        ``place`` is ``start`` and the steps since the outer loop last turned, modulo its width.
    """

    def __init__(self, nest: data.StructLayout):
        self.nest = nest
        super().__init__({"nests": In(stream.Signature(nest)), "steps": Out(stream.Signature(step_layout(nest)))})

    def elaborate(self, platform):
        m = Module()
        nest = Signal(self.nest)
        step = self.steps.payload
        # Turns of each loop that are left, this one included; to count them down is quicker than to compare.
        outer = Signal.like(nest.outer)
        middle = Signal.like(nest.middle)
        inner = Signal.like(nest.inner)
        address = Signal.like(nest.base)
        middle_base = Signal.like(nest.base)
        outer_base = Signal.like(nest.base)
        index = Signal.like(nest.inner)
        place = Signal.like(nest.middle)

        # Whether this is a loop's last turn is known beforehand, for what follows from it to be in time. (Signals of
        # their own: a struct that depends on its own fields looks like a loop to simulators.)
        inner_last = Signal()
        middle_last = Signal()
        outer_last = Signal()
        outer_first = Signal()
        last = Signal()
        m.d.comb += [
            last.eq(inner_last & middle_last & outer_last),
            step.address.eq(address),
            step.index.eq(index),
            step.last_index.eq(inner_last),
            step.place.eq(place),
            step.outer_first.eq(outer_first),
            step.outer_last.eq(outer_last),
            step.last.eq(last),
            step.context.eq(nest.context),
        ]

        next_middle = Signal.like(nest.base)
        next_outer = Signal.like(nest.base)
        m.d.comb += next_middle.eq(middle_base + nest.middle_stride)
        m.d.comb += next_outer.eq(outer_base + nest.outer_stride)
        inner_again = Signal.like(nest.inner)
        inner_then = Signal.like(nest.inner)
        m.d.comb += inner_again.eq(Mux(outer_last, nest.inner_last, nest.inner))
        m.d.comb += inner_then.eq(Mux(outer == 2, nest.inner_last, nest.inner))
        with m.If(self.steps.ready):
            m.d.sync += [
                index.eq(index + 1),
                inner.eq(inner - 1),
                inner_last.eq(inner == 2),
                place.eq(place + 1),
                address.eq(address + nest.inner_stride),
            ]
            with m.If(inner_last):
                m.d.sync += [
                    index.eq(0),
                    inner.eq(inner_again),
                    inner_last.eq(inner_again == 1),
                    middle.eq(middle - 1),
                    middle_last.eq(middle == 2),
                    address.eq(next_middle),
                    middle_base.eq(next_middle),
                ]
                with m.If(middle_last):
                    m.d.sync += [
                        inner.eq(inner_then),
                        inner_last.eq(inner_then == 1),
                        middle.eq(nest.middle),
                        middle_last.eq(nest.middle == 1),
                        place.eq(nest.start),
                        outer.eq(outer - 1),
                        outer_last.eq(outer == 2),
                        outer_first.eq(0),
                        address.eq(next_outer),
                        middle_base.eq(next_outer),
                        outer_base.eq(next_outer),
                    ]

        first = self.nests.payload
        inner_first = Signal.like(nest.inner)
        m.d.comb += inner_first.eq(Mux(first.outer == 1, first.inner_last, first.inner))
        m.d.comb += self.nests.ready.eq(~self.steps.valid | (self.steps.ready & last))
        with m.If(self.nests.ready):
            m.d.sync += [
                self.steps.valid.eq(self.nests.valid),
                nest.eq(first),
                index.eq(0),
                inner.eq(inner_first),
                inner_last.eq(inner_first == 1),
                place.eq(first.start),
                middle.eq(first.middle),
                middle_last.eq(first.middle == 1),
                outer.eq(first.outer),
                outer_last.eq(first.outer == 1),
                outer_first.eq(1),
                address.eq(first.base),
                middle_base.eq(first.base),
                outer_base.eq(first.base),
            ]
        return m
