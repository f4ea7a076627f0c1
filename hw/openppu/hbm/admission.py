"""How entries come into the queues of a pseudo-channel."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import entry_layout, place_layout
from openppu.hbm.pick import gather, oldest, one_hot
from openppu.hbm.queue import arrival_layout
from openppu.hbm.write_buffer import slot_layout


def accepted_layout(config: ChannelConfig) -> data.StructLayout:
    """An entry has been taken in; if it is a write, its words belong into ``slot`` of the write buffer."""
    return data.StructLayout({"valid": 1, "write": 1, "slot": range(config.writes)})


class Admission(wiring.Component):
    """Puts entries into the queues, in order, and gives writes their slots of the write buffer.

    A masked write, with ECC, goes into both: its old words are read and merged first. An entry waits while another of
    its granule is queued, unless both are reads, or writes of which neither has anything to merge: words come in the
    order of the entries, so those get ready in order, and of one row the oldest that is ready goes first.
    Latency: none. Throughput: one entry a clock.

    Members
    -------
    enable : In(1)
    entries : In(stream of entry_layout)
    accepted : Out(accepted_layout)
        In the clock in which an entry is taken.
    released : In(slot_layout)
        A slot is free again.
    place : Out(place_layout)
        The entry's, for which the answers below are.
    probed, full : In(1), one for each queue, reads first
        An entry of that granule is queued; there is no room.
    unmerged : In(1)
        Such a write is, and waits for old bytes.
    hit : In(1)
        The row is open after this clock.
    arrives, arrivals : Out(1), Out(arrival_layout), one for each queue
    conflicts : Out(1), likewise
        An entry waits for one of that queue.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {
                "enable": In(1),
                "entries": In(stream.Signature(entry_layout(config))),
                "accepted": Out(accepted_layout(config)),
                "released": In(slot_layout(config)),
                "place": Out(place_layout(config)),
                "probed": In(1).array(2),
                "full": In(1).array(2),
                "unmerged": In(1),
                "hit": In(1),
                "arrives": Out(1).array(2),
                "arrivals": Out(arrival_layout(config)).array(2),
                "conflicts": Out(1).array(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        writes = self.config.writes
        entry = self.entries.payload
        merge = Signal()
        clash = Signal(2)
        take = Signal()
        m.d.comb += [
            merge.eq(entry.write & entry.masked & (self.config.ecc != "none")),
            clash.eq(Cat(self.probed[0] & entry.write, self.probed[1] & (~entry.write | merge | self.unmerged))),
        ]

        free = Signal(writes, init=(1 << writes) - 1)
        chosen = Signal(writes)
        slot = Signal(range(writes))
        m.d.comb += [chosen.eq(oldest(free)), slot.eq(gather(chosen, list(range(writes))))]
        m.d.sync += free.eq(
            (free & ~Mux(take & entry.write, chosen, 0))
            | Mux(self.released.valid, one_hot(self.released.slot, writes), 0)
        )

        room = Mux(entry.write, ~self.full[1] & free.any() & ~(merge & self.full[0]), ~self.full[0])
        m.d.comb += [
            self.entries.ready.eq(~clash.any() & room & self.enable),
            take.eq(self.entries.valid & self.entries.ready),
            self.accepted.valid.eq(take),
            self.accepted.write.eq(entry.write),
            self.accepted.slot.eq(slot),
            self.place.eq(entry.place),
            self.arrives[0].eq(take & (~entry.write | merge)),
            self.arrives[1].eq(take & entry.write),
        ]
        reads, stores = self.arrivals
        for arrival in (reads, stores):
            m.d.comb += [
                arrival.work.place.eq(entry.place),
                arrival.work.last.eq(entry.last),
                arrival.hit.eq(self.hit),
            ]
        m.d.comb += [
            Cat(self.conflicts).eq(Mux(self.entries.valid, clash, 0)),
            reads.work.source.merge.eq(entry.write),
            reads.work.source.port.eq(entry.port),
            reads.work.source.slot.eq(Mux(entry.write, slot, entry.slot)),
            # A merge may not be read before its words are there, for it goes in behind them.
            reads.unfilled.eq(entry.write),
            stores.work.source.slot.eq(slot),
            stores.unfilled.eq(1),
            stores.unmerged.eq(merge),
        ]
        return m
