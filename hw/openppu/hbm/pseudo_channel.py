"""The scheduler of one pseudo-channel."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from openppu.common.shared import shared
from openppu.hbm.accounts import Accounts, counters_layout
from openppu.hbm.bank import Bank
from openppu.hbm.commands import ColumnCommand, RowCommand, column_slot_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.direction import Direction
from openppu.hbm.gates import ColumnGate, RowGate
from openppu.hbm.layouts import entry_layout, place_layout
from openppu.hbm.pick import gather, oldest, one_hot
from openppu.hbm.queue import EntryQueue
from openppu.hbm.read_path import read_issue_layout
from openppu.hbm.refresh import RefreshTimer
from openppu.hbm.row_bus import row_grant_layout, row_request_layout
from openppu.hbm.settings import Page, settings_layout
from openppu.hbm.timers import bank_latencies
from openppu.hbm.write_buffer import slot_layout
from openppu.hbm.write_path import write_issue_layout


def accepted_layout(config: ChannelConfig) -> data.StructLayout:
    """An entry has been taken in; if it is a write, its words belong into ``slot`` of the write buffer."""
    return data.StructLayout({"valid": 1, "write": 1, "slot": range(config.writes)})


class PseudoChannel(wiring.Component):
    """Puts entries into the queues, and chooses the commands of each clock.

    First ready, first come: of the entries whose row is open, the oldest whose bank and bank group can take an access
    gets the column slot; of the others, the oldest whose bank can take it gets an ACT or a PRE. An entry that has
    waited for longer than the limit has its bank for itself, and its direction. A row is closed with the last access
    that waits for it, if another row of the bank is waited for, and else as the page policy says.

    Latency: 1 clock from ``entries`` to the choice of its first command, and another to ``column``, or the row bus.
    Throughput: an access a clock.

    Parameters
    ----------
    config : ChannelConfig

    Members
    -------
    pc : In(1)
        Which of the two it is, and so, its column slot. Constant.
    settings : In(settings_layout)
    enable : In(1)
        The device takes commands.
    stop, stopped : In(1), Out(1)
        Close all banks, and send no more; done.
    temperature : In(3)
        As in `openppu.hbm.phy.PhySignature`.
    entries : In(stream of entry_layout)
        In the order in which they take effect, where they concern the same granule.
    accepted : Out(accepted_layout)
        In the clock in which an entry is taken.
    filled, merged, released : In(slot_layout)
        All words of that slot of the write buffer are there; the old bytes of masked words are; the slot is free again.
    column : Out(column_slot_layout)
        A register.
    read_issue, write_issue : Out
        In the clock of the command.
    row_request, row_grant : Out(row_request_layout), In(row_grant_layout)
        To and from the row bus, in the same clock.
    counters : Out(counters_layout)
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        of = config.organisation
        super().__init__(
            {
                "pc": In(1),
                "settings": In(settings_layout()),
                "enable": In(1),
                "stop": In(1),
                "stopped": Out(1),
                "temperature": In(3),
                "entries": In(stream.Signature(entry_layout(config))),
                "accepted": Out(accepted_layout(config)),
                **{name: In(slot_layout(config)) for name in ("filled", "merged", "released")},
                "column": Out(column_slot_layout(of)),
                "read_issue": Out(read_issue_layout(config)),
                "write_issue": Out(write_issue_layout(config)),
                "row_request": Out(row_request_layout(of)),
                "row_grant": In(row_grant_layout()),
                "counters": Out(counters_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        banks = self.config.organisation.banks
        per_group = self.config.organisation.banks_per_group

        def part(name, component):
            m.submodules[name] = shared(component, platform)
            return component

        reads = part("reads", EntryQueue(self.config, depth=self.config.reads))
        writes = part("writes", EntryQueue(self.config, depth=self.config.writes))
        direction = part("direction", Direction())
        column_gate = part("column_gate", ColumnGate(self.config.organisation))
        row_gate = part("row_gate", RowGate(self.config.organisation))
        refresh = part("refresh", RefreshTimer(self.config.organisation))
        accounts = part("accounts", Accounts())
        each = [part(f"bank_{n}", Bank(self.config.organisation)) for n in range(banks)]
        for user in (direction, column_gate, row_gate, refresh):
            m.d.comb += user.settings.eq(self.settings)
        m.d.comb += [self.counters.eq(accounts.counters), column_gate.slot.eq(self.pc)]

        # The banks' states, a bit each.
        def states(name):
            vector = Signal(banks, name=name)
            m.d.comb += vector.eq(Cat(getattr(bank, name) for bank in each))
            return vector

        def by_group(mask, name):
            vector = Signal(banks, name=name)
            m.d.comb += vector.eq(Cat(mask[number // per_group] for number in range(banks)))
            return vector

        is_open, keep, first, missed = (states(name) for name in ("open", "keep", "first", "missed"))
        settled, settled_early = states("settled"), states("settled_early")
        may_close, may_close_early = states("may_close"), states("may_close_early")
        may_read, may_write, refreshing = states("may_read"), states("may_write"), states("refreshing")
        row_spaced = by_group(row_gate.spaced, "row_spaced")
        row_spaced_early = by_group(row_gate.spaced_early, "row_spaced_early")
        column_spaced = by_group(column_gate.spaced, "column_spaced")
        turned_to_read = by_group(column_gate.may_read, "turned_to_read")

        # The direction, and the oldest entry of it, if that has waited too long: its bank is reserved.
        target, writing = direction.target, direction.writing
        blocked = Signal(banks)
        reserved = Signal(banks)
        head_aged = Signal()
        head_hit = Signal()
        aged = [Signal(name=f"{name}_aged") for name in ("reads", "writes")]
        m.d.comb += [
            aged[0].eq(reads.head_aged & reads.head_valid),
            aged[1].eq(writes.head_aged & writes.head_valid),
            head_aged.eq(Mux(target, aged[1], aged[0])),
            head_hit.eq(Mux(target, writes.head_hit, reads.head_hit)),
            reserved.eq(Mux(head_aged, one_hot(Mux(target, writes.head.bank, reads.head.bank), banks), 0)),
            blocked.eq(refresh.blocked),
        ]

        # The column command.
        issue = Signal()
        work = Signal(reads.column.shape())
        auto = Signal()
        last = Signal()
        for queue, is_write, ready in (
            (reads, 0, may_read & column_spaced & turned_to_read & ~blocked),
            (writes, 1, may_write & column_spaced & Mux(column_gate.may_write, (1 << banks) - 1, 0) & ~blocked),
        ):
            ready_banks = Signal(banks, name=f"{'write' if is_write else 'read'}_banks")
            m.d.comb += [
                ready_banks.eq(ready),
                queue.column_ok.banks.eq(ready_banks & ~reserved),
                queue.column_ok.head.eq((ready_banks & reserved).any() & (target == is_write)),
                queue.issue.eq((writing == is_write) & queue.column_valid),
                queue.bank.eq(work.place.bank),
                queue.leaving.eq((writing == is_write) & last),
            ]
        wanted = Signal()
        contended = Signal()
        policy = Signal()
        m.d.comb += [
            issue.eq(reads.issue | writes.issue),
            work.eq(Mux(writing, writes.column, reads.column)),
            last.eq(work.last == 0),
            wanted.eq(reads.wanted_row | writes.wanted_row),
            contended.eq(reads.wanted_other | writes.wanted_other),
        ]
        with m.Switch(self.settings.page):
            with m.Case(Page.OPEN):
                m.d.comb += policy.eq(0)
            with m.Case(Page.CLOSED):
                m.d.comb += policy.eq(1)
            with m.Default():
                m.d.comb += policy.eq(~keep.bit_select(work.place.bank, 1))
        m.d.comb += auto.eq(last & ~wanted & (contended | policy))

        command = Signal(ColumnCommand)
        m.d.comb += command.eq(
            Mux(
                writing,
                Mux(auto, ColumnCommand.WRA, ColumnCommand.WR),
                Mux(auto, ColumnCommand.RDA, ColumnCommand.RD),
            )
        )
        m.d.sync += [
            self.column.command.eq(Mux(issue, command, ColumnCommand.NOP)),
            self.column.bank.eq(work.place.bank),
            self.column.column.eq(work.place.column),
            self.read_issue.valid.eq(reads.issue),
            self.read_issue.source.eq(work.source),
            self.read_issue.word.eq(work.place.column[:3]),
            self.read_issue.place.eq(work.place),
            self.read_issue.last.eq(last),
            self.write_issue.valid.eq(writes.issue),
            self.write_issue.slot.eq(work.source.slot),
            self.write_issue.word.eq(work.place.column[:3]),
            self.write_issue.last.eq(last),
        ]

        # Row commands: those of the target's queue first, and then those of the other for banks it does not need.
        may_act, may_pre, held = Signal(banks), Signal(banks), Signal(banks)
        m.d.comb += [
            may_act.eq(
                ~is_open & settled & row_spaced & ~blocked & Mux(row_gate.may_act & ~refresh.hold, (1 << banks) - 1, 0)
            ),
            held.eq(
                (Mux(writing, writes.needs.hit, reads.needs.hit) | Mux(target, writes.needs.hit, reads.needs.hit))
                & ~Mux(head_hit, 0, reserved)
            ),
            may_pre.eq(is_open & may_close & ~blocked & ~held & Mux(row_gate.rested, (1 << banks) - 1, 0)),
        ]
        for queue, other, is_write in ((reads, writes, 0), (writes, reads, 1)):
            leftover = Signal(banks, name=f"leftover_{is_write}")
            m.d.comb += [
                leftover.eq(Mux(target == is_write, (1 << banks) - 1, ~other.needs.ready)),
                queue.act_ok.banks.eq(may_act & leftover & ~reserved),
                queue.act_ok.head.eq((may_act & reserved).any() & (target == is_write)),
                queue.pre_ok.banks.eq(may_pre & leftover),
            ]
        request = self.row_request
        act, pre = Signal(place_layout(self.config)), Signal(place_layout(self.config))
        act_of_writes, pre_of_writes = Signal(), Signal()
        act_early = Signal(banks)
        m.d.comb += [
            act_early.eq(settled_early & row_spaced_early),
            act_of_writes.eq(Mux(target, writes.act_valid, ~reads.act_valid)),
            pre_of_writes.eq(Mux(target, writes.pre_valid, ~reads.pre_valid)),
            act.eq(Mux(act_of_writes, writes.act, reads.act)),
            pre.eq(Mux(pre_of_writes, writes.pre, reads.pre)),
            request.act.valid.eq(reads.act_valid | writes.act_valid),
            request.act.early.eq(act_early.bit_select(act.bank, 1) & row_gate.may_act_early),
            request.act.bank.eq(act.bank),
            request.act.row.eq(act.row),
        ]
        with m.If(refresh.valid):
            m.d.comb += [
                request.short.valid.eq(1),
                request.short.early.eq(refresh.early),
                request.short.command.eq(refresh.command),
                request.short.bank.eq(refresh.bank),
            ]
        with m.Else():
            m.d.comb += [
                request.short.valid.eq(reads.pre_valid | writes.pre_valid),
                request.short.early.eq(may_close_early.bit_select(pre.bank, 1) & row_gate.rested_early),
                request.short.command.eq(RowCommand.PRE),
                request.short.bank.eq(pre.bank),
            ]

        # What is sent.
        grant = self.row_grant
        kind = request.short.command
        acts, shorts, closes, auto_closes = (Signal(banks, name=n) for n in ("acts", "shorts", "closes", "auto_closes"))
        columns = Signal(banks)
        closes_one, closes_all, refreshes_one, refreshes_all = (
            Signal(name=n) for n in ("closes_one", "closes_all", "refreshes_one", "refreshes_all")
        )
        m.d.comb += [
            closes_one.eq(grant.short & (kind == RowCommand.PRE)),
            closes_all.eq(grant.short & (kind == RowCommand.PREA)),
            refreshes_one.eq(grant.short & (kind == RowCommand.REFSB)),
            refreshes_all.eq(grant.short & (kind == RowCommand.REF)),
            acts.eq(Mux(grant.act, one_hot(act.bank, banks), 0)),
            shorts.eq(one_hot(request.short.bank, banks)),
            columns.eq(Mux(issue, one_hot(work.place.bank, banks), 0)),
            closes.eq(Mux(closes_all, is_open, Mux(closes_one, shorts, 0))),
            auto_closes.eq(Mux(auto, columns, 0)),
            refresh.granted.eq(grant.short & refresh.valid),
        ]
        latencies = bank_latencies(self.settings.timing)
        for number, bank in enumerate(each):
            m.d.comb += [
                *(bank.latencies[name].eq(value) for name, value in latencies.items()),
                bank.slot.eq(self.pc),
                bank.act.eq(acts[number]),
                bank.act_row.eq(act.row),
                bank.pre.eq(closes[number]),
                bank.refsb.eq(refreshes_one & shorts[number]),
                bank.row_slot.eq(Mux(acts[number], grant.act_slot, grant.short_slot)),
                bank.rd.eq(columns[number] & ~writing),
                bank.wr.eq(columns[number] & writing),
                bank.auto.eq(auto),
                bank.contended.eq(Mux(closes[number], ~refresh.valid, contended)),
            ]
        m.d.comb += [
            column_gate.rd.eq(reads.issue),
            column_gate.wr.eq(writes.issue),
            column_gate.group.eq(work.place.bank[exact_log2(per_group) :]),
            row_gate.act.eq(grant.act),
            row_gate.group.eq(act.bank[exact_log2(per_group) :]),
            row_gate.refsb.eq(refreshes_one),
            row_gate.refall.eq(refreshes_all),
            row_gate.slot.eq(Mux(grant.act, grant.act_slot, grant.short_slot)),
        ]

        # Arrivals.
        entry = self.entries.payload
        merge = Signal()
        ready = Signal()
        take = Signal()
        conflicts = Signal(2)
        free = Signal(self.config.writes, init=(1 << self.config.writes) - 1)
        slot_taken = Signal(self.config.writes)
        slot = Signal(range(self.config.writes))
        rows = Array(bank.row for bank in each)
        hit = Signal()
        stay_open = Signal(banks)
        m.d.comb += [
            stay_open.eq(is_open & ~closes & ~auto_closes),
            merge.eq(entry.write & entry.masked & (self.config.ecc != "none")),
            conflicts.eq(Cat(reads.probed & entry.write, writes.probed)),
            ready.eq(
                ~conflicts.any()
                & Mux(entry.write, ~writes.full & free.any() & ~(merge & reads.full), ~reads.full)
                & self.enable
            ),
            self.entries.ready.eq(ready),
            take.eq(self.entries.valid & ready),
            slot_taken.eq(oldest(free)),
            slot.eq(gather(slot_taken, list(range(self.config.writes)))),
            self.accepted.valid.eq(take),
            self.accepted.write.eq(entry.write),
            self.accepted.slot.eq(slot),
            hit.eq(
                stay_open.bit_select(entry.place.bank, 1) & (rows[entry.place.bank] == entry.place.row)
                | (grant.act & (act.bank == entry.place.bank) & (act.row == entry.place.row))
            ),
            reads.arrives.eq(take & (~entry.write | merge)),
            writes.arrives.eq(take & entry.write),
            reads.arrival.work.source.merge.eq(entry.write),
            reads.arrival.work.source.port.eq(entry.port),
            reads.arrival.work.source.slot.eq(Mux(entry.write, slot, entry.slot)),
            writes.arrival.work.source.slot.eq(slot),
            # A merge may not be read before its words are there, for it goes in behind them.
            reads.arrival.unfilled.eq(entry.write),
            writes.arrival.unfilled.eq(1),
            writes.arrival.unmerged.eq(merge),
            writes.merged.eq(self.merged),
        ]
        m.d.sync += free.eq(
            (free & ~Mux(take & entry.write, slot_taken, 0))
            | Mux(self.released.valid, one_hot(self.released.slot, self.config.writes), 0)
        )
        age = Signal(15)
        tick = Signal()
        m.d.comb += tick.eq(age >= self.settings.age_limit[1:])
        m.d.sync += age.eq(Mux(tick, 0, age + 1))
        for queue in (reads, writes):
            m.d.comb += [
                queue.arrival.work.place.eq(entry.place),
                queue.arrival.work.last.eq(entry.last),
                queue.arrival.hit.eq(hit),
                queue.probe.eq(entry.place),
                queue.opened.eq(act),
                queue.opens.eq(grant.act),
                queue.closed.eq(closes | auto_closes),
                queue.filled.eq(self.filled),
                queue.tick.eq(tick),
            ]
        m.d.comb += [
            direction.reads.eq(reads.some),
            direction.writes.eq(writes.level.any()),
            direction.level.eq(writes.level),
            direction.full.eq(writes.full),
            direction.hits.eq(Cat(reads.some_hits, writes.some_hits)),
            direction.many_hits.eq(Cat(reads.many_hits, writes.many_hits)),
            direction.head_leaves.eq(Cat(reads.head_leaves, writes.head_leaves)),
            direction.urgent.eq(Cat(aged) | Mux(self.entries.valid, conflicts, 0)),
        ]

        # A batch of the other direction is too far off to count.
        near = Signal(banks)
        m.d.comb += near.eq(
            Mux(target, writes.needs.near, reads.needs.near)
            | Mux(target != writing, Mux(writing, writes.needs.hit, reads.needs.hit), 0)
        )
        m.d.comb += [
            refresh.temperature.eq(self.temperature),
            refresh.idle.eq(~reads.some & ~writes.some & ~self.entries.valid),
            refresh.enable.eq(self.enable),
            refresh.stop.eq(self.stop),
            self.stopped.eq(refresh.stopped),
            refresh.near.eq(near),
            refresh.rested.eq(row_gate.rested),
            refresh.rested_early.eq(row_gate.rested_early),
        ]
        for name, value in (
            ("open", is_open),
            ("settled", settled),
            ("settled_early", settled_early),
            ("may_close", may_close),
            ("may_close_early", may_close_early),
            ("spaced", row_spaced),
            ("spaced_early", row_spaced_early),
            ("refreshing", refreshing),
        ):
            m.d.comb += refresh.states[name].eq(value)

        # What it all went to.
        events, causes = accounts.events, accounts.causes
        is_first = Signal()
        is_missed = Signal()
        needs = Signal(reads.needs.shape())
        unready = Signal(banks)
        m.d.comb += [
            is_first.eq(first.bit_select(work.place.bank, 1)),
            is_missed.eq(missed.bit_select(work.place.bank, 1)),
            events.reads.eq(reads.issue),
            events.writes.eq(writes.issue),
            events.row_hits.eq(issue & ~is_first),
            events.row_misses.eq(issue & is_first & ~is_missed),
            events.row_conflicts.eq(issue & is_first & is_missed),
            events.activates.eq(grant.act),
            events.precharges.eq(closes_one | closes_all),
            events.refreshes.eq(refreshes_one | refreshes_all),
            events.turnarounds.eq(direction.turned),
            needs.eq(Mux(writing, writes.needs, reads.needs)),
            unready.eq(~(refreshing | refresh.blocked) & Mux(row_gate.rested, (1 << banks) - 1, 0)),
            causes.no_request.eq(~reads.some & ~writes.some),
            causes.hold.eq(~(reads.needs.ready | writes.needs.ready).any()),
            causes.refresh.eq(needs.ready.any() & ~(needs.ready & unready).any()),
            causes.turnaround.eq(
                Mux(
                    writing,
                    (writes.needs.hit & may_write).any() & ~column_gate.may_write,
                    (reads.needs.hit & may_read).any() & ~(reads.needs.hit & may_read & turned_to_read).any(),
                )
            ),
            causes.bank_group.eq((needs.hit & Mux(writing, may_write, may_read)).any()),
        ]
        return m
