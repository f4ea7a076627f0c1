"""How the network comes to a memory."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.common.memory import WORD_BYTES, MemorySignature
from openppu.noc.layouts import place_layout, request_flit_layout, response_flit_layout
from openppu.noc.plan import Plan

WAITING = 16
"""Reads, and writes, of each tag of the memory that are not answered."""


def asker_layout(plan: Plan) -> data.StructLayout:
    """Who waits for an answer."""
    return data.StructLayout({"to": place_layout(plan), "index": request_flit_layout(plan)["index"].shape})


class Target(wiring.Component):
    """Makes requests to a memory of packets, and sends each answer to whom it is for.

    A request has the tag that its order names, so those of one initiator and tag stay in order. A word that
    was read is a flit that says all that is needed of it, since words of several reads may come mixed.

    Latency: 1 cycle from a flit to the request; 0 from the answer to its flit. Throughput: a word a cycle each way.

    Parameters
    ----------
    plan : Plan
    tags : int
        Of the memory: a power of two, 1 to 16.

    Members
    -------
    requests : In(stream of request_flit_layout)
    responses : Out(stream of response_flit_layout)
    memory : Out(MemorySignature)
        With the target's own addresses, from 0.
    """

    LATENCY = 1

    def __init__(self, plan: Plan, *, tags: int):
        if tags not in (1, 2, 4, 8, 16):
            raise ValueError(f"Target tags = {tags}: give one of 1, 2, 4, 8, 16")
        self.plan = plan
        self.tags = tags
        super().__init__(
            {
                "requests": In(stream.Signature(request_flit_layout(plan))),
                "responses": Out(stream.Signature(response_flit_layout(plan))),
                "memory": Out(MemorySignature(tags=tags)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flit, memory = self.requests.payload, self.memory
        shape = asker_layout(self.plan)
        reads, writes = (self._askers(m, name, shape.size) for name in ("reads", "writes"))

        # A packet's first flit is the request; those of a write are its words.
        under_way = Signal()
        tag = Signal(range(self.tags))
        asks, request_free, word_free, has_room, takes = (
            Signal(name=name) for name in ("asks", "request_free", "word_free", "has_room", "takes")
        )
        m.d.comb += [
            tag.eq(flit.order),
            asks.eq(self.requests.valid & ~under_way),
            request_free.eq(~memory.requests.valid | memory.requests.ready),
            word_free.eq(~memory.words.valid | memory.words.ready),
            has_room.eq(Array(Mux(flit.write, w.w_rdy, r.w_rdy) for r, w in zip(reads, writes, strict=True))[tag]),
            self.requests.ready.eq((under_way | (request_free & has_room)) & (~flit.write | word_free)),
            takes.eq(self.requests.valid & self.requests.ready),
        ]
        for place, (read, write) in enumerate(zip(reads, writes, strict=True)):
            begins = takes & ~under_way & (tag == place)
            m.d.comb += [
                read.w_en.eq(begins & ~flit.write),
                write.w_en.eq(begins & flit.write),
                *(queue.w_data.eq(Cat(flit.source.as_value(), flit.index)) for queue in (read, write)),
            ]
        with m.If(request_free):
            m.d.sync += memory.requests.valid.eq(takes & ~under_way)
        with m.If(word_free):
            m.d.sync += memory.words.valid.eq(takes & flit.write)
        with m.If(takes):
            m.d.sync += under_way.eq(~flit.end)
            with m.If(~under_way):
                m.d.sync += [
                    memory.requests.payload.write.eq(flit.write),
                    memory.requests.payload.address.eq(flit.address << (WORD_BYTES.bit_length() - 1)),
                    memory.requests.payload.last.eq(flit.last),
                    memory.requests.payload.tag.eq(tag),
                ]
            with m.If(flit.write):
                m.d.sync += [memory.words.payload.data.eq(flit.data), memory.words.payload.mask.eq(flit.mask)]

        # Answers: words and acknowledges in turns.
        m.submodules.turns = turns = RoundRobin(2)
        read, acknowledge, answer = memory.responses, memory.acknowledges, self.responses.payload
        reader = shape(Array(queue.r_data for queue in reads)[read.payload.tag])
        writer = shape(Array(queue.r_data for queue in writes)[acknowledge.payload.tag])
        word = [Signal(answer.word.shape(), name=f"word_{place}") for place in range(self.tags)]
        held, holds = Signal(), Signal()
        acknowledges, goes = Signal(), Signal()
        m.d.comb += [
            turns.requests.eq(Cat(read.valid, acknowledge.valid)),
            # What has been offered stays.
            acknowledges.eq(Mux(held, holds, turns.pick)),
            turns.served.eq(~held),
            self.responses.valid.eq(turns.valid),
            goes.eq(turns.valid & self.responses.ready),
            read.ready.eq(goes & ~acknowledges),
            acknowledge.ready.eq(goes & acknowledges),
            answer.to.eq(Mux(acknowledges, writer.to, reader.to)),
            answer.index.eq(Mux(acknowledges, writer.index, reader.index)),
            answer.end.eq(acknowledges | read.payload.last),
            answer.acknowledge.eq(acknowledges),
            answer.word.eq(Array(word)[read.payload.tag]),
            answer.data.eq(read.payload.data),
            answer.error.eq(Mux(acknowledges, acknowledge.payload.error, read.payload.error)),
            answer.corrected.eq(read.payload.corrected & ~acknowledges),
        ]
        m.d.sync += [held.eq(turns.valid & ~goes), holds.eq(acknowledges)]
        for place, (reading, writing) in enumerate(zip(reads, writes, strict=True)):
            comes = goes & ~acknowledges & (read.payload.tag == place)
            m.d.comb += [
                reading.r_en.eq(comes & read.payload.last),
                writing.r_en.eq(goes & acknowledges & (acknowledge.payload.tag == place)),
            ]
            with m.If(comes):
                m.d.sync += word[place].eq(Mux(read.payload.last, 0, word[place] + 1))
        return m

    def _askers(self, m: Module, name: str, width: int) -> list[fifo.SyncFIFOBuffered]:
        queues = [fifo.SyncFIFOBuffered(width=width, depth=WAITING) for _ in range(self.tags)]
        for place, queue in enumerate(queues):
            m.submodules[f"{name}_{place}"] = queue
        return queues
