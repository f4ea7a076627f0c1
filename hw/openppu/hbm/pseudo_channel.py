"""The scheduler of one pseudo-channel."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.hbm.accounts import Accounts, counters_layout
from openppu.hbm.admission import Admission, accepted_layout
from openppu.hbm.banks import Banks
from openppu.hbm.column_choice import ColumnChoice
from openppu.hbm.commands import RowCommand, column_slot_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.direction import Direction
from openppu.hbm.hammer import Hammer
from openppu.hbm.layouts import entry_layout
from openppu.hbm.pick import one_hot
from openppu.hbm.queue import EntryQueue
from openppu.hbm.read_path import read_issue_layout
from openppu.hbm.refresh import RefreshTimer
from openppu.hbm.retry import DEPTH, Retry
from openppu.hbm.row_bus import row_grant_layout, row_request_layout
from openppu.hbm.row_choice import RowChoice
from openppu.hbm.settings import settings_layout
from openppu.hbm.write_buffer import slot_layout
from openppu.hbm.write_path import write_issue_layout


class PseudoChannel(wiring.Component):
    """Puts entries into the queues, and chooses the commands of each clock.

    First ready, first come: of the entries whose row is open, the oldest whose bank and bank group can take an access
    gets the column slot; of the others, the oldest whose bank can take it gets an ACT or a PRE. An entry that has
    waited for longer than the limit has its bank for itself, and its direction.

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
    asleep : In(1)
        The device refreshes itself.
    busy : Out(1)
        An entry waits.
    closed, urgent, paid : Out(1)
        As of `openppu.hbm.refresh.RefreshTimer`.
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
    hammer_overflow : Out(1)
        As of `openppu.hbm.hammer.Hammer`; 0 without it.
    address_error : In(2)
        As in `openppu.hbm.phy.PhySignature`.
    cancel, parity_failed : Out
        ``cancel`` and ``failed`` of `openppu.hbm.retry.Retry`; 0 without it.
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
                "asleep": In(1),
                **{name: Out(1) for name in ("busy", "closed", "urgent", "paid")},
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
                "hammer_overflow": Out(1),
                "address_error": In(2),
                "cancel": Out(range(DEPTH + 1)),
                "parity_failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        count = config.organisation.banks

        def part(name, component):
            m.submodules[name] = shared(component, platform)
            return component

        reads = part("reads", EntryQueue(config, depth=config.reads))
        writes = part("writes", EntryQueue(config, depth=config.writes))
        admission = part("admission", Admission(config))
        banks = part("banks", Banks(config.organisation))
        direction = part("direction", Direction())
        columns = part("columns", ColumnChoice(config))
        rows = part("rows", RowChoice(config))
        refresh = part("refresh", RefreshTimer(config.organisation))
        accounts = part("accounts", Accounts())
        queues = (reads, writes)
        for user in (banks, direction, columns, refresh):
            m.d.comb += user.settings.eq(self.settings)

        # The direction; and its oldest entry, if that has waited too long: its bank is reserved.
        target, writing = direction.target, direction.writing
        aged = Signal(2)
        reserved = Signal(count)
        m.d.comb += [
            aged.eq(Cat(queue.head_aged & queue.head_valid for queue in queues)),
            reserved.eq(
                Mux(
                    aged.bit_select(target, 1),
                    one_hot(Mux(target, writes.head.bank, reads.head.bank), count),
                    0,
                )
            ),
            direction.reads.eq(reads.some),
            direction.writes.eq(writes.level.any()),
            direction.level.eq(writes.level),
            direction.full.eq(writes.full),
            direction.hits.eq(Cat(queue.some_hits for queue in queues)),
            direction.many_hits.eq(Cat(queue.many_hits for queue in queues)),
            direction.head_leaves.eq(Cat(queue.head_leaves for queue in queues)),
            direction.urgent.eq(aged | Cat(admission.conflicts)),
        ]

        # Choices.
        blocked = Signal(count)
        paused, unsure, unsafe = Signal(), Signal(), Signal()
        m.d.comb += [blocked.eq(refresh.blocked | paused.replicate(count)), rows.hold.eq(refresh.hold | paused)]
        for user in (columns, rows):
            m.d.comb += [
                user.target.eq(target),
                user.writing.eq(writing),
                user.states.eq(banks.states),
                user.reserved.eq(reserved),
                user.blocked.eq(blocked),
            ]
        if config.organisation.sids > 1:
            m.d.comb += columns.head_hit.eq(rows.head_hit)
        for index, queue in enumerate(queues):
            m.d.comb += [
                queue.column_ok.eq(columns.permits[index]),
                columns.works[index].eq(queue.column),
                columns.valid[index].eq(queue.column_valid),
                queue.issue.eq(columns.issue[index]),
                queue.bank.eq(columns.bank),
                queue.leaving.eq((writing == index) & columns.last),
                columns.wanted_row[index].eq(queue.wanted_row),
                columns.wanted_other[index].eq(queue.wanted_other),
                queue.act_ok.eq(rows.act_ok[index]),
                queue.pre_ok.eq(rows.pre_ok[index]),
                rows.needs[index].eq(queue.needs),
                rows.wishes[index].act.eq(queue.act),
                rows.wishes[index].act_valid.eq(queue.act_valid),
                rows.wishes[index].pre.eq(queue.pre),
                rows.wishes[index].pre_valid.eq(queue.pre_valid),
            ]
        m.d.comb += [
            rows.head_hit.eq(Mux(target, writes.head_hit, reads.head_hit)),
            self.row_request.eq(rows.request),
            rows.grant.eq(self.row_grant),
            self.column.eq(columns.column),
            self.read_issue.eq(columns.read_issue),
            self.write_issue.eq(columns.write_issue),
            banks.pc.eq(self.pc),
            banks.column.eq(columns.sent),
            banks.row.eq(rows.sent),
        ]

        # Arrivals.
        age = Signal(15)
        tick = Signal()
        m.d.comb += tick.eq(age >= self.settings.age_limit[1:])
        m.d.sync += age.eq(Mux(tick, 0, age + 1))
        wiring.connect(m, wiring.flipped(self.entries), admission.entries)
        m.d.comb += [
            admission.enable.eq(self.enable),
            admission.released.eq(self.released),
            self.accepted.eq(admission.accepted),
            banks.asked_bank.eq(admission.place.bank),
            banks.asked_row.eq(admission.place.row),
            admission.hit.eq(banks.open_after),
            writes.merged.eq(self.merged),
            admission.unmerged.eq(writes.probed_unmerged),
        ]
        for index, queue in enumerate(queues):
            m.d.comb += [
                queue.probe.eq(admission.place),
                admission.probed[index].eq(queue.probed),
                admission.full[index].eq(queue.full),
                queue.arrives.eq(admission.arrives[index]),
                queue.arrival.eq(admission.arrivals[index]),
                queue.filled.eq(self.filled),
                queue.tick.eq(tick),
                queue.opens.eq(rows.sent.act),
                queue.opened.bank.eq(rows.sent.act_bank),
                queue.opened.row.eq(rows.sent.act_row),
                queue.closes.access.eq((columns.sent.read | columns.sent.write) & columns.sent.auto),
                queue.closes.row.eq(rows.sent.short == RowCommand.PRE),
                queue.closes.bank.eq(rows.sent.short_bank),
                queue.closes.all.eq(rows.sent.short == RowCommand.PREA),
            ]

        # Refresh. A batch of the other direction is too far off to count.
        m.d.comb += [
            refresh.enable.eq(self.enable),
            refresh.stop.eq(self.stop),
            self.stopped.eq(refresh.stopped & ~paused & ~unsure),
            refresh.asleep.eq(self.asleep),
            self.closed.eq(refresh.closed & ~paused & ~unsure),
            self.urgent.eq(refresh.urgent),
            self.paid.eq(refresh.paid),
            self.busy.eq(reads.some | writes.some | self.entries.valid | paused),
            refresh.temperature.eq(self.temperature),
            refresh.idle.eq(~self.busy),
            refresh.near.eq(
                Mux(target, writes.needs.near, reads.needs.near)
                | Mux(target != writing, Mux(writing, writes.needs.hit, reads.needs.hit), 0)
            ),
            refresh.states.eq(banks.states),
            refresh.granted.eq(self.row_grant.short & rows.refresh.valid),
            rows.refresh.valid.eq(refresh.valid & ~paused & ~unsafe),
            rows.refresh.early.eq(refresh.early),
            rows.refresh.command.eq(refresh.command),
            rows.refresh.bank.eq(refresh.bank),
        ]

        # Neighbours of hammered rows.
        if config.hammer_entries:
            hammer = part("hammer", Hammer(config))
            m.d.comb += [
                hammer.settings.eq(self.settings),
                hammer.sent.eq(rows.sent),
                hammer.states.eq(banks.states),
                hammer.refreshing.eq(refresh.blocked | paused.replicate(count)),
                hammer.refresh_next.eq(refresh.hold),
                hammer.lost.eq(paused),
                hammer.grant.eq(self.row_grant),
                blocked.eq(refresh.blocked | hammer.blocked | paused.replicate(count)),
                rows.hold.eq(refresh.hold | hammer.hold | paused),
                rows.busy.eq(hammer.busy),
                rows.other.eq(hammer.request),
                accounts.events.victims.eq(hammer.victim),
                self.hammer_overflow.eq(hammer.overflow),
            ]

        # Commands that the device did not take.
        if config.retry:
            retry = part("retry", Retry(config))
            sent = rows.sent
            m.d.comb += [
                retry.settings.eq(self.settings),
                retry.error.eq(Mux(self.enable, self.address_error, 0)),
                retry.states.eq(banks.states),
                retry.busy.eq(rows.busy),
                retry.access.eq(columns.chosen),
                retry.refresh.valid.eq((sent.short == RowCommand.REFSB) | (sent.short == RowCommand.REF)),
                retry.refresh.all.eq(sent.short == RowCommand.REF),
                retry.refresh.bank.eq(sent.short_bank),
                retry.refresh.slot.eq(sent.short_slot),
                retry.sends.eq(columns.chosen.valid | sent.act | (sent.short != RowCommand.NOP)),
                retry.grant.eq(self.row_grant),
                columns.again.eq(retry.again),
                admission.released.eq(retry.released),
                paused.eq(retry.active),
                unsure.eq(retry.unsure),
                # A bank may be open although its last access was to close it.
                unsafe.eq(
                    retry.refreshed | ((refresh.command == RowCommand.PREA) & ~banks.states.may_close_early.all())
                ),
                accounts.events.retries.eq(retry.begins),
                self.cancel.eq(retry.cancel),
                self.parity_failed.eq(retry.failed),
            ]
            with m.If(retry.active):
                m.d.comb += rows.other.eq(retry.request)

        # What it all went to.
        events, causes, states = accounts.events, accounts.causes, banks.states
        first, missed = Signal(count), Signal(count)
        is_first, is_missed = Signal(), Signal()
        issue = Signal()
        short = rows.sent.short
        needs = Signal(reads.needs.shape())
        opened = Signal(count)
        resting = Signal(count)
        m.d.comb += [
            self.counters.eq(accounts.counters),
            accounts.arrives.eq(Cat(admission.arrives)),
            accounts.leaves.eq(Cat(columns.issue) & columns.last.replicate(2)),
            first.eq(states.first),
            missed.eq(states.missed),
            is_first.eq(first.bit_select(columns.bank, 1)),
            is_missed.eq(missed.bit_select(columns.bank, 1)),
            issue.eq(columns.sent.read | columns.sent.write),
            events.reads.eq(columns.sent.read),
            events.writes.eq(columns.sent.write),
            events.row_hits.eq(issue & ~is_first),
            events.row_misses.eq(issue & is_first & ~is_missed),
            events.row_conflicts.eq(issue & is_first & is_missed),
            events.activates.eq(rows.sent.act),
            events.precharges.eq((short == RowCommand.PRE) | (short == RowCommand.PREA)),
            events.refreshes.eq((short == RowCommand.REFSB) | (short == RowCommand.REF)),
            events.turnarounds.eq(direction.turned),
            needs.eq(Mux(writing, writes.needs, reads.needs)),
            opened.eq(needs.hit & Mux(writing, states.may_write, states.may_read)),
            resting.eq(states.refreshing | blocked | ~states.rested.replicate(count)),
            causes.no_request.eq(~reads.some & ~writes.some),
            causes.hold.eq(~(reads.needs.ready | writes.needs.ready).any()),
            causes.refresh.eq(needs.ready.any() & ~(needs.ready & ~resting).any()),
            causes.turnaround.eq(
                opened.any() & Mux(writing, ~states.may_turn_to_write, ~(opened & states.may_turn_to_read).any())
            ),
            causes.bank_group.eq(opened.any()),
        ]
        return m
