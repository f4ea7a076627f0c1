"""The receiving side of a port: packets into the window or to memory; credits and tokens."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import LABEL_BITS, LENGTH_BITS, MOST_BEATS, PROGRESS_BITS
from openppu.link.collective.memory import WriteSignature
from openppu.link.collective.packets import Credit, Fault, Kind, Note, Tag
from openppu.link.collective.writer import Writer
from openppu.link.layouts import ADDRESS_BITS, CHIP_BITS, Operation, packet_layout
from openppu.link.word_queue import WordQueue

STORE_STEP = data.StructLayout({"address": ADDRESS_BITS, "length": LENGTH_BITS, "label": LABEL_BITS})
TOKEN_BITS = 4


def window_layout(config: CollectiveConfig) -> data.StructLayout:
    """A beat of a window, and the label that it came with."""
    return data.StructLayout({"data": 8 * config.beat_bytes, "label": LABEL_BITS})


class Receiver(wiring.Component):
    """Takes whatever comes, always: for the window there is room, as the peer sends no more than ``credit`` says, and
    stores wait for nothing but memory. What is wrong is told and thrown away.

    Latency: 1 cycle to ``window``, 0 to ``memory``. Throughput: a word a cycle.

    Members
    -------
    peer : In(CHIP_BITS)
        The chip that packets come from.
    packets : In(stream of packet_layout(config.link))
    stores : In(stream of STORE_STEP)
    window : Out(stream of window_layout(config))
    memory : Out(WriteSignature(config))
    credit : Out(Credit)
        For the peer.
    heard : Out(Credit)
        The last that came from the peer.
    tokens : Out(TOKEN_BITS)
        That have come and were not taken.
    take_token : In(1)
        Take one; ignored while there is none.
    progress : Out(PROGRESS_BITS)
    clear : In(1)
        As `Writer` has them.
    came : Out(1)
        A word was taken.
    busy : Out(1)
        A STORE is not finished.
    fault : Out(4)
        A `Fault` found in this cycle, or zero.
    """

    def __init__(self, config: CollectiveConfig):
        self.config = config
        super().__init__(
            {
                "peer": In(CHIP_BITS),
                "packets": In(stream.Signature(packet_layout(config.link))),
                "stores": In(stream.Signature(STORE_STEP)),
                "window": Out(stream.Signature(window_layout(config))),
                "memory": Out(WriteSignature(config)),
                "credit": Out(Credit),
                "heard": Out(Credit, init={"window": config.window}),
                "tokens": Out(TOKEN_BITS),
                "take_token": In(1),
                "progress": Out(PROGRESS_BITS),
                "clear": In(1),
                "came": Out(1),
                "busy": Out(1),
                "fault": Out(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.queue = queue = WordQueue(STORE_STEP, depth=config.queue)
        m.submodules.writer = writer = Writer(config)
        m.submodules.room = room = WordQueue(window_layout(config), depth=config.window)
        m.d.comb += [
            queue.i.valid.eq(self.stores.valid),
            queue.i.payload.eq(self.stores.payload),
            self.stores.ready.eq(queue.i.ready),
            writer.steps.valid.eq(queue.o.valid),
            writer.steps.payload.address.eq(queue.o.payload.address),
            writer.steps.payload.length.eq(queue.o.payload.length),
            queue.o.ready.eq(writer.steps.ready),
            writer.clear.eq(self.clear),
            self.progress.eq(writer.progress),
            self.busy.eq(writer.busy | queue.o.valid),
        ]
        wiring.connect(m, writer.memory, wiring.flipped(self.memory))
        wiring.connect(m, room.o, wiring.flipped(self.window))
        expected = Signal(LABEL_BITS)
        with m.If(writer.steps.ready):
            m.d.sync += expected.eq(queue.o.payload.label)

        # What the packet is, from its first word on.
        word = self.packets.payload
        tag, note = Tag(word.header.tag), Note(word.header.address)
        kept = Signal(data.StructLayout({"kind": 2, "label": LABEL_BITS, "drop": 1}))
        kind, label = Signal(2), Signal(LABEL_BITS)
        take, wrong, drop, foreign = Signal(), Signal(), Signal(), Signal()
        sequence = Signal(tag.sequence.shape())
        owed = Signal(config.queue.bit_length() + MOST_BEATS.bit_length() + 1)
        m.d.comb += [
            kind.eq(Mux(word.first, tag.kind, kept.kind)),
            label.eq(Mux(word.first, note.label, kept.label)),
            foreign.eq(
                word.first & ((word.header.operation != Operation.COLLECTIVE) | (word.header.source != self.peer))
            ),
            self.packets.ready.eq((kind != Kind.STORE) | drop | writer.beats.ready),
            take.eq(self.packets.valid & self.packets.ready),
            self.came.eq(take),
            room.i.payload.data.eq(word.data),
            room.i.payload.label.eq(label),
            room.i.valid.eq(self.packets.valid & (kind == Kind.REDUCE) & ~drop),
            writer.beats.payload.eq(word.data),
            writer.beats.valid.eq(self.packets.valid & (kind == Kind.STORE) & ~drop),
            drop.eq(wrong | (~word.first & kept.drop)),
        ]
        faults = [
            (foreign | ~word.filled & ~word.cut, Fault.PACKET),
            (word.cut, Fault.CUT),
            ((kind == Kind.STORE) & (owed == 0), Fault.STRAY),
            ((kind == Kind.STORE) & writer.active & (label != expected), Fault.LABEL),
            ((kind == Kind.REDUCE) & ~room.i.ready, Fault.WINDOW),
        ]
        fault = Signal(4)
        for condition, which in reversed(faults):
            with m.If(condition):
                m.d.comb += fault.eq(which)
        m.d.comb += wrong.eq(fault != Fault.NONE)
        with m.If(take):
            m.d.sync += [kept.kind.eq(kind), kept.label.eq(label), kept.drop.eq(drop)]
            with m.If(~kept.drop | word.first):
                m.d.comb += self.fault.eq(fault)

        # Credits and tokens come with first words; a packet of another chip says nothing.
        token = Signal()
        with m.If(take & word.first & ~foreign):
            m.d.sync += [self.heard.eq(note.credit), sequence.eq(tag.sequence + 1)]
            m.d.comb += token.eq(tag.kind == Kind.TOKEN)
            with m.If(tag.sequence != sequence):
                m.d.comb += self.fault.eq(Fault.SEQUENCE)
        with m.If(token & ~self.take_token & self.tokens.all()):
            m.d.comb += self.fault.eq(Fault.TOKEN)
        with m.Else():
            m.d.sync += self.tokens.eq(self.tokens + token - (self.take_token & (self.tokens != 0)))

        freed = Signal(self.credit.window.shape())
        posted = Signal(MOST_BEATS.bit_length())
        put, stored = Signal(), Signal()
        beat_bytes = config.beat_bytes
        m.d.comb += [
            put.eq(self.stores.valid & self.stores.ready),
            posted.eq((self.stores.payload.length + (beat_bytes - 1)) >> (beat_bytes.bit_length() - 1)),
            stored.eq(writer.beats.valid & writer.beats.ready),
            self.credit.window.eq(freed + config.window),
        ]
        m.d.sync += [
            freed.eq(freed + (self.window.valid & self.window.ready)),
            owed.eq(owed + Mux(put, posted, 0) - stored),
        ]
        with m.If(put):
            m.d.sync += self.credit.store.eq(self.credit.store + posted)
        return m
