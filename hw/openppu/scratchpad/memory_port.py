"""A scratchpad as a memory: for requests from elsewhere on the chip."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.memory import ADDRESS_BITS, MOST_WORDS, WORD_BYTES, MemorySignature, response_layout
from openppu.link.word_queue import WordQueue
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.port import ScratchpadPort
from openppu.scratchpad.scratchpad import Scratchpad

WAITING = 12
"""Words that were asked for and are not taken."""


class ScratchpadMemory(wiring.Component):
    """Makes accesses to a scratchpad of a memory port's requests, one for each 32 bytes; all in order.

    What reaches beyond the scratchpad is answered with an error, and nothing of it is written.

    Latency: 6 cycles from a read's request to its first word, beside the waits for other ports. Throughput: a word a
    cycle.

    Parameters
    ----------
    config : ScratchpadConfig
    tags : int

    Members
    -------
    memory : In(MemorySignature)
        Addresses from 0.
    port : Out(ScratchpadPort)
    """

    def __init__(self, config: ScratchpadConfig, *, tags: int):
        self.config = config
        self.tags = tags
        super().__init__(
            {
                "memory": In(MemorySignature(tags=tags)),
                "port": Out(ScratchpadPort(address_bits=config.address_bits, word_bytes=config.word_bytes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, memory, port = self.config, self.memory, self.port
        lanes = config.word_bytes // WORD_BYTES
        lane_bits = lanes.bit_length() - 1
        asked = memory.requests.payload

        # The request: where it is, and what is left of it.
        busy, write, bad = Signal(), Signal(), Signal()
        place = Signal(config.address_bits + lane_bits)
        left = Signal(range(MOST_WORDS))
        tag = Signal(range(self.tags))
        word = asked.address[WORD_BYTES.bit_length() - 1 : ADDRESS_BITS]
        moves, ends = Signal(), Signal()
        m.d.comb += [ends.eq(moves & (left == 0)), memory.requests.ready.eq(~busy | ends)]
        with m.If(moves):
            m.d.sync += [place.eq(place + 1), left.eq(left - 1)]
        with m.If(memory.requests.ready):
            m.d.sync += busy.eq(memory.requests.valid)
        with m.If(memory.requests.ready & memory.requests.valid):
            m.d.sync += [
                write.eq(asked.write),
                bad.eq(word + asked.last >= config.capacity // WORD_BYTES),
                place.eq(word),
                left.eq(asked.last),
                tag.eq(asked.tag),
            ]

        # Its accesses. Reads that are on their way have room.
        waiting = Signal(range(WAITING + 1))
        acknowledge_free = Signal()
        can = Signal()
        lane = place[:lane_bits]
        request = port.requests.payload
        m.d.comb += [
            acknowledge_free.eq(~memory.acknowledges.valid | memory.acknowledges.ready),
            can.eq(busy & Mux(write, memory.words.valid & acknowledge_free, waiting != WAITING)),
            port.requests.valid.eq(can & ~bad),
            moves.eq(can & (bad | port.requests.ready)),
            memory.words.ready.eq(moves & write),
            request.write.eq(write),
            request.address.eq(place[lane_bits:]),
            # A read that waits must not change, though a word of a later write comes.
            request.data.eq(Mux(write, memory.words.payload.data, 0).replicate(lanes)),
            request.mask.eq(Mux(write, memory.words.payload.mask, 0) << (lane * WORD_BYTES)),
        ]
        with m.If(acknowledge_free):
            m.d.sync += [
                memory.acknowledges.valid.eq(ends & write),
                memory.acknowledges.payload.tag.eq(tag),
                memory.acknowledges.payload.error.eq(bad),
            ]

        # Results, with what was remembered of their reads.
        note_shape = data.StructLayout({"bad": 1, "last": 1, "tag": range(self.tags), "lane": max(1, lane_bits)})
        note, due = Signal(note_shape), Signal()
        m.d.comb += [
            note.bad.eq(bad),
            note.last.eq(left == 0),
            note.tag.eq(tag),
            note.lane.eq(lane),
            due.eq(delayed(m, moves & ~write, Scratchpad.LATENCY, name="reads", reset=True)),
        ]
        then = Signal(note_shape)
        m.d.comb += then.eq(delayed(m, note, Scratchpad.LATENCY, name="note"))
        m.submodules.queue = queue = WordQueue(response_layout(self.tags), depth=WAITING)
        found, result = port.results.payload, queue.i.payload
        m.d.comb += [
            queue.i.valid.eq(due & (then.bad | port.results.valid)),
            result.data.eq(Array(found.data.word_select(n, 8 * WORD_BYTES) for n in range(lanes))[then.lane]),
            result.tag.eq(then.tag),
            result.last.eq(then.last),
            result.error.eq(then.bad | found.error),
            result.corrected.eq(~then.bad & found.corrected),
        ]
        wiring.connect(m, queue.o, wiring.flipped(memory.responses))
        m.d.sync += waiting.eq(waiting + (moves & ~write) - (memory.responses.valid & memory.responses.ready))
        return m
