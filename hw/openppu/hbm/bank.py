"""One bank of a pseudo-channel: its row, what it may be told, and whether to keep its row open."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.device import Organisation
from openppu.hbm.timers import allowed, counter, starts_layout


class Bank(wiring.Component):
    """Follows the commands to a bank, and says from when on the next are allowed, by the bank's own rules.

    Latency: a command changes the outputs from the next clock on. Commands that the outputs do not allow are not
    refused; whoever sends them breaks the device's rules.

    Parameters
    ----------
    organisation : Organisation

    Members
    -------
    slot : In(1)
        Slot of the column commands: that of the pseudo-channel. Constant.
    starts : In(starts_layout)
        Of the commands of this clock.
    act, pre, refsb, access : In(1)
        The command, an ACT, PRE, REFSB, RD or WR, is sent in this clock; at most one.
    act_row : In(row)
    auto_close : In(1)
        With ``access``: the bank precharges by itself afterwards.
    contended : In(1)
        With ``pre`` or ``auto_close``: it closes since another row is wanted.
    open : Out(1)
        A row is open, or opening.
    row : Out(row)
        That row; of a closed bank, the last one.
    settled, settled_early : Out(1)
        A closed bank may be activated or refreshed in slot 1, in slot 0.
    may_close, may_close_early : Out(1)
        Likewise for ``pre``.
    may_read, may_write : Out(1)
        Of an open row.
    refreshing : Out(1)
        Not settled since its last refresh.
    keep : Out(1)
        Experience says that the next activation would be of the same row: a counter of two bits.
    first, missed : Out(1)
        No access has been made since the activation; it followed a close that was ``contended``.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        row = range(organisation.rows)
        strobes = ("slot", "act", "pre", "refsb", "access", "auto_close", "contended")
        states = ("open", "settled", "settled_early", "may_close", "may_close_early", "may_read", "may_write")
        super().__init__(
            {
                "starts": In(starts_layout()),
                **{name: In(1) for name in strobes},
                "act_row": In(row),
                **{name: Out(1) for name in states},
                "row": Out(row),
                **{name: Out(1) for name in ("refreshing", "keep", "first", "missed")},
            }
        )

    def elaborate(self, platform):
        m = Module()
        starts = self.starts
        until_act = counter(
            m,
            "until_act",
            (self.act, starts.act_act),
            (self.pre | self.refsb, starts.short_act),
            (self.access & self.auto_close, starts.access_act),
        )
        until_rd = counter(m, "until_rd", (self.act, starts.act_rd))
        until_wr = counter(m, "until_wr", (self.act, starts.act_wr))
        until_pre = counter(m, "until_pre", (self.act, starts.act_pre), (self.access, starts.access_pre))
        m.d.comb += [
            self.settled.eq(allowed(until_act, 1)),
            self.settled_early.eq(allowed(until_act, 0)),
            self.may_close.eq(allowed(until_pre, 1)),
            self.may_close_early.eq(allowed(until_pre, 0)),
            self.may_read.eq(allowed(until_rd, self.slot)),
            self.may_write.eq(allowed(until_wr, self.slot)),
        ]

        close = Signal()
        m.d.comb += close.eq(self.pre | (self.access & self.auto_close))
        with m.If(self.act):
            m.d.sync += [self.open.eq(1), self.row.eq(self.act_row)]
        with m.Elif(close):
            m.d.sync += self.open.eq(0)
        with m.If(self.refsb):
            m.d.sync += self.refreshing.eq(1)
        with m.Elif(self.settled):
            m.d.sync += self.refreshing.eq(0)

        trust = Signal(2, init=2)
        same = Signal()
        m.d.comb += [same.eq(self.act_row == self.row), self.keep.eq(trust[1])]
        with m.If(self.act):
            m.d.sync += trust.eq(Mux(same, trust + (trust != 3), trust - (trust != 0)))

        contended = Signal()
        with m.If(close):
            m.d.sync += contended.eq(self.contended)
        with m.If(self.act):
            m.d.sync += [self.first.eq(1), self.missed.eq(contended)]
        with m.Elif(self.access):
            m.d.sync += self.first.eq(0)
        return m
