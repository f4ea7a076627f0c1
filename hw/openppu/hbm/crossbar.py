"""Joins the ports' work for one pseudo-channel."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import entry_layout, write_word_layout
from openppu.hbm.write_buffer import fill_layout, slot_layout

PENDING = 8
"""Write entries that were taken, and whose words are not all in the write buffer."""


class Crossbar(wiring.Component):
    """Lets the ports take turns, and brings the words of their writes to the slots that the pseudo-channel gave them.

    Latency: 0 cycles for an entry; its words follow from the next cycle on. Throughput: one entry and one word a cycle.

    Members
    -------
    ports : In(stream of entry_layout(config)), array of one a port
    port_words : In(stream of write_word_layout()), array of one a port
        The words of the port's write entries, in order.
    entries : Out(stream of entry_layout(config))
        With the number of its port.
    write_slot : In(range(config.writes))
        The slot for the words of the entry that is taken in this cycle, if it is a write.
    fill : Out(stream of fill_layout(config))
        Words, in the order of the entries.
    filled : Out(slot_layout(config))
        In the cycle in which the last word of an entry is taken from ``fill``.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "ports": In(stream.Signature(entry_layout(config))).array(config.ports),
                "port_words": In(stream.Signature(write_word_layout())).array(config.ports),
                "entries": Out(stream.Signature(entry_layout(config))),
                "write_slot": In(range(config.writes)),
                "fill": Out(stream.Signature(fill_layout(config))),
                "filled": Out(slot_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        pending_shape = data.StructLayout(
            {
                "port": range(config.ports),
                "slot": range(config.writes),
                "word": range(GRANULE),
                "last": range(GRANULE),
            }
        )
        m.submodules.pending = pending = fifo.SyncFIFO(width=pending_shape.size, depth=PENDING)
        m.submodules.turns = turns = RoundRobin(config.ports)

        # A port that was offered stays until it is taken.
        waits = Signal()
        waiting = Signal(range(config.ports))
        pick = Signal(range(config.ports))
        taken = Signal()
        entry = self.entries.payload
        m.d.comb += [
            turns.requests.eq(Cat(port.valid & (~port.payload.write | pending.w_rdy) for port in self.ports)),
            turns.served.eq(self.entries.valid & ~waits),
            pick.eq(Mux(waits, waiting, turns.pick)),
            self.entries.valid.eq(turns.valid),
            entry.eq(Array(port.payload.as_value() for port in self.ports)[pick]),
            entry.port.eq(pick),
            taken.eq(self.entries.valid & self.entries.ready),
        ]
        m.d.sync += [waits.eq(self.entries.valid & ~self.entries.ready), waiting.eq(pick)]
        for place, port in enumerate(self.ports):
            m.d.comb += port.ready.eq(taken & (pick == place))

        new = Signal(pending_shape)
        m.d.comb += [
            new.port.eq(pick),
            new.slot.eq(self.write_slot),
            new.word.eq(entry.place.column),
            new.last.eq(entry.last),
            pending.w_data.eq(new),
            pending.w_en.eq(taken & entry.write),
        ]

        # Words, of one entry after the other.
        head = Signal(pending_shape)
        index = Signal(range(GRANULE))
        word = self.fill.payload
        step = Signal()
        last = Signal()
        m.d.comb += [
            head.eq(pending.r_data),
            self.fill.valid.eq(pending.r_rdy & Array(words.valid for words in self.port_words)[head.port]),
            Cat(word.data, word.mask).eq(Array(words.payload.as_value() for words in self.port_words)[head.port]),
            word.slot.eq(head.slot),
            word.word.eq(head.word + index),
            step.eq(self.fill.valid & self.fill.ready),
            last.eq(index == head.last),
            pending.r_en.eq(step & last),
            self.filled.valid.eq(step & last),
            self.filled.slot.eq(head.slot),
        ]
        for place, words in enumerate(self.port_words):
            m.d.comb += words.ready.eq(pending.r_rdy & self.fill.ready & (head.port == place))
        with m.If(step):
            m.d.sync += index.eq(Mux(last, 0, index + 1))
        return m
