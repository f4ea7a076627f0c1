"""When a pseudo-channel refreshes, and which bank."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.banks import states_layout
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import TIMING_BITS, Organisation
from openppu.hbm.pick import oldest
from openppu.hbm.settings import Refresh, settings_layout

LIMIT = 8
"""tREFI that may be owed, or done ahead."""

RATES = {0: 1, 1: 2, 3: 4, 2: 8, 6: 16}
"""Refreshes due in four tREFI, by the code of the temperature; the reserved codes (4, 5, 7) count as the hottest."""


class RefreshTimer(wiring.Component):
    """Counts the refreshes that are owed, and asks for them when they cost least.

    The debt counts refreshes of one bank; a REF pays for all banks. A bank is refreshed when no entry near the head of
    a queue needs it, one that is closed already before others; only when half of what may be owed is, does any bank
    that is due in this round do. While nothing else is to do, up to `LIMIT` tREFI are paid ahead. With REF, the
    pseudo-channel waits for an idle time until all but one tREFI of what may be owed is.

    Latency: 1 clock from the decision to ``valid``.

    Members
    -------
    settings : In(settings_layout)
    temperature : In(3)
        As in `openppu.hbm.phy.PhySignature`.
    enable : In(1)
        The device takes commands; until then nothing becomes due.
    stop : In(1)
        Close all banks, and send nothing until it falls.
    asleep : In(1)
        The device refreshes itself: nothing becomes due.
    stopped : Out(1)
        Done: all banks are closed and could be activated.
    closed : Out(1)
        All are closed, and no REF goes on; but other commands may.
    idle : In(1)
        No entry waits.
    near : In(a bit a bank)
        Banks that entries need soon.
    states : In(states_layout)
    valid, early, command, bank : Out
        The command it asks for: it may come in slot 1, in slot 0.
    granted : In(1)
    blocked : Out(a bit a bank)
        Banks that get no other command.
    hold : Out(1)
        No ACT may come, for the refresh could.
    debt : Out(signed)
        Refreshes of a bank that are owed, or if negative, done ahead.
    urgent, paid : Out(1)
        Half of what may be owed is; less than one tREFI is.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        banks = organisation.banks
        most = LIMIT * banks + 1
        super().__init__(
            {
                "settings": In(settings_layout()),
                "temperature": In(3),
                "enable": In(1),
                "stop": In(1),
                "stopped": Out(1),
                "closed": Out(1),
                "asleep": In(1),
                "idle": In(1),
                "near": In(banks),
                "states": In(states_layout(banks)),
                "valid": Out(1),
                "early": Out(1),
                "command": Out(RowCommand),
                "bank": Out(range(banks)),
                "granted": In(1),
                "blocked": Out(banks),
                "hold": Out(1),
                "debt": Out(signed(most.bit_length() + 1)),
                "urgent": Out(1),
                "paid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        banks = self.organisation.banks
        s = self.states
        whole = Signal()
        m.d.comb += whole.eq(self.settings.refresh == Refresh.ALL_BANK)

        # What is due: each clock is two CK, and tREFI is counted in quarters.
        step = Signal(range(2 * banks * 16 + 1))
        elapsed = Signal(TIMING_BITS + 3)
        total = Signal(TIMING_BITS + 4)
        period = Signal(TIMING_BITS + 2)
        due = Signal()
        counts = Signal()
        with m.Switch(self.temperature):
            for code, rate in RATES.items():
                with m.Case(code):
                    m.d.comb += step.eq(2 * banks * rate)
            with m.Default():
                m.d.comb += step.eq(2 * banks * max(RATES.values()))
        m.d.comb += [
            period.eq(self.settings.timing.tREFI << 2),
            total.eq(elapsed + step),
            counts.eq(self.enable & ~self.asleep),
            due.eq(counts & (total >= period) & self.settings.refresh_enable),
        ]
        with m.If(counts):
            m.d.sync += elapsed.eq(Mux(total >= period, total - period, total))

        # What is done.
        pays = Signal(range(banks + 1))
        refresh_one = Signal()
        refresh_all = Signal()
        m.d.comb += [
            refresh_one.eq(self.granted & (self.command == RowCommand.REFSB)),
            refresh_all.eq(self.granted & (self.command == RowCommand.REF)),
            pays.eq(Mux(refresh_all, banks, refresh_one)),
            self.urgent.eq(self.debt >= LIMIT // 2 * banks),
            self.paid.eq(self.debt < banks),
        ]
        m.d.sync += self.debt.eq(self.debt + due - pays)

        # One bank. In a round every bank is refreshed once.
        done = Signal(banks)
        done_next = Signal(banks)
        chosen = Signal(banks)
        m.d.comb += done_next.eq(done | Mux(refresh_one, chosen, 0))
        m.d.sync += done.eq(Mux(refresh_all | done_next.all(), 0, done_next))

        quiet = Signal(banks)
        closed = Signal(banks)
        wanted = Signal()
        choice = Signal(banks)
        ahead = Signal()
        m.d.comb += [
            quiet.eq(~done_next & ~self.near),
            closed.eq(quiet & ~s.open & s.settled),
            choice.eq(oldest(Mux(closed.any(), closed, Mux(self.urgent & ~quiet.any(), ~done_next, quiet)))),
            ahead.eq(self.idle & (self.debt - pays > -LIMIT * banks) & ~s.refreshing.any()),
            wanted.eq(self.settings.refresh_enable & ~whole & ((self.debt > pays) | ahead)),
        ]
        # After a stop, the work that ended it goes first.
        with m.If(refresh_one | ~chosen.any() | self.stop):
            m.d.sync += chosen.eq(Mux(wanted & ~self.stop, choice, 0))

        # All banks.
        closing = Signal()
        enough = Signal()
        m.d.comb += enough.eq(
            self.settings.refresh_enable
            & whole
            & (self.debt >= banks)
            & (self.idle | (self.debt >= (LIMIT - 1) * banks))
        )
        with m.If(refresh_all):
            m.d.sync += closing.eq(0)
        with m.Elif(enough & ~self.stop):
            m.d.sync += closing.eq(1)

        shut = Signal()
        m.d.comb += [
            shut.eq(closing | self.stop | ~self.enable),
            self.blocked.eq(Mux(shut, (1 << banks) - 1, chosen)),
        ]
        for number in range(banks):
            with m.If(chosen[number]):
                m.d.comb += self.bank.eq(number)
        is_open = Signal()
        calm = Signal()
        calm_early = Signal()
        m.d.comb += [
            is_open.eq((self.blocked & s.open).any()),
            calm.eq(s.settled.all() & s.rested),
            calm_early.eq(s.settled_early.all() & s.rested_early),
            self.closed.eq(self.stop & self.enable & ~closing & ~is_open & s.rested_early),
            self.stopped.eq(self.closed & calm_early),
        ]
        with m.If(shut):
            m.d.comb += [
                self.command.eq(Mux(is_open, RowCommand.PREA, RowCommand.REF)),
                self.valid.eq(Mux(is_open, (~s.open | s.may_close).all() & s.rested, calm & closing)),
                self.early.eq(Mux(is_open, (~s.open | s.may_close_early).all() & s.rested_early, calm_early)),
                self.hold.eq(1),
            ]
        with m.Elif(chosen.any()):
            m.d.comb += [
                self.command.eq(Mux(is_open, RowCommand.PRE, RowCommand.REFSB)),
                self.valid.eq(Mux(is_open, chosen & s.may_close, chosen & s.settled & s.row_spaced).any() & s.rested),
                self.early.eq(
                    Mux(is_open, chosen & s.may_close_early, chosen & s.settled_early & s.row_spaced_early).any()
                    & s.rested_early
                ),
                self.hold.eq(~is_open & (chosen & s.settled).any()),
            ]
        return m
