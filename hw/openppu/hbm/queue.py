"""The reads, or the writes, that wait for their turn in a pseudo-channel, in the order of their arrival."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import place_layout, source_layout
from openppu.hbm.pick import at_least, gather, oldest, one_hot, tree
from openppu.hbm.write_buffer import slot_layout

NEAR = 3 / 8
"""The share of the queue, from its head, whose banks are about to be needed."""

MANY = 4
"""Entries with open rows that make it worth turning the data bus round."""


def work_layout(config: ChannelConfig) -> data.StructLayout:
    """An entry: ``last + 1`` accesses from a place on; their data goes to, or is at, ``source``."""
    return data.StructLayout({"place": place_layout(config), "last": range(GRANULE), "source": source_layout(config)})


def arrival_layout(config: ChannelConfig) -> data.StructLayout:
    """An entry as it joins: ``hit``, its row is open; ``unfilled``, ``unmerged``: its data is not complete."""
    return data.StructLayout({"work": work_layout(config), "hit": 1, "unfilled": 1, "unmerged": 1})


def permits_layout(banks: int) -> data.StructLayout:
    """Banks (a bit each) to which a command may go now, and whether one for the oldest entry may."""
    return data.StructLayout({"banks": banks, "head": 1})


def needs_layout(banks: int) -> data.StructLayout:
    """Banks (a bit each) that entries are for: ``any`` entry; a ready one; a ready one whose row is open; and those of
    the oldest entries."""
    return data.StructLayout({"any": banks, "ready": banks, "hit": banks, "near": banks})


def closes_layout(banks: int) -> data.StructLayout:
    """What closes banks in a clock: the ``access``, that of it; a ``row`` command, that ``bank``; or ``all`` close."""
    return data.StructLayout({"access": 1, "row": 1, "bank": range(banks), "all": 1})


class EntryQueue(wiring.Component):
    """A queue whose entries leave in any order, and move up: an entry's place is its age.

    Each entry knows whether its row is open, by following all commands that open and close rows, so no row is compared
    to choose one. Latency: an entry can be chosen in the clock after its arrival. Throughput: one arrival and one
    access a clock.

    Parameters
    ----------
    config : ChannelConfig
    depth : int
        Entries.

    Members
    -------
    arrival, arrives : In(arrival_layout), In(1)
        An entry joins; only while not ``full``.
    column_ok, act_ok, pre_ok : In(permits_layout)
        What ``column``, ``act`` and ``pre`` are chosen by.
    column, column_valid : Out(work_layout), Out(1)
        The oldest ready entry whose row is open and to whose bank an access may go.
    issue : In(1)
        An access of that entry goes: the entry moves on to its next one, or leaves after its last.
    act, act_valid, pre, pre_valid : Out(place_layout), Out(1)
        The oldest ready entry whose row is not open, and to whose bank an ACT, or a PRE, may go.
    opened, opens, closes : In(place_layout), In(1), In(closes_layout)
        Rows that commands of this clock open and close.
    filled, merged : In(slot_layout)
        The words of that slot of the write buffer are there; the old bytes are.
    probe, probed, probed_unmerged : In(place_layout), Out(1), Out(1)
        An entry is in the granule of that place; one that waits for old bytes is.
    bank, leaving, wanted_row, wanted_other : In(bank), In(1), Out(1), Out(1)
        An entry's row is open in that bank, the access's (with ``leaving``, besides the entry that is chosen in
        ``column``); a ready entry wants another row of it.
    tick : In(1)
        Half of the age limit has passed.
    head, head_valid, head_hit, head_aged, head_leaves : Out(place_layout), Out(1), Out(1), Out(1), Out(1)
        The oldest entry, valid if ready; its row is open; it has waited for longer than half of the age limit, and at
        most for all; it leaves in this clock.
    needs : Out(needs_layout)
    some, full, level, many_hits, some_hits : Out
        Some entry waits; none can join; how many are ready; `MANY`, or any of these, find their row open.
    """

    def __init__(self, config: ChannelConfig, *, depth: int):
        self.config = config
        self.depth = depth
        banks = config.organisation.banks
        bank = range(banks)
        place = place_layout(config)
        permits = permits_layout(banks)
        super().__init__(
            {
                "arrival": In(arrival_layout(config)),
                "arrives": In(1),
                "column_ok": In(permits),
                "act_ok": In(permits),
                "pre_ok": In(permits),
                "column": Out(work_layout(config)),
                "column_valid": Out(1),
                "issue": In(1),
                "act": Out(place),
                "act_valid": Out(1),
                "pre": Out(place),
                "pre_valid": Out(1),
                "opened": In(place),
                "opens": In(1),
                "closes": In(closes_layout(banks)),
                "filled": In(slot_layout(config)),
                "merged": In(slot_layout(config)),
                "probe": In(place),
                "probed": Out(1),
                "probed_unmerged": Out(1),
                "bank": In(bank),
                "leaving": In(1),
                "wanted_row": Out(1),
                "wanted_other": Out(1),
                "tick": In(1),
                "head": Out(place),
                "head_valid": Out(1),
                "head_hit": Out(1),
                "head_aged": Out(1),
                "head_leaves": Out(1),
                "needs": Out(needs_layout(banks)),
                "some": Out(1),
                "full": Out(1),
                "level": Out(range(depth + 1)),
                "many_hits": Out(1),
                "some_hits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth, banks = self.depth, self.config.organisation.banks
        layout = work_layout(self.config)

        storage = [Signal(layout.size, name=f"entry_{place}", reset_less=True) for place in range(depth)]
        entries = [data.View(layout, entry) for entry in storage]
        marks = ("valid", "hit", "unfilled", "unmerged", "waited", "aged")
        valid, hit, unfilled, unmerged, waited, aged = (Signal(depth, name=name) for name in marks)
        ready = Signal(depth)
        m.d.comb += ready.eq(valid & ~unfilled & ~unmerged)

        # Choice.
        def permitted(permits, name):
            allowed = Signal(banks, name=f"{name}_banks")
            m.d.comb += allowed.eq(permits.banks)
            return Cat(
                allowed.bit_select(entry.place.bank, 1) | (permits.head if place == 0 else 0)
                for place, entry in enumerate(entries)
            )

        def choose(name, candidates, values):
            wanted = Signal(depth, name=f"{name}_candidates")
            chosen = Signal(depth, name=f"{name}_chosen")
            m.d.comb += [wanted.eq(candidates), chosen.eq(oldest(wanted))]
            return chosen, wanted.any(), gather(chosen, values)

        places = [entry.place.as_value() for entry in entries]
        picked, column_valid, column = choose("column", ready & hit & permitted(self.column_ok, "column"), storage)
        _, act_valid, act = choose("act", ready & ~hit & permitted(self.act_ok, "act"), places)
        _, pre_valid, pre = choose("pre", ready & ~hit & permitted(self.pre_ok, "pre"), places)
        m.d.comb += [
            self.column_valid.eq(column_valid),
            self.column.eq(column),
            self.act_valid.eq(act_valid),
            self.act.eq(act),
            self.pre_valid.eq(pre_valid),
            self.pre.eq(pre),
        ]

        # Marks, as they are after this clock's commands.
        leave = Signal()
        leaving = Signal(depth)
        m.d.comb += leave.eq(self.issue & (self.column.last == 0))

        def in_slot(event):
            return Cat(event.valid & (entry.source.slot == event.slot) for entry in entries)

        opened = Cat(
            (entry.place.bank == self.opened.bank) & (entry.place.row == self.opened.row) & self.opens
            for entry in entries
        )
        here = Signal(depth)
        closed = Signal(depth)
        m.d.comb += [
            here.eq(Cat(entry.place.bank == self.bank for entry in entries)),
            closed.eq(
                Mux(self.closes.access, here, 0)
                | Cat(self.closes.row & (entry.place.bank == self.closes.bank) for entry in entries)
                | self.closes.all.replicate(depth)
            ),
        ]
        fills = Signal(depth)
        merges = Signal(depth)
        readied = Signal(depth)
        m.d.comb += [
            fills.eq(in_slot(self.filled) & unfilled),
            merges.eq(in_slot(self.merged) & unmerged),
            readied.eq((fills & (~unmerged | merges)) | (merges & (~unfilled | fills))),
        ]

        # Places behind an entry that leaves move up by one.
        joins = Signal(depth)
        end = Signal(depth)
        m.d.comb += [
            leaving.eq(Mux(leave, ~(picked - 1)[:depth], 0)),
            end.eq((valid + 1)[:depth] & ~valid),
            joins.eq(Mux(self.arrives, Mux(leave, Mux(self.full, 1 << (depth - 1), end >> 1), end), 0)),
        ]

        def moved(mark, arriving):
            return (mark & ~leaving) | ((mark >> 1) & leaving) | Mux(arriving, joins, 0)

        m.d.sync += [
            valid.eq(((valid >> 1) & leaving) | (valid & ~leaving) | joins),
            hit.eq(moved((hit & ~closed) | (opened & valid), self.arrival.hit)),
            unfilled.eq(moved(unfilled & ~fills, self.arrival.unfilled)),
            unmerged.eq(moved(unmerged & ~merges, self.arrival.unmerged)),
            waited.eq(moved(Mux(self.tick, valid, waited), 0)),
            aged.eq(moved(Mux(self.tick, waited, aged), 0)),
        ]

        progress = self.column.place.column[:3] + 1
        for place, entry in enumerate(entries):
            with m.If(joins[place]):
                m.d.sync += storage[place].eq(self.arrival.work)
            if place + 1 < depth:
                with m.Elif(leaving[place]):
                    m.d.sync += storage[place].eq(storage[place + 1])
            with m.Elif(self.issue & picked[place]):
                m.d.sync += [entry.place.column[:3].eq(progress), entry.last.eq(self.column.last - 1)]

        # What others ask.
        others = Signal(depth)
        same = Signal(depth)
        m.d.comb += [
            same.eq(
                Cat(
                    valid[place]
                    & (entry.place.bank == self.probe.bank)
                    & (entry.place.row == self.probe.row)
                    & (entry.place.column[3:] == self.probe.column[3:])
                    for place, entry in enumerate(entries)
                )
            ),
            others.eq(here & valid & ~Mux(self.leaving, picked, 0)),
            self.wanted_row.eq((others & hit).any()),
            self.wanted_other.eq((others & ~hit & ready).any()),
            self.probed.eq(same.any()),
            self.probed_unmerged.eq((same & unmerged).any()),
            self.head.eq(places[0]),
            self.head_valid.eq(ready[0]),
            self.head_hit.eq(hit[0]),
            self.head_aged.eq(aged[0]),
            self.head_leaves.eq(leave & picked[0]),
        ]

        def banks_of(mark, count=depth):
            masks = [Mux(mark[place], one_hot(entries[place].place.bank, banks), 0) for place in range(count)]
            return tree(lambda a, b: a | b, masks)

        hits = Signal(depth)
        level = Signal(range(depth + 1))
        arrives_ready = Signal()
        m.d.comb += [
            hits.eq(ready & hit),
            self.needs.any.eq(banks_of(valid)),
            self.needs.ready.eq(banks_of(ready)),
            self.needs.hit.eq(banks_of(hits)),
            self.needs.near.eq(banks_of(valid, max(1, int(NEAR * depth)))),
            self.some.eq(valid[0]),
            self.full.eq(valid[-1]),
            self.some_hits.eq(hits.any()),
            self.many_hits.eq(at_least(MANY, hits)),
            arrives_ready.eq(self.arrives & ~self.arrival.unfilled & ~self.arrival.unmerged),
            self.level.eq(level),
        ]
        # At most two become ready in a clock, one filled and another merged.
        m.d.sync += level.eq(level + arrives_ready + readied.any() + at_least(2, readied) - leave)
        return m
