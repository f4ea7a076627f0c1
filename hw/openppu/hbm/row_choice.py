"""The row commands that a pseudo-channel would send in each clock."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.banks import sent_row_layout, states_layout
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import place_layout
from openppu.hbm.queue import needs_layout, permits_layout
from openppu.hbm.row_bus import row_grant_layout, row_request_layout


def wish_layout(config: ChannelConfig) -> data.StructLayout:
    """The places for which a queue would have an ACT, and a PRE of the bank."""
    place = place_layout(config)
    return data.StructLayout({"act": place, "act_valid": 1, "pre": place, "pre_valid": 1})


class RowChoice(wiring.Component):
    """Tells the queues which banks may get an ACT or a PRE, and asks the row bus for what they choose.

    Those of the target's queue come first, then those of the other for banks that it does not need. A PRE spares rows
    that the target or the bus's present direction wants; a refresh comes before it. Combinational.

    Members
    -------
    target, writing : In(1)
        As of `openppu.hbm.direction.Direction`.
    states : In(states_layout)
    reserved, head_hit : In(a bit a bank), In(1)
        The bank that serves only the oldest entry of the target's queue, and whether it has that entry's row open.
    needs : In(needs_layout), one for each queue, reads first
    act_ok, pre_ok : Out(permits_layout), likewise
    wishes : In(wish_layout), likewise
    blocked, hold : In(a bit a bank), In(1)
        Banks that get no command but those below; no ACT may come.
    busy : In(a bit a bank)
        Banks that get no ACT.
    other : In(row_request_layout)
        Commands that no entry asks for; an ACT of these comes only with ``hold``.
    refresh : In(as ``short`` of row_request_layout)
        The refresh's own command.
    request, grant : Out(row_request_layout), In(row_grant_layout)
    sent : Out(sent_row_layout)
        What was granted.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        of = config.organisation
        request = row_request_layout(of)
        permits = permits_layout(of.banks)
        super().__init__(
            {
                "target": In(1),
                "writing": In(1),
                "states": In(states_layout(of.banks)),
                "reserved": In(of.banks),
                "head_hit": In(1),
                "needs": In(needs_layout(of.banks)).array(2),
                "act_ok": Out(permits).array(2),
                "pre_ok": Out(permits).array(2),
                "wishes": In(wish_layout(config)).array(2),
                "blocked": In(of.banks),
                "hold": In(1),
                "busy": In(of.banks),
                "other": In(request),
                "refresh": In(request["short"].shape),
                "request": Out(request),
                "grant": In(row_grant_layout()),
                "sent": Out(sent_row_layout(of)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        banks = self.config.organisation.banks
        states, needs = self.states, self.needs

        may_act, may_pre, held = Signal(banks), Signal(banks), Signal(banks)
        m.d.comb += [
            may_act.eq(
                ~states.open
                & states.settled
                & states.row_spaced
                & ~self.blocked
                & ~self.busy
                & (states.may_act & ~self.hold).replicate(banks)
            ),
            held.eq(
                (Mux(self.writing, needs[1].hit, needs[0].hit) | Mux(self.target, needs[1].hit, needs[0].hit))
                & ~Mux(self.head_hit, 0, self.reserved)
            ),
            may_pre.eq(states.open & states.may_close & ~self.blocked & ~held & states.rested.replicate(banks)),
        ]
        for write in range(2):
            spare = Signal(banks, name="spare_for_writes" if write else "spare_for_reads")
            m.d.comb += [
                spare.eq(~Mux(self.target == write, 0, needs[1 - write].ready)),
                self.act_ok[write].banks.eq(may_act & spare & ~self.reserved),
                self.act_ok[write].head.eq((may_act & self.reserved).any() & (self.target == write)),
                self.pre_ok[write].banks.eq(may_pre & spare),
            ]

        reads, writes = self.wishes
        act, pre = Signal(place_layout(self.config)), Signal(place_layout(self.config))
        act_early, pre_early = Signal(banks), Signal(banks)
        request = self.request
        m.d.comb += [
            act.eq(Mux(Mux(self.target, writes.act_valid, ~reads.act_valid), writes.act, reads.act)),
            pre.eq(Mux(Mux(self.target, writes.pre_valid, ~reads.pre_valid), writes.pre, reads.pre)),
            act_early.eq(states.settled_early & states.row_spaced_early),
            pre_early.eq(states.may_close_early),
            request.act.valid.eq(reads.act_valid | writes.act_valid),
            request.act.early.eq(act_early.bit_select(act.bank, 1) & states.may_act_early),
            request.act.bank.eq(act.bank),
            request.act.row.eq(act.row),
        ]
        with m.If(self.other.act.valid):
            m.d.comb += request.act.eq(self.other.act)
        with m.If(self.refresh.valid):
            m.d.comb += request.short.eq(self.refresh)
        with m.Elif(self.other.short.valid):
            m.d.comb += request.short.eq(self.other.short)
        with m.Else():
            m.d.comb += [
                request.short.valid.eq(reads.pre_valid | writes.pre_valid),
                request.short.early.eq(pre_early.bit_select(pre.bank, 1) & states.rested_early),
                request.short.command.eq(RowCommand.PRE),
                request.short.bank.eq(pre.bank),
            ]
        m.d.comb += [
            self.sent.act.eq(self.grant.act),
            self.sent.act_slot.eq(self.grant.act_slot),
            self.sent.act_bank.eq(request.act.bank),
            self.sent.act_row.eq(request.act.row),
            self.sent.short_slot.eq(self.grant.short_slot),
            self.sent.short_bank.eq(request.short.bank),
            self.sent.contended.eq(~self.refresh.valid & ~self.other.short.valid),
        ]
        with m.If(self.grant.short):
            m.d.comb += self.sent.short.eq(request.short.command)
        return m
