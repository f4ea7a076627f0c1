"""Writes words to memory."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES, acknowledge_layout, request_layout, write_word_layout
from openppu.dma.config import DmaConfig
from openppu.dma.layouts import placed_layout
from openppu.link.word_queue import WordQueue

WORD_ADDRESS_BITS = ADDRESS_BITS - (WORD_BYTES - 1).bit_length()
ENDS = 2
"""Commands that wait for acknowledges, one more at the queue's output; a fourth may be under way."""

COMMANDS = 4


class Put(wiring.Component):
    """Makes requests of words that follow each other, and says when all of a command have been acknowledged.

    A request ends with its target, or at a multiple of ``burst_bytes``; it is made once all its words are there, so
    that they keep nobody waiting. An address has always the same tag: what two commands write to it comes in order.
    Throughput: one word a cycle.

    Members
    -------
    words : In(stream of placed_layout)
    requests : Out(stream of request_layout)
    written : Out(stream of write_word_layout())
    acknowledges : In(stream of acknowledge_layout)
        Always ready.
    ends : Out(stream of Error)
        One for each command, in order.
    moves : Out(1)
        A word is written.
    waits : Out(1)
        For memory: a request or a word does not go, or a command's end has come before its acknowledges.
    """

    def __init__(self, config: DmaConfig):
        self.config = config
        super().__init__(
            {
                "words": In(stream.Signature(placed_layout(WORD_ADDRESS_BITS, WORD_BYTES))),
                "requests": Out(stream.Signature(request_layout(config.tags))),
                "written": Out(stream.Signature(write_word_layout())),
                "acknowledges": In(stream.Signature(acknowledge_layout(config.tags))),
                "ends": Out(stream.Signature(Error)),
                "moves": Out(1),
                "waits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        burst = config.burst_words
        burst_bits = (burst - 1).bit_length()
        asked = data.StructLayout({"address": WORD_ADDRESS_BITS, "last": range(burst), "end": 1, "error": Error})
        m.submodules.store = store = WordQueue(write_word_layout(), depth=2 * burst)
        m.submodules.asked = queue = WordQueue(asked, depth=2 * burst)

        # A request as soon as its last word comes.
        word = self.words.payload
        count = Signal(range(burst))
        complete = Signal()
        takes = Signal()
        m.d.comb += [
            complete.eq(word.end | word.last | word.address[:burst_bits].all()),
            self.words.ready.eq(store.i.ready & queue.i.ready),
            takes.eq(self.words.valid & self.words.ready),
            store.i.payload.data.eq(word.data),
            store.i.payload.mask.eq(word.mask),
            store.i.valid.eq(takes & ~word.end),
            queue.i.payload.address.eq(word.address - count),
            queue.i.payload.last.eq(count),
            queue.i.payload.end.eq(word.end),
            queue.i.payload.error.eq(word.error),
            queue.i.valid.eq(takes & complete),
        ]
        with m.If(takes):
            m.d.sync += count.eq(Mux(complete, 0, count + 1))

        # Its words may go when it has gone.
        head = queue.o.payload
        owed = Signal(range(2 * burst + 2))
        goes = Signal()
        sends = Signal()
        command = Signal(range(COMMANDS))
        room = Signal()
        tag = Signal(range(config.tags))
        m.submodules.ends = ends = WordQueue(
            data.StructLayout({"command": range(COMMANDS), "error": Error}), depth=ENDS
        )
        if config.tags > 1:
            m.d.comb += tag.eq(head.address[burst_bits + (config.channels - 1).bit_length() :])
        request = self.requests.payload
        m.d.comb += [
            request.write.eq(1),
            request.address.eq(head.address << (ADDRESS_BITS - WORD_ADDRESS_BITS)),
            request.last.eq(head.last),
            request.tag.eq(tag),
            self.requests.valid.eq(queue.o.valid & ~head.end & room),
            goes.eq(self.requests.valid & self.requests.ready),
            ends.i.payload.command.eq(command),
            ends.i.payload.error.eq(head.error),
            ends.i.valid.eq(queue.o.valid & head.end),
            queue.o.ready.eq(Mux(head.end, ends.i.ready, room & self.requests.ready)),
            self.written.payload.eq(store.o.payload),
            self.written.valid.eq(store.o.valid & (owed != 0)),
            sends.eq(self.written.valid & self.written.ready),
            store.o.ready.eq(sends),
        ]
        m.d.comb += [
            self.moves.eq(sends),
            self.waits.eq(
                (queue.o.valid & ~head.end & ~goes)
                | (self.written.valid & ~self.written.ready)
                | (ends.o.valid & ~self.ends.valid)
            ),
        ]
        m.d.sync += owed.eq(owed + Mux(goes, head.last + 1, 0) - sends)
        with m.If(ends.i.valid & ends.i.ready):
            m.d.sync += command.eq(command + 1)
        self._acknowledges(m, ends, command, tag, room, goes)
        return m

    def _acknowledges(self, m, ends, command, tag, room, goes):
        """Whose request each acknowledge is for: a queue a tag."""
        tags, requests = self.config.tags, self.config.tag_requests
        m.submodules.owners = owners = memory.Memory(shape=range(COMMANDS), depth=tags * requests, init=[])
        write, read = owners.write_port(), owners.read_port(domain="comb")
        queued, heads, tails = (
            Array([Signal(range(requests + extra), name=f"{name}_{each}") for each in range(tags)])
            for name, extra in (("queued", 1), ("head", 0), ("tail", 0))
        )
        pending = Array([Signal(range(tags * requests + 1), name=f"pending_{each}") for each in range(COMMANDS)])
        wrong = Array([Signal(name=f"wrong_{each}") for each in range(COMMANDS)])
        answer = self.acknowledges.payload
        comes = Signal()
        m.d.comb += [
            room.eq(queued[tag] != requests),
            write.addr.eq(tag * requests + tails[tag]),
            write.data.eq(command),
            write.en.eq(goes),
            read.addr.eq(answer.tag * requests + heads[answer.tag]),
            self.acknowledges.ready.eq(1),
            comes.eq(self.acknowledges.valid),
        ]
        for each in range(tags):
            enters, leaves = goes & (tag == each), comes & (answer.tag == each)
            m.d.sync += queued[each].eq(queued[each] + enters - leaves)
            with m.If(enters):
                m.d.sync += tails[each].eq(Mux(tails[each] == requests - 1, 0, tails[each] + 1))
            with m.If(leaves):
                m.d.sync += heads[each].eq(Mux(heads[each] == requests - 1, 0, heads[each] + 1))

        end = ends.o.payload
        done = Signal()
        m.d.comb += [
            self.ends.valid.eq(ends.o.valid & (pending[end.command] == 0)),
            self.ends.payload.eq(Mux((end.error == Error.OKAY) & wrong[end.command], Error.MEMORY, end.error)),
            done.eq(self.ends.valid & self.ends.ready),
            ends.o.ready.eq(done),
        ]
        for each in range(COMMANDS):
            enters, leaves = goes & (command == each), comes & (read.data == each)
            m.d.sync += pending[each].eq(pending[each] + enters - leaves)
            with m.If(done & (end.command == each)):
                m.d.sync += wrong[each].eq(0)
            with m.Elif(leaves & answer.error):
                m.d.sync += wrong[each].eq(1)
