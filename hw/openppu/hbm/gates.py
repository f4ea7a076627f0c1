"""What a pseudo-channel's rules, beyond those of its banks, let it send in this clock."""

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.device import BURST, TIMING_BITS, Organisation
from openppu.hbm.settings import settings_layout
from openppu.hbm.timers import BITS, allowed, counter, first_slot


def groups(organisation: Organisation) -> int:
    """Bank groups of a pseudo-channel, those of different SIDs counted apart."""
    return organisation.sids * organisation.bank_groups


class ColumnGate(wiring.Component):
    """Distances between column commands: tCCD, and the turnarounds of the data bus.

    Latency: a command counts from the next clock on.

    Members
    -------
    settings : In(settings_layout)
    slot : In(1)
        Slot of the column commands: that of the pseudo-channel. Constant.
    rd, wr : In(1)
        Sent in this clock, to bank group ``group`` (SID and group).
    group : In
    spaced : Out(a bit a group)
        tCCD has passed.
    may_read : Out(a bit a group)
        The turnaround from writing has passed.
    may_write : Out(1)
        That from reading.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        count = groups(organisation)
        super().__init__(
            {
                "settings": In(settings_layout()),
                "slot": In(1),
                "rd": In(1),
                "wr": In(1),
                "group": In(range(count)),
                "spaced": Out(count),
                "may_read": Out(count),
                "may_write": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        t = self.settings.timing
        same, here = Signal(groups(self.organisation)), Signal(self.organisation.sids)
        column = Signal()
        starts = {}
        for name, latency in (
            ("tCCDL", t.tCCDL),
            ("tCCDS", t.tCCDS),
            ("tCCDR", t.tCCDR),
            ("tWTRL", t.WL + BURST + t.tWTRL),
            ("tWTRS", t.WL + BURST + t.tWTRS),
            ("tRTW", t.tRTW),
        ):
            starts[name] = Signal(BITS, name=f"start_{name}")
            m.d.comb += starts[name].eq(first_slot(latency, self.slot))
        m.d.comb += column.eq(self.rd | self.wr)
        spaced, may_read = [], []
        for sid in range(self.organisation.sids):
            m.d.comb += here[sid].eq(self.group[2:] == sid)
            for number in range(self.organisation.bank_groups):
                group = sid * self.organisation.bank_groups + number
                m.d.comb += same[group].eq(self.group == group)
                space = counter(
                    m,
                    f"space_{group}",
                    (column & same[group], starts["tCCDL"]),
                    (column & here[sid] & ~same[group], starts["tCCDS"]),
                    (column & ~here[sid], starts["tCCDR"]),
                )
                turn = counter(
                    m,
                    f"turn_{group}",
                    (self.wr & same[group], starts["tWTRL"]),
                    (self.wr & ~same[group], starts["tWTRS"]),
                )
                spaced.append(allowed(space, self.slot))
                may_read.append(allowed(turn, self.slot))
        turn = counter(m, "turn", (self.rd, starts["tRTW"]))
        m.d.comb += [
            self.spaced.eq(Cat(spaced)),
            self.may_read.eq(Cat(may_read)),
            self.may_write.eq(allowed(turn, self.slot)),
        ]
        return m


class RowGate(wiring.Component):
    """Distances between the row commands of different banks: tRRD, tFAW, tRREFD, tRFC.

    Latency: a command counts from the next clock on.

    Members
    -------
    settings : In(settings_layout)
    act, refsb, refall : In(1)
        Sent in this clock, at most one, in slot ``slot``; ``act`` to bank group ``group`` (SID and group).
    slot, group : In
    spaced, spaced_early : Out(a bit a group)
        ACT and REFSB may come to a bank of the group in slot 1, in slot 0.
    may_act, may_act_early : Out(1)
        ACT may, by tFAW.
    rested, rested_early : Out(1)
        The last REF is over: any command may come.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        count = groups(organisation)
        super().__init__(
            {
                "settings": In(settings_layout()),
                "act": In(1),
                "refsb": In(1),
                "refall": In(1),
                "slot": In(1),
                "group": In(range(count)),
                "spaced": Out(count),
                "spaced_early": Out(count),
                "may_act": Out(1),
                "may_act_early": Out(1),
                "rested": Out(1),
                "rested_early": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        t = self.settings.timing
        starts = {}
        for name, latency in (("tRRDS", t.tRRDS), ("tRRDL", t.tRRDL), ("tRREFD", t.tRREFD), ("tFAW", t.tFAW)):
            starts[name] = Signal(BITS, name=f"start_{name}")
            m.d.comb += starts[name].eq(first_slot(latency, self.slot))
        channel = counter(m, "space", (self.act, starts["tRRDS"]), (self.refsb, starts["tRREFD"]))
        rest = counter(m, "rest", (self.refall, first_slot(t.tRFC, self.slot, bits=TIMING_BITS)), bits=TIMING_BITS)
        own = [
            counter(m, f"space_{group}", (self.act & (self.group == group), starts["tRRDL"]))
            for group in range(groups(self.organisation))
        ]
        # The four last activations: a fifth waits until the first is tFAW ago.
        turn = Signal(2)
        with m.If(self.act):
            m.d.sync += turn.eq(turn + 1)
        windows = Array(
            counter(m, f"window_{place}", (self.act & (turn == place), starts["tFAW"])) for place in range(4)
        )
        window = Signal(len(windows[0]))
        m.d.comb += window.eq(windows[turn])
        for slot, spaced, may_act, rested in (
            (0, self.spaced_early, self.may_act_early, self.rested_early),
            (1, self.spaced, self.may_act, self.rested),
        ):
            m.d.comb += [
                spaced.eq(Cat(allowed(channel, slot) & allowed(rest, slot) & allowed(left, slot) for left in own)),
                may_act.eq(allowed(window, slot)),
                rested.eq(allowed(rest, slot)),
            ]
        return m
