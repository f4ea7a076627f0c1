"""Protection of a pseudo-channel's rows from their neighbours' many activations (row hammer)."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.common.shared import shared
from openppu.hbm.banks import sent_row_layout, states_layout
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import TIMING_BITS
from openppu.hbm.hammer_table import HammerTable
from openppu.hbm.pick import one_hot
from openppu.hbm.row_bus import row_grant_layout, row_request_layout
from openppu.hbm.settings import settings_layout


class Hammer(wiring.Component):
    """Counts the activations of each row, and refreshes the neighbours of those that have too many.

    Each bank has a `HammerTable`. A bank whose table has found a row takes no more accesses; the rows at a distance of
    up to ``hammer_reach`` are opened by an ACT, which restores them, and closed by a PRE, one bank after the other.
    Then the bank is free again.

    What it guarantees: from the activation or refresh of a row on, for D memory clocks, each neighbour is activated at
    most (threshold + 2 reach) times (2 + D / window), if ``threshold`` is at least `least_threshold`. So with a window
    of tREFW a row has 2 threshold activations of each neighbour at most, and a few, until the device refreshes it.

    Latency: from an ACT to ``blocked``, that of the table, and 1 clock.

    Parameters
    ----------
    config : ChannelConfig
        With ``hammer_entries``.

    Members
    -------
    settings : In(settings_layout)
    sent : In(sent_row_layout)
        The row commands of this clock.
    states : In(states_layout)
    refreshing, refresh_next : In(a bit a bank), In(1)
        Banks that a refresh has taken; no ACT may come, for the refresh could.
    lost : In(1)
        The device may have missed the last ACT; it will close all banks.
    blocked : Out(a bit a bank)
        Banks that get no other command.
    busy : Out(a bit a bank)
        Banks that may not be activated: their last ACT is not counted yet.
    hold : Out(1)
        No other ACT may come.
    request, grant : Out(row_request_layout), In(row_grant_layout)
    victim : Out(1)
        A neighbour is activated in this clock.
    overflow : Out(1)
        Sticky: a table was too small for the threshold.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        of = config.organisation
        super().__init__(
            {
                "settings": In(settings_layout()),
                "sent": In(sent_row_layout(of)),
                "states": In(states_layout(of.banks)),
                "refreshing": In(of.banks),
                "refresh_next": In(1),
                "lost": In(1),
                "blocked": Out(of.banks),
                "busy": Out(of.banks),
                "hold": Out(1),
                "request": Out(row_request_layout(of)),
                "grant": In(row_grant_layout()),
                "victim": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        of = self.config.organisation
        banks = of.banks
        settings, s = self.settings, self.states

        # Windows, of tREFI.
        elapsed = Signal(TIMING_BITS + 1)
        interval, over = Signal(), Signal()
        intervals = Signal(settings.hammer_window.shape())
        m.d.comb += [
            interval.eq(elapsed + 2 >= settings.timing.tREFI),
            over.eq(interval & (intervals + 1 >= settings.hammer_window)),
        ]
        m.d.sync += elapsed.eq(elapsed + 2 - Mux(interval, settings.timing.tREFI, 0))
        with m.If(interval):
            m.d.sync += intervals.eq(Mux(over, 0, intervals + 1))

        tables = [HammerTable(entries=self.config.hammer_entries, rows=of.rows) for _ in range(banks)]
        waits = Signal(banks)
        served = Signal()
        chosen = Signal(range(banks))
        for number, table in enumerate(tables):
            m.submodules[f"table_{number}"] = shared(table, platform)
            m.d.comb += [
                table.threshold.eq(settings.hammer_threshold),
                table.act.eq(self.sent.act & (self.sent.act_bank == number)),
                table.row.eq(self.sent.act_row),
                table.clear.eq(over),
                table.served.eq(served & (chosen == number)),
            ]
        m.d.comb += [
            waits.eq(Cat(table.waits for table in tables)),
            self.blocked.eq(Cat(table.found for table in tables)),
            self.busy.eq(Cat(table.busy for table in tables)),
        ]
        with m.If(Cat(table.overflow for table in tables).any()):
            m.d.sync += self.overflow.eq(1)

        # One bank at a time, and of its neighbours one: at distances -1, 1, -2, 2.
        first = lowest(m, waits, name="first")
        aggressors = Array(table.aggressor for table in tables)
        row = Signal(range(of.rows))
        step = Signal(2)
        there, victim = Signal(), Signal(range(of.rows))
        is_open, free, closes, opens = Signal(), Signal(), Signal(), Signal()

        here = Signal(banks)

        def of_bank(mask):
            return (mask & here).any()

        distance = Signal(2)
        m.d.comb += [
            here.eq(one_hot(chosen, banks)),
            distance.eq(step[1] + 1),
            victim.eq(Mux(step[0], row + distance, row - distance)),
            there.eq(Mux(step[0], row <= of.rows - 1 - distance, row >= distance)),
            is_open.eq(of_bank(s.open)),
            free.eq(~of_bank(self.refreshing)),
        ]
        request = self.request
        m.d.comb += [
            self.hold.eq(opens & free & of_bank(s.settled & ~s.open & ~self.busy)),
            request.act.valid.eq(self.hold & of_bank(s.row_spaced) & s.may_act & ~self.refresh_next),
            request.act.early.eq(of_bank(s.row_spaced_early & s.settled_early) & s.may_act_early),
            request.act.bank.eq(chosen),
            request.act.row.eq(victim),
            request.short.valid.eq(closes & free & is_open & of_bank(s.may_close) & s.rested),
            request.short.early.eq(of_bank(s.may_close_early) & s.rested_early),
            request.short.bank.eq(chosen),
            request.short.command.eq(RowCommand.PRE),
            self.victim.eq(request.act.valid & self.grant.act),
        ]
        done = Signal()
        m.d.comb += done.eq(step == Mux(settings.hammer_reach == 1, 1, 3))
        with m.FSM():
            with m.State("rest"):
                m.d.sync += [step.eq(0), chosen.eq(first), row.eq(aggressors[first])]
                with m.If(waits.any()):
                    m.next = "open"
            with m.State("open"):
                m.d.comb += [closes.eq(1), opens.eq(there)]
                with m.If(self.victim | ~there):
                    m.next = "close"
            with m.State("close"):
                m.d.comb += closes.eq(1)
                with m.If(self.lost):
                    m.next = "open"
                with m.Elif(~is_open):
                    m.d.sync += step.eq(step + 1)
                    with m.If(done):
                        m.d.comb += served.eq(1)
                        m.next = "leave"
                    with m.Else():
                        m.next = "open"
            with m.State("leave"):
                m.next = "rest"
        return m
