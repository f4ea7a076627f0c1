"""Proofs that no command of the memory controller comes early, by rules taken from the checker's own table."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from amaranth import Cat, Const, Mux, Signal, Value, ValueLike
from amaranth.hdl import Assume
from amaranth.lib import data
from openppu.hbm.banks import Banks
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import BURST, Organisation, Timing
from openppu.hbm.settings import Settings, settings_layout
from openppu.hbm.timers import BITS, allowed, countdown

from openppu_verif.formal.harness import Harness
from openppu_verif.hbm.constraints import CONSTRAINTS, READ, WRITE, Constraint

SMALL = Organisation(
    height=8,
    channels=8,
    pseudo_channels=2,
    sids=2,
    bank_groups=4,
    banks_per_group=1,
    rows=2,
    columns=8,
    access_bytes=32,
)
"""Two of everything that rules tell apart."""

TIMING = Timing(
    RL=3, WL=1, tRCDRD=2, tRCDWR=3, tRP=3, tRAS=4, tRC=7, tCCDS=2, tCCDL=4, tCCDR=3, tRRDS=2, tRRDL=5, tFAW=9, tWTRS=1,
    tWTRL=4, tRTP=3, tWR=2, tRTW=5, tREFI=99, tRFC=6, tRFCSB=7, tRREFD=4, tXP=1, tXS=6, tCKE=1, tMRD=1,
)  # fmt: skip
"""Short, odd and even, and no rule hides another."""


def with_timing(timing: Timing, **policies: Any) -> dict[str, Any]:
    """A constant of `settings_layout` with so short a timing as no write path allows (`Settings` refuses it)."""
    return Settings(**policies).values() | {"timing": asdict(timing)}


MOST = 10
"""The longest of the rules with these, CK, and one more."""

Strobes = Iterable[tuple[Value, Value, Value]]
"""Whether a command comes in this clock, its bank, and its slot."""


class Monitor:
    """Knows how long ago the commands were that hold back another to one place, by the constraint table.

    Parameters
    ----------
    h : Harness
    timing : data.View
        The settings' timing.
    watched : Value
        The bank of the commands to come, which must not change.
    sent : mapping of str to strobes
        Commands of each clock by name; a PREA is given as the PREs that it is.
    of : Organisation
    """

    def __init__(
        self, h: Harness, timing: data.View, watched: Value, sent: dict[str, Strobes], of: Organisation
    ) -> None:
        self._h, self._timing, self._watched, self._of = h, timing, watched, of
        names = {name for strobes in sent for name in (strobes,)}
        rows = [
            row
            for row in CONSTRAINTS
            if row.level != "channel" and names & set(row.preceding) and names & set(row.following)
        ]
        self.rows = rows
        self._ages = {row.name: self._age(row, sent) for row in rows}

    def may_come(self, name: str, slot: ValueLike) -> Value:
        """Whether a command to the watched bank, in that slot of this clock, keeps all rules."""
        rules = [self._ages[row.name] + slot >= self.latency(row) for row in self.rows if name in row.following]
        return Cat(rules).all()

    def latency(self, row: Constraint) -> Value:
        """The least distance of a row of the table, in CK."""
        total: Value = Const(0)
        for term in row.latency.split(" + "):
            total = total + (int(term) if term.isdigit() else BURST if term == "B" else self._timing[term])
        return total

    def _age(self, row: Constraint, sent: dict[str, Strobes]) -> Value:
        """CK from the last of a row's preceding commands, or the last but some, to slot 0 of this clock."""
        m = self._h.m
        width = range(MOST + 1)
        ages = [Signal(width, init=MOST, name=f"age_{row.name}_{place}") for place in range(row.window)]
        came, slot = Const(0), Const(0)
        for name in row.preceding:
            for strobe, bank, at in sent.get(name, ()):
                here = strobe & self._related(row.level, bank)
                came, slot = came | here, Mux(here, at, slot)
        older = [Mux(age > MOST - 2, MOST, age + 2) for age in ages]
        for place, age in enumerate(ages):
            m.d.sync += age.eq(Mux(came, 2 - slot if place == 0 else older[place - 1], older[place]))
        return ages[-1]

    def _related(self, level: str, bank: Value) -> Value:
        """As `openppu_verif.hbm.constraints.related`, of banks of one pseudo-channel."""
        of, other = self._of, self._watched
        per_group = of.banks_per_group
        group, group_of_other = bank // per_group, other // per_group
        sid, sid_of_other = group // of.bank_groups, group_of_other // of.bank_groups
        return {
            "bank": bank == other,
            "group": group == group_of_other,
            "sid": sid == sid_of_other,
            "other_sid": sid != sid_of_other,
            "other_bank": bank != other,
            "pc": Const(1),
        }[level]


def countdowns() -> Harness:
    """A counter lets nothing come before each of two commands is its latency ago, whatever the two are."""
    h = Harness()
    latency = [h.fixed(f"latency_{number}", BITS) for number in range(2)]
    strobe = [h.free(f"strobe_{number}") for number in range(2)]
    slot = [h.free(f"slot_{number}") for number in range(2)]
    left = countdown(h.m, "left", *zip(strobe, latency, slot, strict=True))
    at = h.free("at")
    for number in range(2):
        age = Signal(BITS + 1, init=-1, name=f"age_{number}")
        after = Mux(age > (1 << BITS) + 1, age, age + 2)
        h.m.d.sync += age.eq(Mux(strobe[number], 2 - slot[number], after))
        # All that `left` may be, and no less; a latency of 1023 is one more than it holds.
        h.m.d.comb += Assume(latency[number] + slot[number] < (1 << BITS) + 1)
        h.check(left + age >= latency[number])
        h.check(age + at >= latency[number], when=allowed(left, at))
    return h


def banks() -> Harness:
    """Whatever was sent before, a command that `Banks` allows keeps every rule within its pseudo-channel."""
    h = Harness()
    m, of = h.m, SMALL
    m.submodules.dut = dut = Banks(of)
    timing = dut.settings.timing
    m.d.comb += dut.settings.eq(settings_layout().const(with_timing(TIMING)))
    m.d.comb += dut.pc.eq(h.fixed("pc", 1))
    column, row = dut.column, dut.row
    h.drive(column=column, row=row)
    open_banks = dut.states.open
    watched = h.fixed("watched", len(column.bank))
    short = {each: row.short == each for each in (RowCommand.PRE, RowCommand.PREA, RowCommand.REFSB, RowCommand.REF)}
    refreshes = short[RowCommand.REFSB] | short[RowCommand.REF]
    m.d.comb += [
        # What the scheduler never does.
        Assume(~(column.read & column.write)),
        Assume(~(row.act & (refreshes | short[RowCommand.PREA] | (row.short_bank == row.act_bank)))),
    ]
    others_open = open_banks & ~(1 << watched)
    sent: dict[str, Strobes] = {
        "ACT": [(row.act, row.act_bank, row.act_slot)],
        "PRE": [
            (short[RowCommand.PRE], row.short_bank, row.short_slot),
            (short[RowCommand.PREA] & (open_banks >> watched)[0], watched, row.short_slot),
            (short[RowCommand.PREA] & others_open.any(), watched ^ 1, row.short_slot),
        ],
        "REFSB": [(short[RowCommand.REFSB], row.short_bank, row.short_slot)],
        "REF": [(short[RowCommand.REF], row.short_bank, row.short_slot)],
        **{name: [(column.read & (column.auto == (name == "RDA")), column.bank, dut.pc)] for name in READ},
        **{name: [(column.write & (column.auto == (name == "WRA")), column.bank, dut.pc)] for name in WRITE},
    }
    monitor = Monitor(h, timing, watched, sent, of)
    states = dut.states

    def of_watched(name: str) -> Value:
        return (states[name] >> watched)[0]

    for slot, early in enumerate(("_early", "")):
        spaced = of_watched(f"settled{early}") & of_watched(f"row_spaced{early}")
        h.check(monitor.may_come("ACT", slot), when=spaced & states[f"may_act{early}"])
        h.check(monitor.may_come("REFSB", slot), when=spaced)
        h.check(monitor.may_come("REF", slot), when=states[f"settled{early}"].all() & states[f"rested{early}"])
        h.check(monitor.may_come("PRE", slot), when=of_watched(f"may_close{early}"))
    spaced = of_watched("column_spaced")
    h.check(monitor.may_come("RD", dut.pc), when=spaced & of_watched("may_read") & of_watched("may_turn_to_read"))
    h.check(monitor.may_come("WR", dut.pc), when=spaced & of_watched("may_write") & states.may_turn_to_write)
    return h
