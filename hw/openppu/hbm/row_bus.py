"""The row bus of a channel, shared by its two pseudo-channels."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.commands import RowCommand, row_slot_layout
from openppu.hbm.device import Organisation

PATIENCE = 8
"""Clocks for which a command of one slot lets activations pass it."""


def row_request_layout(organisation: Organisation) -> data.StructLayout:
    """An ACT and another command that a pseudo-channel would send, each in slot 1, and if ``early``, in slot 0."""
    bank = range(organisation.banks)
    return data.StructLayout(
        {
            "act": data.StructLayout({"valid": 1, "early": 1, "bank": bank, "row": range(organisation.rows)}),
            "short": data.StructLayout({"valid": 1, "early": 1, "bank": bank, "command": RowCommand}),
        }
    )


def row_grant_layout() -> data.StructLayout:
    """Which of them is sent in this clock, and in which slot."""
    return data.StructLayout({"act": 1, "act_slot": 1, "short": 1, "short_slot": 1})


def power_command_layout() -> data.StructLayout:
    """A command of the whole channel, ``NOP`` if there is none, and its slot."""
    return data.StructLayout({"command": RowCommand, "slot": 1})


class RowArbiter(wiring.Component):
    """Fills the two slots of each clock. An ACT takes two; in slot 1 it takes slot 0 of the next clock as well.

    Activations go first, since they limit the throughput of random accesses. Of each kind, the pseudo-channel that was
    last served goes last. After `PATIENCE` clocks the other commands go first once.

    Latency: grants in the same clock, ``row`` in the next.

    Members
    -------
    requests : In, one for each pseudo-channel
    grants : Out, likewise
    power : In(power_command_layout)
        The channel's own command; it comes only while both pseudo-channels ask for nothing.
    row : Out(two slots)
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        super().__init__(
            {
                "requests": In(data.ArrayLayout(row_request_layout(organisation), 2)),
                "grants": Out(data.ArrayLayout(row_grant_layout(), 2)),
                "power": In(power_command_layout()),
                "row": Out(data.ArrayLayout(row_slot_layout(organisation), 2)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        taken = Signal()
        first = {kind: Signal(name=f"{kind}_first") for kind in ("act", "short")}
        waits = Signal(range(PATIENCE + 1))
        impatient = Signal()
        m.d.comb += impatient.eq(waits == PATIENCE)

        # What may go in each slot: bit 0 of a pair is of the pseudo-channel that goes first.
        def ordered(kind, flag):
            bits = [self.requests[pc][kind].valid & self.requests[pc][kind][flag] for pc in range(2)]
            return [Mux(first[kind], bits[1], bits[0]), Mux(first[kind], bits[0], bits[1])]

        acts = {0: ordered("act", "early"), 1: ordered("act", "valid")}
        shorts = {0: ordered("short", "early"), 1: ordered("short", "valid")}

        def both(bits, kind, when):
            name = f"{kind}_{when}"
            some = Signal(name=f"{name}_some")
            second = Signal(name=f"{name}_second")
            m.d.comb += [some.eq(bits[0] | bits[1]), second.eq(~bits[0])]
            return some, second ^ first[kind]

        act_early, act_early_pc = both(acts[0], "act", "early")
        act_late, act_late_pc = both(acts[1], "act", "late")
        short_early, short_early_pc = both(shorts[0], "short", "early")

        act_0 = Signal()
        short_0 = Signal()
        act_1 = Signal()
        short_1 = Signal()
        late_bits = [
            bit & ~(short_0 & (short_early_pc == (first["short"] ^ place))) for place, bit in enumerate(shorts[1])
        ]
        short_late, short_late_pc = both(late_bits, "short", "late")
        m.d.comb += [
            act_0.eq(~taken & act_early & ~(impatient & short_early)),
            short_0.eq(~taken & short_early & ~act_0),
            act_1.eq(~act_0 & act_late & ~(impatient & short_late & ~short_0)),
            short_1.eq(~act_0 & ~act_1 & short_late),
        ]
        for pc in range(2):
            grant = self.grants[pc]
            short_first = Signal(name=f"short_first_{pc}")
            m.d.comb += [
                short_first.eq(short_0 & (short_early_pc == pc)),
                grant.act.eq((act_0 & (act_early_pc == pc)) | (act_1 & (act_late_pc == pc))),
                grant.act_slot.eq(act_1),
                grant.short.eq(short_first | (short_1 & (short_late_pc == pc))),
                grant.short_slot.eq(~short_first),
            ]

        m.d.sync += taken.eq(act_1)
        with m.If(act_0 | act_1):
            m.d.sync += first["act"].eq(~Mux(act_0, act_early_pc, act_late_pc))
        with m.If(short_0 | short_1):
            m.d.sync += first["short"].eq(~Mux(short_0, short_early_pc, short_late_pc))
        with m.If(short_0 | short_1 | ~(shorts[1][0] | shorts[1][1])):
            m.d.sync += waits.eq(0)
        with m.Elif(~impatient):
            m.d.sync += waits.eq(waits + 1)

        for slot, act, act_pc, short, short_pc in (
            (0, act_0, act_early_pc, short_0, short_early_pc),
            (1, act_1, act_late_pc, short_1, short_late_pc),
        ):
            chosen_act = Signal(self.requests[0].act.shape(), name=f"act_of_slot_{slot}")
            chosen_short = Signal(self.requests[0].short.shape(), name=f"short_of_slot_{slot}")
            m.d.comb += [
                chosen_act.eq(Mux(act_pc, self.requests[1].act, self.requests[0].act)),
                chosen_short.eq(Mux(short_pc, self.requests[1].short, self.requests[0].short)),
            ]
            m.d.sync += [
                self.row[slot].command.eq(Mux(act, RowCommand.ACT, Mux(short, chosen_short.command, RowCommand.NOP))),
                self.row[slot].pc.eq(Mux(act, act_pc, short_pc)),
                self.row[slot].bank.eq(Mux(act, chosen_act.bank, chosen_short.bank)),
                self.row[slot].row.eq(chosen_act.row),
            ]
        with m.If(self.power.command != RowCommand.NOP):
            m.d.sync += self.row[self.power.slot].command.eq(self.power.command)
        return m
