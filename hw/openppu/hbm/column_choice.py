"""The access of each clock."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.banks import sent_column_layout, states_layout
from openppu.hbm.commands import ColumnCommand, column_slot_layout
from openppu.hbm.config import ChannelConfig
from openppu.hbm.queue import permits_layout, work_layout
from openppu.hbm.read_path import read_issue_layout
from openppu.hbm.retry import access_layout
from openppu.hbm.settings import Page, settings_layout
from openppu.hbm.write_path import write_issue_layout


class ColumnChoice(wiring.Component):
    """Tells the queues which banks may take an access, and sends that of the bus's present direction.

    A row is closed with the last access that waits for it, if another row of the bank is waited for, and else as the
    page policy says. Accesses to another SID that come closer together than tCCDR would keep the reserved bank from its
    own for ever; so if tCCDR is more than tCCDS, they wait for the oldest entry once its row is open and tRCD over.
    Latency: 1 clock to ``column``. Throughput: an access a clock.

    Members
    -------
    settings : In(settings_layout)
    target, writing : In(1)
        As of `openppu.hbm.direction.Direction`.
    states : In(states_layout)
    blocked : In(a bit a bank)
        Banks that get no access.
    reserved : In(a bit a bank)
        The bank that serves only the oldest entry of the target's queue.
    head_hit : In(1)
        That entry's row is open. With several SIDs only.
    permits : Out(permits_layout), one for each queue, reads first
    works, valid : In(work_layout), In(1), likewise
        The entries that the queues choose.
    issue : Out(1), likewise
    bank, last : Out(bank), Out(1)
        Of the access, if there is one; whether it is its entry's last.
    wanted_row, wanted_other : In(1), one for each queue
        Other entries want the row of the access; want another row of its bank.
    again : In(access_layout)
        An access that goes whatever else, and leaves its row open; only while all banks are ``blocked``.
    chosen : Out(access_layout)
        The access of this clock.
    sent : Out(sent_column_layout)
    column, read_issue, write_issue : Out
        Registers: the command, and where its word goes or is.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        banks = config.organisation.banks
        super().__init__(
            {
                "settings": In(settings_layout()),
                "target": In(1),
                "writing": In(1),
                "states": In(states_layout(banks)),
                "blocked": In(banks),
                "reserved": In(banks),
                **({"head_hit": In(1)} if config.organisation.sids > 1 else {}),
                "permits": Out(permits_layout(banks)).array(2),
                "works": In(work_layout(config)).array(2),
                "valid": In(1).array(2),
                "issue": Out(1).array(2),
                "bank": Out(range(banks)),
                "last": Out(1),
                "wanted_row": In(1).array(2),
                "wanted_other": In(1).array(2),
                "again": In(access_layout(config)),
                "chosen": Out(access_layout(config)),
                "sent": Out(sent_column_layout(config.organisation)),
                "column": Out(column_slot_layout(config.organisation)),
                "read_issue": Out(read_issue_layout(config)),
                "write_issue": Out(write_issue_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        banks = self.config.organisation.banks
        states = self.states
        timing = self.settings.timing
        several_sids = self.config.organisation.sids > 1
        if several_sids:
            # The settings change at rest only.
            lets_it_pass = Signal(init=1)
            m.d.sync += lets_it_pass.eq(timing.tCCDR > timing.tCCDS)
        for write, ready in (
            (0, states.may_read & states.may_turn_to_read),
            (1, states.may_write & states.may_turn_to_write.replicate(banks)),
        ):
            usable = Signal(banks, name="usable_for_writes" if write else "usable_for_reads")
            m.d.comb += [
                usable.eq(ready & states.column_spaced & ~self.blocked),
                self.permits[write].banks.eq(usable & ~self.reserved),
                self.permits[write].head.eq((usable & self.reserved).any() & (self.target == write)),
                self.issue[write].eq((self.writing == write) & self.valid[write]),
            ]
            if several_sids:
                passes = Signal(name="write_passes" if write else "read_passes")
                m.d.comb += passes.eq(
                    lets_it_pass
                    & self.head_hit
                    & (self.target == write)
                    & (ready & ~self.blocked & self.reserved).any()
                )
                with m.If(passes):
                    m.d.comb += self.permits[write].banks.eq(0)

        work = Signal(self.works[0].shape())
        access = self.chosen
        place = access.place
        keep = Signal(banks)
        policy = Signal()
        wanted = Signal()
        contended = Signal()
        auto = Signal()
        m.d.comb += [
            work.eq(Mux(self.writing, self.works[1], self.works[0])),
            self.bank.eq(place.bank),
            self.last.eq(access.last),
            access.eq(self.again),
            wanted.eq(self.wanted_row[0] | self.wanted_row[1]),
            keep.eq(states.keep),
            self.sent.read.eq(access.valid & ~access.write),
            self.sent.write.eq(access.valid & access.write),
            self.sent.bank.eq(place.bank),
            contended.eq(self.wanted_other[0] | self.wanted_other[1]),
            auto.eq(access.last & ~self.again.valid & ~wanted & (contended | policy)),
            self.sent.contended.eq(contended),
            self.sent.auto.eq(auto),
        ]
        with m.If(~self.again.valid):
            m.d.comb += [
                access.valid.eq(self.issue[0] | self.issue[1]),
                access.write.eq(self.writing),
                access.place.eq(work.place),
                access.source.eq(work.source),
                access.last.eq(work.last == 0),
            ]
        with m.Switch(self.settings.page):
            with m.Case(Page.OPEN):
                m.d.comb += policy.eq(0)
            with m.Case(Page.CLOSED):
                m.d.comb += policy.eq(1)
            with m.Default():
                m.d.comb += policy.eq(~keep.bit_select(place.bank, 1))

        command = Signal(ColumnCommand)
        with m.If(self.sent.read):
            m.d.comb += command.eq(Mux(auto, ColumnCommand.RDA, ColumnCommand.RD))
        with m.Elif(self.sent.write):
            m.d.comb += command.eq(Mux(auto, ColumnCommand.WRA, ColumnCommand.WR))
        m.d.sync += [
            self.column.command.eq(command),
            self.column.bank.eq(place.bank),
            self.column.column.eq(place.column),
            self.read_issue.valid.eq(self.sent.read),
            self.read_issue.source.eq(access.source),
            self.read_issue.word.eq(place.column[:3]),
            self.read_issue.place.eq(place),
            self.read_issue.last.eq(access.last),
            self.write_issue.valid.eq(self.sent.write),
            self.write_issue.slot.eq(access.source.slot),
            self.write_issue.word.eq(place.column[:3]),
            self.write_issue.last.eq(access.last),
        ]
        return m
