"""Copies memory to another chip, as writes of up to 4 KiB."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.common.memory import WORD_BYTES, request_layout, response_layout
from openppu.link.config import MOST_DATA_BYTES, LinkConfig
from openppu.link.layouts import ADDRESS_BITS, CHIP_BITS, TAG_BITS, Operation, Status, packet_layout
from openppu.link.unit.instructions import BYTES_BITS, send_layout

TAGS = 8
"""Writes on their way."""

CHUNK_BITS = (MOST_DATA_BYTES // WORD_BYTES).bit_length()


class Sender(wiring.Component):
    """Reads a range, sends it word by word, and ends when every write has been answered.

    Chunks end at multiples of 4 KiB of the target. Up to two chunks are asked for ahead of what is sent.

    Latency: 2 cycles from a command to its first request. Throughput: a beat or a word of memory a cycle, whichever is
    less, if 8 writes of 4 KiB cover the round trip.

    Parameters
    ----------
    config : LinkConfig
        Its writes have the first `TAGS` tags.

    Members
    -------
    command : In(stream of send_layout())
        Checked already: see `openppu.link.unit.link_engine.LinkEngine`.
    error : Out(Error), done : Out(1)
        The command has ended, in this cycle.
    requests : Out(stream of request_layout(1)), responses : In(stream of response_layout(1))
        Memory.
    packets : Out(stream of packet_layout(config))
    answer : In(struct valid, tag, status)
        A write has ended.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "command": In(stream.Signature(send_layout())),
                "error": Out(Error),
                "done": Out(1),
                "requests": Out(stream.Signature(request_layout(1))),
                "responses": In(stream.Signature(response_layout(1))),
                "packets": Out(stream.Signature(packet_layout(config))),
                "answer": In(data.StructLayout({"valid": 1, "tag": TAG_BITS, "status": Status})),
            }
        )

    def elaborate(self, platform):
        m = Module()
        given = self.command.payload
        working = Signal()
        chip = Signal(CHIP_BITS)
        source = Signal(ADDRESS_BITS)
        target = Signal(ADDRESS_BITS)
        left = Signal(BYTES_BITS)
        wrong_data = Signal()
        failed = Signal()
        chunk_shape = data.StructLayout({"target": ADDRESS_BITS, "words": CHUNK_BITS})
        m.submodules.chunks = chunks = fifo.SyncFIFOBuffered(width=chunk_shape.size, depth=2)

        # What is asked for: up to the next multiple of 4 KiB of the target.
        room = Signal(CHUNK_BITS)
        words = Signal(CHUNK_BITS)
        asks = Signal()
        all_words = left >> 5
        m.d.comb += [
            room.eq(MOST_DATA_BYTES // WORD_BYTES - target[5:12]),
            words.eq(Mux(all_words < room, all_words, room)),
            self.requests.valid.eq(working & (left != 0) & chunks.w_rdy),
            self.requests.payload.address.eq(source),
            self.requests.payload.last.eq(words - 1),
            asks.eq(self.requests.valid & self.requests.ready),
            chunks.w_en.eq(asks),
            chunks.w_data.eq(Cat(target, words)),
        ]
        with m.If(asks):
            size = words << 5
            m.d.sync += [left.eq(left - size), source.eq(source + size), target.eq(target + size)]

        in_use = Array(Signal(name=f"in_use_{tag}") for tag in range(TAGS))
        tag = Signal(range(TAGS))
        on_way = Signal(range(TAGS + 1))
        begins = Signal()
        ends = Signal()
        answered = Signal()
        own_tag = Signal(range(TAGS))
        self._packets(m, chunk_shape(chunks.r_data), chunks, chip, tag, ~in_use[tag], begins, ends)
        m.d.comb += [
            own_tag.eq(self.answer.tag),
            answered.eq(self.answer.valid & (self.answer.tag < TAGS)),
        ]
        with m.If(begins):
            m.d.sync += in_use[tag].eq(1)
        with m.If(ends):
            m.d.sync += tag.eq(tag + 1)
        with m.If(answered):
            m.d.sync += in_use[own_tag].eq(0)
            with m.If(self.answer.status != Status.OKAY):
                m.d.sync += failed.eq(1)
        m.d.sync += on_way.eq(on_way + begins - answered)
        with m.If(self.responses.valid & self.responses.ready & self.responses.payload.error):
            m.d.sync += wrong_data.eq(1)

        m.d.comb += [
            self.command.ready.eq(~working),
            self.done.eq(working & (left == 0) & (chunks.level == 0) & (on_way == 0)),
            self.error.eq(Mux(wrong_data, Error.MEMORY, Mux(failed, Error.LINK, Error.OKAY))),
        ]
        with m.If(self.command.valid & ~working):
            m.d.sync += [
                working.eq(1),
                source.eq(given.source),
                target.eq(given.target),
                left.eq(given.bytes),
                chip.eq(given.chip),
                wrong_data.eq(0),
                failed.eq(0),
            ]
        with m.Elif(self.done):
            m.d.sync += working.eq(0)
        return m

    def _packets(self, m, chunk, chunks, chip, tag, may_begin, begins, ends):
        """The words of memory as the words of packets."""
        width = self.config.beat_bytes
        gather = max(1, width // WORD_BYTES)
        spread = max(1, WORD_BYTES // width)
        response, packet = self.responses.payload, self.packets.payload
        beats = Signal(range(MOST_DATA_BYTES // width + 1))
        count = Signal.like(beats)
        at = Signal(range(max(2, gather, spread)))
        last = Signal()
        moves = Signal()
        ready = Signal()
        m.d.comb += [
            beats.eq(chunk.words * spread if spread > 1 else chunk.words >> (gather - 1).bit_length()),
            last.eq(count == beats - 1),
            ready.eq(chunks.r_rdy & ((count != 0) | may_begin)),
            packet.first.eq(count == 0),
            packet.last.eq(last),
            packet.filled.eq(1),
            packet.count.eq(width - 1),
            packet.header.operation.eq(Operation.WRITE),
            packet.header.destination.eq(chip),
            packet.header.tag.eq(tag),
            packet.header.length.eq((chunk.words << 5) - 1),
            packet.header.address.eq(chunk.target),
            moves.eq(self.packets.valid & self.packets.ready),
            begins.eq(moves & packet.first),
            ends.eq(moves & last),
            chunks.r_en.eq(ends),
        ]
        if spread > 1:
            m.d.comb += [
                packet.data.eq(response.data.word_select(at, 8 * width)),
                self.packets.valid.eq(self.responses.valid & ready),
                self.responses.ready.eq(self.packets.ready & ready & (at == spread - 1)),
            ]
            with m.If(moves):
                m.d.sync += at.eq(Mux(at == spread - 1, 0, at + 1))
        else:
            before = Signal(8 * (width - WORD_BYTES)) if gather > 1 else None
            whole = at == gather - 1
            m.d.comb += [
                packet.data[8 * (width - WORD_BYTES) :].eq(response.data),
                self.packets.valid.eq(self.responses.valid & whole & ready),
                self.responses.ready.eq(Mux(whole, self.packets.ready & ready, 1)),
            ]
            if before is not None:
                m.d.comb += packet.data[: len(before)].eq(before)
            with m.If(self.responses.valid & self.responses.ready):
                m.d.sync += at.eq(Mux(whole, 0, at + 1))
                if before is not None:
                    m.d.sync += before.eq((before | response.data << len(before)) >> (8 * WORD_BYTES))
        with m.If(moves):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
