"""The sending side of a port: packets of what memory holds and of sums as they come; credits and tokens."""

from enum import IntEnum

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import LABEL_BITS, LENGTH_BITS, MOST_BEATS, PROGRESS_BITS, Stream
from openppu.link.collective.memory import ReadSignature
from openppu.link.collective.packets import SEQUENCE_BITS, Credit, Kind, Note, Tag
from openppu.link.collective.reader import PROGRESS, READ_STEP, THREADS, Reader
from openppu.link.layouts import ADDRESS_BITS, CHIP_BITS, Header, Operation, packet_layout
from openppu.link.word_queue import WordQueue

SEND_STEP = data.StructLayout(
    {
        "address": ADDRESS_BITS,
        "length": LENGTH_BITS,
        "stream": 1,
        "label": LABEL_BITS,
        "wait": 1,
        "thread": range(THREADS),
        "base": PROGRESS_BITS,
    }
)

RESULT_STEP = data.StructLayout({"length": LENGTH_BITS, "stream": 1, "label": LABEL_BITS, "unit": 2})
"""Sums of a unit that go out here."""

TOKEN_BITS = 4


class Held(IntEnum):
    """What a sender waits for."""

    NOTHING = 0
    LINK = 1
    """The link takes no word."""
    WINDOW = 2
    """Room in the peer's window."""
    GRANT = 3
    """A STORE of the peer."""
    THREAD = 4
    """That what is to be sent is written."""
    MEMORY = 5
    """What it has asked memory for."""
    SUMS = 6
    """The sums of a unit."""


class _Cut(wiring.Component):
    """Cuts one source's beats into packets: how many beats its next packet has.

    A packet has at most ``config.packet`` beats, all of them there already, all of one step, all with credit. While
    credit is what limits it, it has half of the most at least: else packets of a beat would call for credits of a beat.
    It is ``long`` if it has half of the most, or ends its step: else it might have more beats a little later.

    Members
    -------
    steps : In(stream)
        Steps in their order.
    came : In(1)
        One more beat is there, from the next cycle on.
    credit : In, array of one a stream
        Beats that may be sent.
    ready : Out(1)
        There is a packet to be sent.
    long : Out(1)
        With ``ready``.
    beats : Out, and
    length : Out
        Its beats and bytes.
    stream, label : Out
        Of the packet.
    last : Out(1)
        It is the step's last.
    start : In(1)
        It is sent.
    active, dry : Out(1)
        There is a step, and no beats for it.
    """

    def __init__(self, config: CollectiveConfig, *, depth: int):
        self.config = config
        self.depth = depth
        step = data.StructLayout({"length": LENGTH_BITS, "stream": 1, "label": LABEL_BITS})
        super().__init__(
            {
                "steps": In(stream.Signature(step)),
                "came": In(1),
                "credit": In(16).array(2),
                "ready": Out(1),
                "long": Out(1),
                "beats": Out(range(config.packet + 1)),
                "length": Out(13),
                "stream": Out(1),
                "label": Out(LABEL_BITS),
                "last": Out(1),
                "start": In(1),
                "active": Out(1),
                "dry": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        packet, beat_bytes = self.config.packet, self.config.beat_bytes
        shift = beat_bytes.bit_length() - 1
        left = Signal(LENGTH_BITS)
        beats_left = Signal(range(MOST_BEATS + 1))
        there = Signal(range(self.depth + 1))
        credit = Signal(16)
        wanted, possible = Signal(range(packet + 1)), Signal(range(packet + 1))
        m.d.comb += [
            beats_left.eq((left + (beat_bytes - 1)) >> shift),
            credit.eq(Mux(self.stream == Stream.STORE, self.credit[Stream.STORE], self.credit[Stream.REDUCE])),
            wanted.eq(Mux(beats_left > packet, packet, beats_left)),
            possible.eq(Mux(there > wanted, wanted, there)),
            self.beats.eq(Mux(credit > possible, possible, credit)),
            self.dry.eq(there == 0),
            self.last.eq(self.beats == beats_left),
            self.length.eq(Mux(self.last, left, self.beats << shift)),
            self.ready.eq(self.active & (self.beats != 0)),
            self.long.eq(self.last | (self.beats >= packet // 2)),
            self.steps.ready.eq(~self.active | (self.start & self.last)),
        ]
        with m.If((self.stream == Stream.REDUCE) & (credit < wanted) & (credit < packet // 2)):
            m.d.comb += self.ready.eq(0)
        m.d.sync += there.eq(there + self.came - Mux(self.start, self.beats, 0))
        with m.If(self.start):
            m.d.sync += left.eq(left - (self.beats << shift))
        with m.If(self.steps.ready):
            m.d.sync += [
                self.active.eq(self.steps.valid),
                left.eq(self.steps.payload.length),
                self.stream.eq(self.steps.payload.stream),
                self.label.eq(self.steps.payload.label),
            ]
        return m


class Sender(wiring.Component):
    """Sends packets: first tokens, then what memory holds, then sums, and credits alone if there is nothing else that
    could bring them; but long packets of sums before short ones of what memory holds, of which memory is just bringing
    more. Every packet brings the credits of its moment.

    Latency: 3 cycles from a step to its first read, 2 from memory to the packet. Throughput: a word a cycle, also from
    one packet to the next.

    Members
    -------
    chip, peer : In(CHIP_BITS)
        This chip, and the one that packets go to.
    sends : In(stream of SEND_STEP)
    results : In(stream of RESULT_STEP)
    unit, open : Out
        Sums of this unit are taken, while ``open``.
    sums : In(stream)
    token : In(1)
        Send a token; not while ``tokens_full``.
    tokens_full : Out(1)
    credit, heard : In(Credit)
        What the peer is to know; what it has told.
    progress : In(PROGRESS)
    memory : Out(ReadSignature(config))
    packets : Out(stream of packet_layout(config.link))
    sending, resulting : Out(2)
        A bit a stream: not all packets of a step of ``sends``, of ``results``, have begun.
    busy : Out(1)
        Something is not sent.
    held : Out(3)
        A `Held`.
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        super().__init__(
            {
                "chip": In(CHIP_BITS),
                "peer": In(CHIP_BITS),
                "sends": In(stream.Signature(SEND_STEP)),
                "results": In(stream.Signature(RESULT_STEP)),
                "unit": Out(2),
                "open": Out(1),
                "sums": In(stream.Signature(8 * config.beat_bytes)),
                "token": In(1),
                "tokens_full": Out(1),
                "credit": In(Credit),
                "heard": In(Credit),
                "progress": In(PROGRESS),
                "memory": Out(ReadSignature(config)),
                "packets": Out(stream.Signature(packet_layout(config.link))),
                "sending": Out(2),
                "resulting": Out(2),
                "busy": Out(1),
                "held": Out(3),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.reader = reader = Reader(config)
        m.submodules.sums = sums = WordQueue(8 * config.beat_bytes, depth=max(config.packet, 2))
        m.submodules.reads = reads = WordQueue(READ_STEP, depth=config.queue)
        m.submodules.cut_sends = cut_sends = _Cut(config, depth=config.reads)
        m.submodules.cut_sums = cut_sums = _Cut(config, depth=config.packet + 1)
        step = cut_sends.steps.payload.shape()
        m.submodules.send_steps = send_steps = WordQueue(step, depth=config.queue)
        m.submodules.sum_steps = sum_steps = WordQueue(step, depth=config.queue)
        m.submodules.intakes = intakes = WordQueue(RESULT_STEP, depth=config.queue)
        wiring.connect(m, reads.o, reader.steps)
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))
        wiring.connect(m, send_steps.o, cut_sends.steps)
        wiring.connect(m, sum_steps.o, cut_sums.steps)
        m.d.comb += [reader.progress.eq(self.progress), cut_sends.came.eq(reader.came)]

        shift = config.beat_bytes.bit_length() - 1
        send, result = self.sends.payload, self.results.payload
        for queue, other, source in ((reads, send_steps, self.sends), (intakes, sum_steps, self.results)):
            m.d.comb += [
                source.ready.eq(queue.i.ready & other.i.ready),
                queue.i.valid.eq(source.valid & other.i.ready),
                other.i.valid.eq(source.valid & queue.i.ready),
                other.i.payload.length.eq(source.payload.length),
                other.i.payload.stream.eq(source.payload.stream),
                other.i.payload.label.eq(source.payload.label),
            ]
        m.d.comb += [
            intakes.i.payload.eq(result),
            reads.i.payload.address.eq(send.address),
            reads.i.payload.beats.eq((send.length + (config.beat_bytes - 1)) >> shift),
            reads.i.payload.wait.eq(send.wait),
            reads.i.payload.thread.eq(send.thread),
            reads.i.payload.base.eq(send.base),
        ]

        # Sums come in, of one step after the other.
        left = Signal(LENGTH_BITS)
        put, sums_end = Signal(), Signal()
        m.d.comb += [
            sums.i.payload.eq(self.sums.payload),
            sums.i.valid.eq(self.sums.valid & self.open),
            self.sums.ready.eq(sums.i.ready & self.open),
            put.eq(sums.i.valid & sums.i.ready),
            sums_end.eq(put & (left <= config.beat_bytes)),
            intakes.o.ready.eq(~self.open | sums_end),
            cut_sums.came.eq(put),
        ]
        with m.If(put):
            m.d.sync += left.eq(left - config.beat_bytes)
        with m.If(intakes.o.ready):
            m.d.sync += [
                self.open.eq(intakes.o.valid),
                self.unit.eq(intakes.o.payload.unit),
                left.eq(intakes.o.payload.length),
            ]

        # The packet under way.
        active, first, is_data, of_sums = Signal(), Signal(), Signal(), Signal()
        beats = Signal(range(config.packet + 1))
        last_count = Signal(range(config.beat_bytes))
        header = Signal(Header)
        taken, last, free = Signal(), Signal(), Signal()
        out = self.packets.payload
        m.d.comb += [
            last.eq(beats == 1),
            self.packets.valid.eq(active),
            out.header.eq(header),
            out.data.eq(Mux(is_data, Mux(of_sums, sums.o.payload, reader.beats.payload), 0)),
            out.count.eq(Mux(last, last_count, config.beat_bytes - 1)),
            out.filled.eq(1),
            out.first.eq(first),
            out.last.eq(last),
            taken.eq(active & self.packets.ready),
            sums.o.ready.eq(taken & is_data & of_sums),
            reader.beats.ready.eq(taken & is_data & ~of_sums),
            free.eq(~active | (taken & last)),
        ]
        with m.If(taken):
            m.d.sync += [first.eq(0), beats.eq(beats - 1)]

        # The next one.
        told = Signal(Credit, init={"window": config.window})
        sent = Signal(Credit)
        sequence = Signal(SEQUENCE_BITS)
        tokens = Signal(TOKEN_BITS)
        starts, kind = Signal(), Signal(2)
        chosen = Signal(data.StructLayout({"beats": range(config.packet + 1), "length": 13, "label": LABEL_BITS}))
        untold = Signal(16)
        note, tag = Signal(Note), Signal(Tag)
        m.d.comb += [
            self.tokens_full.eq(tokens.all()),
            untold.eq(self.credit.window - told.window),
            note.credit.eq(self.credit),
            note.label.eq(chosen.label),
            tag.sequence.eq(sequence),
            tag.kind.eq(kind),
            chosen.beats.eq(1),
            chosen.length.eq(1),
        ]
        for cut in (cut_sends, cut_sums):
            m.d.comb += [
                cut.credit[Stream.REDUCE].eq(self.heard.window - sent.window),
                cut.credit[Stream.STORE].eq(self.heard.store - sent.store),
            ]
        with m.If(free):
            with m.If(tokens != 0):
                m.d.comb += [starts.eq(1), kind.eq(Kind.TOKEN)]
            with m.Elif(cut_sends.ready & (cut_sends.long | ~cut_sums.ready | ~cut_sums.long)):
                m.d.comb += [starts.eq(1), kind.eq(cut_sends.stream), cut_sends.start.eq(1)]
            with m.Elif(cut_sums.ready):
                m.d.comb += [starts.eq(1), kind.eq(cut_sums.stream), cut_sums.start.eq(1)]
            with m.Elif((self.credit.store != told.store) | (untold >= config.window // 4)):
                m.d.comb += [starts.eq(1), kind.eq(Kind.CREDIT)]
        for cut in (cut_sends, cut_sums):
            with m.If(cut.start):
                m.d.comb += [chosen.beats.eq(cut.beats), chosen.length.eq(cut.length), chosen.label.eq(cut.label)]
                with m.If(cut.stream == Stream.STORE):
                    m.d.sync += sent.store.eq(sent.store + cut.beats)
                with m.Else():
                    m.d.sync += sent.window.eq(sent.window + cut.beats)
        m.d.sync += tokens.eq(tokens + self.token - (starts & (kind == Kind.TOKEN)))
        with m.If(free):
            m.d.sync += active.eq(starts)
        with m.If(starts):
            m.d.sync += [
                first.eq(1),
                is_data.eq(cut_sends.start | cut_sums.start),
                of_sums.eq(cut_sums.start),
                beats.eq(chosen.beats),
                last_count.eq(chosen.length - 1),
                header.operation.eq(Operation.COLLECTIVE),
                header.destination.eq(self.peer),
                header.source.eq(self.chip),
                header.tag.eq(tag),
                header.length.eq(chosen.length - 1),
                header.address.eq(note),
                told.eq(self.credit),
                sequence.eq(sequence + 1),
            ]

        self._account(m, cut_sends, self.sends, self.sending)
        self._account(m, cut_sums, self.results, self.resulting)
        m.d.comb += self.busy.eq(active | self.sending.any() | self.resulting.any() | self.open | (tokens != 0))
        waits_for_thread = Signal()
        m.d.comb += waits_for_thread.eq(cut_sends.dry & reader.held)
        with m.If(active):
            m.d.comb += self.held.eq(Mux(self.packets.ready, Held.NOTHING, Held.LINK))
        with m.Elif(waits_for_thread):
            m.d.comb += self.held.eq(Held.THREAD)
        with m.Elif(cut_sends.active & cut_sends.dry):
            m.d.comb += self.held.eq(Held.MEMORY)
        with m.Elif(cut_sends.active | (cut_sums.active & ~cut_sums.dry)):
            stream_held = Mux(cut_sends.active, cut_sends.stream, cut_sums.stream)
            m.d.comb += self.held.eq(Mux(stream_held == Stream.STORE, Held.GRANT, Held.WINDOW))
        with m.Elif(cut_sums.active):
            m.d.comb += self.held.eq(Held.SUMS)
        return m

    def _account(self, m, cut, steps, pending):
        """Count the steps of each stream whose packets have not all begun."""
        for number in range(2):
            count = Signal(range(self.config.queue + 4))
            comes = steps.valid & steps.ready & (steps.payload.stream == number)
            goes = cut.start & cut.last & (cut.stream == number)
            m.d.sync += count.eq(count + comes - goes)
            m.d.comb += pending[number].eq(count != 0)
