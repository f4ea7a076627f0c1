"""Reads of an AXI4 port."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import PAGE_BITS, Burst, BurstStep, Response
from openppu.hbm.axi_writes import BYTE_BITS, burst_layout
from openppu.hbm.config import MOST_ACCESSES
from openppu.hbm.layouts import Addressed, response_layout
from openppu.hbm.phy import DATA_BITS

BURSTS = 4
"""Bursts that wait to be requested."""

PLANS = 8
"""Bursts of a tag that are on their way."""


def run_layout(config: Addressed) -> data.StructLayout:
    """``last + 1`` accesses from an address on."""
    return data.StructLayout({"address": config.address_bits, "last": range(MOST_ACCESSES), "tag": range(config.tags)})


class AxiReads(wiring.Component):
    """Requests the words of bursts, and gives each beat the word that its bytes lie in.

    A burst is one request, or two if it wraps. Its tag is its ID's low bits, so bursts of one ID keep their order;
    those of others may pass them, and come between their beats.

    Latency: 1 cycle from a burst to its request, 0 from a word to its first beat. Throughput: one beat a cycle.

    Members
    -------
    bursts : In(stream of burst_layout(config, id_bits))
    beats : Out(stream of id, data, response, last)
    runs : Out(stream of run_layout(config))
    responses : In(stream of response_layout(config))
    """

    def __init__(self, config: Addressed, *, id_bits: int):
        self.config = config
        self.id_bits = id_bits
        beat = data.StructLayout({"id": id_bits, "data": DATA_BITS, "response": Response, "last": 1})
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_layout(config, id_bits))),
                "beats": Out(stream.Signature(beat)),
                "runs": Out(stream.Signature(run_layout(config))),
                "responses": In(stream.Signature(response_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        burst_shape = self.bursts.payload.shape()
        # A beat's bytes lie at ``offset`` in its word; the beats of a burst that ``stays`` have all the same word.
        plan_shape = data.StructLayout({"id": self.id_bits, "offset": BYTE_BITS, "size": 3, "length": 8, "stays": 1})
        m.submodules.bursts = bursts = fifo.SyncFIFO(width=burst_shape.size, depth=BURSTS)
        m.submodules.walk = walk = BurstStep()
        plans = [fifo.SyncFIFO(width=plan_shape.size, depth=PLANS) for _ in range(config.tags)]
        for tag, queue in enumerate(plans):
            m.submodules[f"plans_{tag}"] = queue

        # The accesses of a burst: from its first to its end or the top of the window, then from the window's bottom.
        burst = Signal(burst_shape)
        again = Signal()
        wraps = Signal()
        first, last = (Signal(PAGE_BITS, name=name) for name in ("first", "last"))
        run = self.runs.payload
        plan = Signal(plan_shape)
        room = Signal()
        step = Signal()
        m.d.comb += [
            bursts.w_data.eq(self.bursts.payload),
            bursts.w_en.eq(self.bursts.valid),
            self.bursts.ready.eq(bursts.w_rdy),
            burst.eq(bursts.r_data),
            walk.address.eq(burst.address),
            walk.length.eq(burst.length),
            walk.size.eq(burst.size),
            walk.burst.eq(burst.burst),
            wraps.eq((burst.burst == Burst.WRAP) & ~plan.stays & (walk.aligned & walk.window).any()),
        ]
        with m.If(burst.burst == Burst.FIXED):
            m.d.comb += [first.eq(walk.aligned), last.eq(walk.aligned)]
        with m.Elif(burst.burst != Burst.WRAP):
            m.d.comb += [first.eq(walk.aligned), last.eq(walk.aligned + (burst.length << burst.size))]
        with m.Elif(~again):
            m.d.comb += [first.eq(walk.aligned), last.eq(walk.aligned | walk.window)]
        with m.Else():
            m.d.comb += [first.eq(walk.aligned & ~walk.window), last.eq(walk.aligned - 1)]
        m.d.comb += [
            run.address.eq(Cat(first[BYTE_BITS:], burst.address[PAGE_BITS:])),
            run.last.eq((last >> BYTE_BITS) - (first >> BYTE_BITS)),
            run.tag.eq(burst.id),
            plan.id.eq(burst.id),
            plan.offset.eq(burst.address),
            plan.size.eq(burst.size),
            plan.length.eq(burst.length),
            plan.stays.eq(walk.window[BYTE_BITS:] == 0),
            room.eq(Cat(queue.w_rdy for queue in plans).bit_select(run.tag, 1)),
            self.runs.valid.eq(bursts.r_rdy & (room | again)),
            step.eq(self.runs.valid & self.runs.ready),
            bursts.r_en.eq(step & (again | ~wraps)),
        ]
        with m.If(step):
            m.d.sync += again.eq(wraps & ~again)
        for tag, queue in enumerate(plans):
            m.d.comb += [queue.w_data.eq(plan), queue.w_en.eq(step & ~again & (run.tag == tag))]

        # The beats of what came.
        response, beat = self.responses.payload, self.beats.payload
        present = Signal(plan_shape)
        counts = Array(Signal(8, name=f"count_{tag}") for tag in range(config.tags))
        offsets = Array(Signal(BYTE_BITS, name=f"offset_{tag}") for tag in range(config.tags))
        count = Signal(8)
        offset = Signal(BYTE_BITS)
        following = Signal(BYTE_BITS + 1)
        size = Signal(BYTE_BITS + 1)
        given = Signal()
        m.d.comb += [
            present.eq(Array(queue.r_data for queue in plans)[response.tag]),
            count.eq(counts[response.tag]),
            offset.eq(Mux(count == 0, present.offset, offsets[response.tag])),
            size.eq(1 << present.size),
            following.eq((offset & ~(size - 1)) + size),
            beat.id.eq(present.id),
            beat.data.eq(response.data),
            beat.response.eq(Mux(response.error, Response.SLVERR, Response.OKAY)),
            beat.last.eq(count == present.length),
            self.beats.valid.eq(self.responses.valid),
            given.eq(self.beats.valid & self.beats.ready),
            self.responses.ready.eq(self.beats.ready & (beat.last | (following[-1] & ~present.stays))),
        ]
        with m.If(given):
            m.d.sync += [counts[response.tag].eq(Mux(beat.last, 0, count + 1)), offsets[response.tag].eq(following)]
        for tag, queue in enumerate(plans):
            m.d.comb += queue.r_en.eq(given & beat.last & (response.tag == tag))
        return m
