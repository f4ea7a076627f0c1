"""The addresses of a stream, one after the other."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.vector.command import ADDRESS_BITS, COUNT_BITS, DIMENSIONS, pattern_layout

BLOCK_DIMENSIONS = 2
"""A held stream waits before each of its blocks: all elements of the inner two dimensions."""

RELEASE_BITS = 16


class Pattern(wiring.Component):
    """Walks over base + the sum of index x stride of all dimensions, the innermost first; then it begins again.

    Latency: ``address`` is there in the cycle after ``restart`` or ``step``; a held pattern is ``available`` two cycles
    after its ``free``. Throughput: a step a cycle. Not for use: ``step`` without ``available``.

    Members
    -------
    settings : In(pattern_layout)
        Kept when ``set`` is high.
    set : In(1)
    kept : Out(pattern_layout)
    restart : In(1)
        To the first element. Releases that were not used are forgotten.
    free : In(1)
        One more block may be begun, if the pattern is held.
    step : In(1)
        To the next element.
    available : Out(1)
        The element may be used.
    stalled : Out(1)
        It may not, and will not be before a release.
    address : Out(24)
        Of its first byte.
    tail : Out(1)
        Only the first ``tail`` lanes of it count.
    """

    def __init__(self):
        super().__init__(
            {
                "settings": In(pattern_layout()),
                "set": In(1),
                "kept": Out(pattern_layout()),
                "restart": In(1),
                "free": In(1),
                "step": In(1),
                "available": Out(1),
                "stalled": Out(1),
                "address": Out(ADDRESS_BITS),
                "tail": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kept = self.kept
        with m.If(self.set):
            m.d.sync += kept.eq(self.settings)

        # `points` are where each dimension's round began: an element's address is that of the innermost.
        points = [Signal(ADDRESS_BITS, name=f"point_{d}") for d in range(DIMENSIONS)]
        indices = [Signal(COUNT_BITS, name=f"index_{d}") for d in range(DIMENSIONS)]
        last = Signal(DIMENSIONS)
        m.d.comb += last.eq(Cat(indices[d] + 1 == kept[f"count_{d}"] for d in range(DIMENSIONS)))
        from_point, stride, onward = (Signal(ADDRESS_BITS, name=n) for n in ("from_point", "stride", "onward"))
        # The dimension that goes on: all below it are at their ends.
        moved = Signal(DIMENSIONS)
        m.d.comb += [
            from_point.eq(kept.base),
            onward.eq(from_point + stride),
            moved.eq(Cat(Const(1, 1), *(last[:d].all() for d in range(1, DIMENSIONS)))),
        ]
        for d in reversed(range(DIMENSIONS)):
            with m.If(moved[d] & ~last[d]):
                m.d.comb += [from_point.eq(points[d]), stride.eq(kept[f"stride_{d}"])]

        waits = Signal(init=1)
        releases = Signal(RELEASE_BITS)
        crosses = Signal()
        m.d.comb += [
            crosses.eq(last[:BLOCK_DIMENSIONS].all()),
            self.available.eq(~waits),
            self.stalled.eq(waits & (releases == 0) & ~self.free),
            self.address.eq(points[0]),
            self.tail.eq((kept.tail != 0) & last.bit_select(kept.tail_dimension, 1)),
        ]
        with m.If(self.step):
            for d in range(DIMENSIONS):
                with m.If(moved[d]):
                    m.d.sync += [points[d].eq(onward), indices[d].eq(Mux(last[d], 0, indices[d] + 1))]
                with m.If(last.all()):
                    m.d.sync += points[d].eq(kept.base)
        used = Signal()
        m.d.comb += used.eq(waits & (releases != 0))
        with m.If(self.step & crosses & kept.held):
            m.d.sync += waits.eq(1)
        with m.Elif(used):
            m.d.sync += waits.eq(0)
        with m.If(self.free & ~used & ~releases.all()):
            m.d.sync += releases.eq(releases + 1)
        with m.Elif(used & ~self.free):
            m.d.sync += releases.eq(releases - 1)
        with m.If(self.restart):
            m.d.sync += [
                *(point.eq(kept.base) for point in points),
                *(index.eq(0) for index in indices),
                waits.eq(kept.held),
                releases.eq(0),
            ]
        return m
