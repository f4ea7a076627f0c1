"""Sends the commands of a pseudo-channel again that the device did not take, since their parity was wrong."""

from amaranth import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.banks import states_layout
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import Organisation
from openppu.hbm.layouts import place_layout, source_layout
from openppu.hbm.pick import gather, one_hot
from openppu.hbm.row_bus import row_grant_layout, row_request_layout
from openppu.hbm.settings import MOST_PARITY_LATENCY, settings_layout
from openppu.hbm.write_buffer import slot_layout
from openppu.hbm.write_path import MOST_DELAY

DEPTH = MOST_PARITY_LATENCY + 2
"""Clocks of commands of which the last may still be sent when an error of the first is seen."""

MOST_RETRIES = 15
"""Errors of which the next came before the retry was done; after these, the channel gives up."""


def access_layout(config: ChannelConfig) -> data.StructLayout:
    """An access that is sent; ``last``: of its entry."""
    place, source = place_layout(config), source_layout(config)
    return data.StructLayout({"valid": 1, "write": 1, "place": place, "source": source, "last": 1})


def refresh_layout(organisation: Organisation) -> data.StructLayout:
    """A refresh that is sent in a slot, of a bank or of all."""
    return data.StructLayout({"valid": 1, "all": 1, "bank": range(organisation.banks), "slot": 1})


class Retry(wiring.Component):
    """Remembers the commands whose error could still come, and after an error brings the device to a known state.

    An error says that the commands of one slot were not taken; what was sent after it, until it was seen, was. Nothing
    of that depends on what was lost, for ``parity_latency`` is short. Then, in this order: nothing more is sent, and
    errors of what is on its way are waited for; PREA, so it does not matter which ACT, PRE or precharge of an access
    was lost; a refresh, if that one was lost; all accesses from the lost slot on, each with its ACT. To read and write
    once more does no harm, and keeps the words of an entry in order; the words of their first reads are dropped. The
    words of writes stay in the buffer until no error can come. An error on the way begins it anew.

    Members
    -------
    settings : In(settings_layout)
        ``parity_latency`` 0: errors are ignored.
    error : In(2)
        As in `openppu.hbm.phy.PhySignature`.
    states : In(states_layout)
    busy : In(a bit a bank)
        Banks that may not be activated.
    access, refresh, sends : In(access_layout), In(refresh_layout), In(1)
        What is sent in this clock; whether anything is.
    active : Out(1)
        No command but these may be sent.
    unsure : Out(1)
        An error of the last command may still come.
    refreshed : Out(1)
        So short after a refresh, no other may come, for it might be of the next round.
    request, grant : Out(row_request_layout), In(row_grant_layout)
    again : Out(access_layout)
        To be sent in this clock.
    cancel : Out
        The words of the reads of the last so many clocks are not wanted.
    released : Out(slot_layout)
        The words of a write are not needed any more.
    begins : Out(1)
        A retry begins.
    failed : Out(1)
        Sticky: `MOST_RETRIES` were in vain. From then on errors are ignored.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        of = config.organisation
        super().__init__(
            {
                "settings": In(settings_layout()),
                "error": In(2),
                "states": In(states_layout(of.banks)),
                "busy": In(of.banks),
                "access": In(access_layout(config)),
                "refresh": In(refresh_layout(of)),
                "sends": In(1),
                **{name: Out(1) for name in ("active", "unsure", "refreshed")},
                "request": Out(row_request_layout(of)),
                "grant": In(row_grant_layout()),
                "again": Out(access_layout(config)),
                "cancel": Out(range(DEPTH + 1)),
                "released": Out(slot_layout(config)),
                "begins": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        banks = self.config.organisation.banks
        s, latency = self.states, self.settings.parity_latency
        window = Signal(DEPTH)
        m.d.comb += window.eq((Const(4, DEPTH + 2) << latency) - 1)

        # How long ago the last command was chosen: with 0 it is on the bus.
        since = Signal(range(DEPTH + 1), init=DEPTH)
        with m.If(self.sends):
            m.d.sync += since.eq(0)
        with m.Elif(since != DEPTH):
            m.d.sync += since.eq(since + 1)
        alarm = Signal()
        m.d.comb += [
            self.unsure.eq((since <= latency) & latency.any()),
            alarm.eq(self.error.any() & latency.any() & ~self.failed),
        ]

        # The last commands: those on the bus first.
        refreshes = [Signal(self.refresh.shape(), name=f"refresh_{age}") for age in range(DEPTH)]
        for newer, older in zip([self.refresh, *refreshes], refreshes, strict=False):
            m.d.sync += older.eq(newer)
        missed = Signal(self.refresh.shape())
        lost = Signal(self.refresh.shape())
        m.d.comb += [
            missed.eq(Array(refreshes)[latency]),
            self.refreshed.eq((Cat(each.valid for each in refreshes) & window).any() & latency.any()),
        ]
        accesses = [Signal(self.access.shape(), name=f"access_{age}", reset_less=True) for age in range(DEPTH)]
        waits = Signal(DEPTH)
        with m.If(~self.active):
            m.d.sync += waits.eq(Cat(self.access.valid, waits))
            for newer, older in zip([self.access, *accesses], accesses, strict=False):
                m.d.sync += older.eq(newer)

        # The oldest that waits to be sent again.
        chosen = Signal(DEPTH)
        access = Signal(self.access.shape())
        here, is_open, ready = Signal(banks), Signal(), Signal(banks)
        m.d.comb += [
            chosen.eq(Cat(waits[age] & ~waits[age + 1 :].any() for age in range(DEPTH))),
            access.eq(gather(chosen, [each.as_value() for each in accesses])),
            here.eq(one_hot(access.place.bank, banks)),
            is_open.eq((here & s.open).any()),
            ready.eq(
                s.column_spaced
                & Mux(
                    access.write,
                    s.may_write & s.may_turn_to_write.replicate(banks),
                    s.may_read & s.may_turn_to_read,
                )
            ),
        ]

        # When words of a write have been fetched, and its error cannot come any more.
        confirmed = Signal()
        done = Signal(self.released.shape())
        line = [Signal(self.released.shape(), name=f"done_{age}") for age in range(MOST_DELAY + 1)]
        passed = Signal(self.access.shape())
        m.d.comb += [
            passed.eq(Mux(self.active, access, Array(accesses)[latency + 1])),
            done.valid.eq(Mux(self.active, confirmed, waits.bit_select(latency + 1, 1)) & passed.write & passed.last),
            done.slot.eq(passed.source.slot),
            self.released.eq(Array(line)[self.settings.timing.WL >> 1]),
        ]
        for newer, older in zip([done, *line], line, strict=False):
            m.d.sync += older.eq(newer)

        act, short = self.request.act, self.request.short
        lost_here = Signal(banks)
        m.d.comb += [
            act.bank.eq(access.place.bank),
            act.row.eq(access.place.row),
            act.early.eq((here & s.settled_early & s.row_spaced_early).any() & s.may_act_early),
            lost_here.eq(one_hot(lost.bank, banks)),
            self.again.eq(access),
            self.again.valid.eq(0),
        ]

        def watch():
            with m.If(alarm):
                m.d.comb += self.begins.eq(1)
                m.next = "stop"

        clocks = Signal(2)
        tries = Signal(range(MOST_RETRIES + 1))
        with m.FSM() as fsm:
            m.d.comb += self.active.eq(~fsm.ongoing("run"))
            with m.State("run"):
                m.d.sync += tries.eq(0)
                watch()
            with m.State("stop"):
                m.d.sync += clocks.eq(clocks + (clocks != 3))
                with m.If(clocks == 0):
                    m.d.sync += waits.eq(waits & window)
                with m.If(clocks == 1):
                    m.d.comb += self.cancel.eq(latency + 2)
                with m.If(~self.unsure & clocks[1]):
                    m.next = "close"
            with m.State("close"):
                m.d.comb += [
                    short.command.eq(RowCommand.PREA),
                    short.valid.eq(s.may_close.all() & s.rested),
                    short.early.eq(s.may_close_early.all() & s.rested_early),
                ]
                with m.If(short.valid & self.grant.short):
                    m.next = "settle"
                watch()
            with m.State("settle"):
                with m.If(~self.unsure & s.settled.all() & s.rested):
                    m.next = "again"
                    with m.If(lost.valid):
                        m.next = "refresh"
                watch()
            with m.State("refresh"):
                m.d.comb += [
                    short.command.eq(Mux(lost.all, RowCommand.REF, RowCommand.REFSB)),
                    short.bank.eq(lost.bank),
                    short.valid.eq(lost.all | (lost_here & s.row_spaced).any()),
                    short.early.eq(lost.all | (lost_here & s.row_spaced_early).any()),
                ]
                with m.If(short.valid & self.grant.short):
                    m.d.sync += lost.valid.eq(0)
                    m.next = "settle"
                watch()
            with m.State("again"):
                with m.If(~waits.any()):
                    m.next = "run"
                with m.Elif(is_open):
                    m.d.comb += self.again.valid.eq((here & ready).any())
                    with m.If(self.again.valid):
                        m.next = "confirm"
                with m.Else():
                    m.d.comb += act.valid.eq((here & s.settled & s.row_spaced & ~self.busy).any() & s.may_act)
                watch()
            with m.State("confirm"):
                with m.If(~self.unsure):
                    m.d.comb += confirmed.eq(1)
                    m.d.sync += waits.eq(waits & ~chosen)
                    m.next = "again"
                watch()
        with m.If(self.begins):
            m.d.sync += [clocks.eq(0), tries.eq(tries + 1), self.failed.eq(tries == MOST_RETRIES)]
        with m.If(alarm & missed.valid & self.error.bit_select(missed.slot, 1)):
            m.d.sync += lost.eq(missed)
        return m
