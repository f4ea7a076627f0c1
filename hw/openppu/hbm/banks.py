"""All banks of a pseudo-channel, and the distances between their commands."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from openppu.common.shared import shared
from openppu.hbm.bank import Bank
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import Organisation
from openppu.hbm.gates import ColumnGate, RowGate
from openppu.hbm.pick import one_hot
from openppu.hbm.settings import settings_layout
from openppu.hbm.timers import bank_starts, starts_layout

_OF_BANKS = (
    *("open", "settled", "settled_early", "may_close", "may_close_early"),
    *("may_read", "may_write", "refreshing", "keep", "first", "missed"),
)
_OF_GROUPS = ("row_spaced", "row_spaced_early", "column_spaced", "may_turn_to_read")
_OF_ALL = ("may_turn_to_write", "may_act", "may_act_early", "rested", "rested_early")


def states_layout(banks: int) -> data.StructLayout:
    """What may be sent in this clock.

    A bit a bank, as of `openppu.hbm.bank.Bank`, and of its group as of `openppu.hbm.gates.RowGate` and ``ColumnGate``;
    then a bit each for the pseudo-channel, as of these.
    """
    return data.StructLayout(
        {name: banks for name in (*_OF_BANKS, *_OF_GROUPS)} | {name: 1 for name in _OF_ALL},
    )


def sent_column_layout(organisation: Organisation) -> data.StructLayout:
    """The access of this clock; ``auto``, its bank precharges, and if ``contended``, since another row is wanted."""
    return data.StructLayout(
        {"read": 1, "write": 1, "bank": range(organisation.banks), "auto": 1, "contended": 1},
    )


def sent_row_layout(organisation: Organisation) -> data.StructLayout:
    """The row commands of this clock: an ACT, and another (or ``NOP``), with their slots and banks."""
    bank = range(organisation.banks)
    return data.StructLayout(
        {
            "act": 1,
            "act_slot": 1,
            "act_bank": bank,
            "act_row": range(organisation.rows),
            "short": RowCommand,
            "short_slot": 1,
            "short_bank": bank,
            "contended": 1,
        }
    )


class Banks(wiring.Component):
    """Follows the commands of a pseudo-channel, and says what may be sent.

    Latency: a command counts from the next clock on.

    Members
    -------
    pc : In(1)
        Its number, and so, its column slot. Constant.
    settings : In(settings_layout)
    column, row : In(sent_column_layout), In(sent_row_layout)
        The commands of this clock.
    states : Out(states_layout)
    closed : Out(a bit a bank)
        Banks that commands of this clock close.
    asked_bank, asked_row, open_after : In(bank), In(row), Out(1)
        That row is open after the commands of this clock.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        banks = organisation.banks
        super().__init__(
            {
                "pc": In(1),
                "settings": In(settings_layout()),
                "column": In(sent_column_layout(organisation)),
                "row": In(sent_row_layout(organisation)),
                "states": Out(states_layout(banks)),
                "closed": Out(banks),
                "asked_bank": In(range(banks)),
                "asked_row": In(range(organisation.rows)),
                "open_after": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        of = self.organisation
        count = of.banks

        def part(name, component):
            m.submodules[name] = shared(component, platform)
            return component

        column_gate = part("column_gate", ColumnGate(of))
        row_gate = part("row_gate", RowGate(of))
        banks = [part(f"bank_{number}", Bank(of)) for number in range(count)]

        # What is sent, a bit a bank.
        column, row = self.column, self.row
        acts, shorts, columns, closes, is_open = (
            Signal(count, name=name) for name in ("acts", "shorts", "columns", "closes", "is_open")
        )
        m.d.comb += [
            is_open.eq(Cat(bank.open for bank in banks)),
            acts.eq(Mux(row.act, one_hot(row.act_bank, count), 0)),
            shorts.eq(one_hot(row.short_bank, count)),
            columns.eq(Mux(column.read | column.write, one_hot(column.bank, count), 0)),
            closes.eq(
                Mux(row.short == RowCommand.PREA, (1 << count) - 1, Mux(row.short == RowCommand.PRE, shorts, 0)),
            ),
            self.closed.eq(closes | Mux(column.auto, columns, 0)),
        ]
        starts = Signal(starts_layout())
        values = bank_starts(
            self.settings.timing,
            act_slot=row.act_slot,
            refresh=row.short == RowCommand.REFSB,
            short_slot=row.short_slot,
            write=column.write,
            slot=self.pc,
        )
        m.d.comb += [starts[name].eq(value) for name, value in values.items()]
        for number, bank in enumerate(banks):
            m.d.comb += [
                bank.starts.eq(starts),
                bank.slot.eq(self.pc),
                bank.act.eq(acts[number]),
                bank.act_row.eq(row.act_row),
                bank.pre.eq(closes[number]),
                bank.refsb.eq((row.short == RowCommand.REFSB) & shorts[number]),
                bank.access.eq(columns[number]),
                bank.auto_close.eq(column.auto),
                bank.contended.eq(Mux(closes[number], row.contended, column.contended)),
            ]
        group_bits = exact_log2(of.banks_per_group)
        m.d.comb += [
            column_gate.settings.eq(self.settings),
            column_gate.slot.eq(self.pc),
            column_gate.rd.eq(column.read),
            column_gate.wr.eq(column.write),
            column_gate.group.eq(column.bank[group_bits:]),
            row_gate.settings.eq(self.settings),
            row_gate.act.eq(row.act),
            row_gate.group.eq(row.act_bank[group_bits:]),
            row_gate.refsb.eq(row.short == RowCommand.REFSB),
            row_gate.refall.eq(row.short == RowCommand.REF),
            row_gate.slot.eq(Mux(row.act, row.act_slot, row.short_slot)),
        ]

        # What may be sent.
        def by_group(mask):
            return Cat(mask[number >> group_bits] for number in range(count))

        states = self.states
        m.d.comb += [states[name].eq(Cat(getattr(bank, name) for bank in banks)) for name in _OF_BANKS]
        m.d.comb += [
            states.row_spaced.eq(by_group(row_gate.spaced)),
            states.row_spaced_early.eq(by_group(row_gate.spaced_early)),
            states.column_spaced.eq(by_group(column_gate.spaced)),
            states.may_turn_to_read.eq(by_group(column_gate.may_read)),
            states.may_turn_to_write.eq(column_gate.may_write),
            states.may_act.eq(row_gate.may_act),
            states.may_act_early.eq(row_gate.may_act_early),
            states.rested.eq(row_gate.rested),
            states.rested_early.eq(row_gate.rested_early),
        ]

        rows = Array(bank.row for bank in banks)
        stays = Signal(count)
        m.d.comb += [
            stays.eq(is_open & ~self.closed),
            self.open_after.eq(
                (stays.bit_select(self.asked_bank, 1) & (rows[self.asked_bank] == self.asked_row))
                | (row.act & (row.act_bank == self.asked_bank) & (row.act_row == self.asked_row))
            ),
        ]
        return m
