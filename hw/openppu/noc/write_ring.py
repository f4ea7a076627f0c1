"""Knows when all pieces of a write have been taken in."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import acknowledge_layout
from openppu.noc.cutter import MOST_PIECES
from openppu.noc.plan import Plan


def write_layout(plan: Plan) -> data.StructLayout:
    """A write that begins: in how many pieces."""
    return data.StructLayout({"pieces": range(MOST_PIECES + 1), "tag": range(plan.tags)})


def done_layout(plan: Plan) -> data.StructLayout:
    """A piece of a write was taken in, or nothing of it was (``error``)."""
    return data.StructLayout({"valid": 1, "index": range(plan.noc.writes), "error": 1})


class WriteRing(wiring.Component):
    """Counts the pieces of each write that are not taken in, and acknowledges the writes in their order.

    Latency: 1 cycle from a write's last piece to its acknowledge. Throughput: a write a cycle.

    Parameters
    ----------
    plan : Plan

    Members
    -------
    begins : In(stream of write_layout)
        Ready while there is room for one more.
    index : Out(range(plan.noc.writes))
        Of the next.
    done : In(done_layout), array of two
        Never of the same write in the same cycle.
    acknowledges : Out(stream of `openppu.common.memory.acknowledge_layout`)
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        super().__init__(
            {
                "begins": In(stream.Signature(write_layout(plan))),
                "index": Out(range(plan.noc.writes)),
                "done": In(done_layout(plan)).array(2),
                "acknowledges": Out(stream.Signature(acknowledge_layout(plan.tags))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        plan, count = self.plan, self.plan.noc.writes
        head, tail, open_writes = Signal(range(count)), Signal(range(count)), Signal(range(count + 1))
        begins, ends = Signal(), Signal()
        left = [Signal(range(MOST_PIECES + 1), name=f"left_{index}") for index in range(count)]
        failed = [Signal(name=f"failed_{index}") for index in range(count)]
        tags = [Signal(range(plan.tags), name=f"tag_{index}", reset_less=True) for index in range(count)]
        m.d.comb += [
            self.begins.ready.eq(open_writes != count),
            self.index.eq(tail),
            begins.eq(self.begins.valid & self.begins.ready),
            self.acknowledges.valid.eq((open_writes != 0) & (Array(left)[head] == 0)),
            self.acknowledges.payload.tag.eq(Array(tags)[head]),
            self.acknowledges.payload.error.eq(Array(failed)[head]),
            ends.eq(self.acknowledges.valid & self.acknowledges.ready),
        ]
        m.d.sync += [
            open_writes.eq(open_writes + begins - ends),
            tail.eq(tail + begins),
            head.eq(head + ends),
        ]
        for index in range(count):
            starts = begins & (tail == index)
            hits = [done.valid & (done.index == index) for done in self.done]
            fails = [hit & done.error for hit, done in zip(hits, self.done, strict=True)]
            m.d.sync += [
                left[index].eq(Mux(starts, self.begins.payload.pieces, left[index] - (hits[0] | hits[1]))),
                failed[index].eq(~starts & (failed[index] | fails[0] | fails[1])),
            ]
            with m.If(starts):
                m.d.sync += tags[index].eq(self.begins.payload.tag)
        return m
