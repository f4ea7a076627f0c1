"""Brings the words of reads into the order of their requests."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES, response_layout
from openppu.dma.config import DmaConfig
from openppu.dma.layouts import word_layout


class Arrivals(wiring.Component):
    """Keeps a place for each word on its way, in a ring, and gives the words in order as soon as they are there.

    Requests of one tag are answered in their order, so a queue a tag says where the answers go. Latency: `LATENCY`
    cycles. Throughput: one word in and one out a cycle.

    Members
    -------
    count : In
        Words of a request that could go now ...
    tag : In
    room : Out(1)
        ... for which there is room; stays until it has gone.
    enter : In(1)
        It goes.
    responses : In(stream of response_layout)
        Always ready.
    words : Out(stream of word_layout)
    waits : Out(1)
        Words are on their way, and the next is not there.
    """

    LATENCY = 2

    def __init__(self, config: DmaConfig):
        self.config = config
        super().__init__(
            {
                "count": In(range(config.burst_words + 1)),
                "tag": In(range(config.tags)),
                "room": Out(1),
                "enter": In(1),
                "responses": In(stream.Signature(response_layout(config.tags))),
                "words": Out(stream.Signature(word_layout(WORD_BYTES))),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth, tags, requests = self.config.outstanding, self.config.tags, self.config.tag_requests
        m.submodules.store = store = memory.Memory(shape=word_layout(WORD_BYTES), depth=depth, init=[])
        m.submodules.begins = begins = memory.Memory(shape=range(depth), depth=tags * requests, init=[])
        write = store.write_port()
        read = store.read_port()
        put, begin = begins.write_port(), begins.read_port(domain="comb")

        # Requests: the next places of the ring, and the next of the tag's queue.
        free = Signal(range(depth + 1), init=depth)
        place = Signal(range(depth))
        takes = Signal()
        queued = Array([Signal(range(requests + 1), name=f"queued_{tag}") for tag in range(tags)])
        heads = Array([Signal(range(requests), name=f"head_{tag}") for tag in range(tags)])
        tails = Array([Signal(range(requests), name=f"tail_{tag}") for tag in range(tags)])
        offsets = Array([Signal(range(depth), name=f"offset_{tag}") for tag in range(tags)])
        answer = self.responses.payload
        arrives = Signal()
        done = Signal()
        m.d.comb += [
            self.room.eq((free >= self.count) & (queued[self.tag] != requests)),
            put.addr.eq(self.tag * requests + tails[self.tag]),
            put.data.eq(place),
            put.en.eq(self.enter),
            self.responses.ready.eq(1),
            arrives.eq(self.responses.valid),
            done.eq(arrives & answer.last),
            begin.addr.eq(answer.tag * requests + heads[answer.tag]),
            write.addr.eq((begin.data + offsets[answer.tag])[: len(place)]),
            write.data.data.eq(answer.data),
            write.data.error.eq(answer.error),
            write.en.eq(arrives),
        ]
        m.d.sync += free.eq(free + takes - Mux(self.enter, self.count, 0))
        with m.If(self.enter):
            m.d.sync += place.eq(place + self.count)
        for tag in range(tags):
            entered = self.enter & (self.tag == tag)
            left = done & (answer.tag == tag)
            m.d.sync += queued[tag].eq(queued[tag] + entered - left)
            with m.If(entered):
                m.d.sync += tails[tag].eq(Mux(tails[tag] == requests - 1, 0, tails[tag] + 1))
            with m.If(left):
                m.d.sync += heads[tag].eq(Mux(heads[tag] == requests - 1, 0, heads[tag] + 1))
            with m.If(arrives & (answer.tag == tag)):
                m.d.sync += offsets[tag].eq(Mux(answer.last, 0, offsets[tag] + 1))

        # Words: in the order of the ring.
        there = Signal(depth)
        first = Signal(range(depth))
        following = Signal(range(depth))
        m.d.comb += [
            self.words.valid.eq(there.bit_select(first, 1)),
            self.words.payload.eq(read.data),
            self.waits.eq((free != depth) & ~self.words.valid),
            takes.eq(self.words.valid & self.words.ready),
            following.eq(first + takes),
            read.addr.eq(following),
        ]
        m.d.sync += first.eq(following)
        with m.If(takes):
            m.d.sync += there.bit_select(first, 1).eq(0)
        # The memory shows what was written in the cycle before.
        arrived, arrived_at = Signal(), Signal(range(depth))
        m.d.sync += [arrived.eq(arrives), arrived_at.eq(write.addr)]
        with m.If(arrived):
            m.d.sync += there.bit_select(arrived_at, 1).eq(1)
        return m
