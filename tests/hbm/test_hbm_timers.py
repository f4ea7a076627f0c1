"""Banks and gates allow a command in the very memory clock from which the device's table does: no sooner, no later."""

import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator
from openppu.hbm.bank import Bank
from openppu.hbm.device import Timing, device, organisation
from openppu.hbm.gates import ColumnGate, RowGate
from openppu.hbm.settings import Settings, settings_layout
from openppu.hbm.timers import bank_starts
from openppu_verif.hbm.constraints import CONSTRAINTS, Place, earliest

OF = organisation(8)
TIMING = device("HBM2E_3200").timing
ODD = replace(TIMING, tRRDL=9, tCCDL=5, tCCDR=3, tRCDRD=24, tRP=24, tRC=77, tRTP=9, tWR=25, tRREFD=12, tFAW=41)
STROBES = {
    "ACT": ("act",),
    "PRE": ("pre",),
    "REFSB": ("refsb",),
    "RD": ("access",),
    "RDA": ("access", "auto_close"),
    "WR": ("access",),
    "WRA": ("access", "auto_close"),
}
SECONDS = {"ACT": "settled", "REFSB": "settled", "PRE": "may_close", "RD": "may_read", "WR": "may_write"}


def run(component: Any, bench: Any) -> None:
    simulator = Simulator(component)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()


@cache
def group_latency(first: str, group: int, second: str, other: int, timing: Timing) -> int:
    """Memory clocks between commands to different banks of two groups."""
    return earliest(first, Place(0, 4 * group), second, Place(0, 4 * other + 1), timing, OF)


def bank_latency(first: str, second: str, timing: Timing) -> int:
    rows = (row for row in CONSTRAINTS if row.level == "bank" and first in row.preceding and second in row.following)
    return max((row.clocks(timing) for row in rows), default=0)


@pytest.mark.parametrize("timing", [TIMING, ODD], ids=["table", "odd"])
@pytest.mark.parametrize("slot", [0, 1])
def test_bank_allows_each_command_from_its_clock_on(slot: int, timing: Timing) -> None:
    m = Module()
    m.submodules.bank = bank = Bank(OF)
    settings = Signal(settings_layout())
    row_slot, refresh, write = Signal(), Signal(), Signal()
    starts = bank_starts(
        settings.timing, act_slot=row_slot, refresh=refresh, short_slot=row_slot, write=write, slot=bank.slot
    )
    m.d.comb += [bank.starts[name].eq(value) for name, value in starts.items()]
    found, wanted = {}, {}

    async def bench(ctx: Any) -> None:
        ctx.set(bank.slot, slot)
        ctx.set(settings, Settings(timing=timing).values())
        for first, strobes in STROBES.items():
            for first_slot in (0, 1) if first in ("ACT", "PRE", "REFSB") else (slot,):
                for strobe in strobes:
                    ctx.set(getattr(bank, strobe), 1)
                ctx.set(row_slot, first_slot)
                ctx.set(refresh, first == "REFSB")
                ctx.set(write, first.startswith("WR"))
                await ctx.tick()
                for strobe in strobes:
                    ctx.set(getattr(bank, strobe), 0)
                for clock in range(1, 150):
                    for second, state in SECONDS.items():
                        slots = (slot,) if second in ("RD", "WR") else (0, 1)
                        for second_slot in slots:
                            early = "_early" if len(slots) == 2 and second_slot == 0 else ""
                            case = (first, first_slot, second)
                            if ctx.get(getattr(bank, state + early)) and case not in found:
                                found[case] = 2 * clock + second_slot
                            least = max(2, first_slot + bank_latency(first, second, timing))
                            if 2 * clock + second_slot >= least and case not in wanted:
                                wanted[case] = 2 * clock + second_slot
                    await ctx.tick()

    run(m, bench)
    assert found == wanted, {
        case: (found.get(case), wanted[case]) for case in wanted if found.get(case) != wanted[case]
    }


@pytest.mark.parametrize("timing", [TIMING, ODD], ids=["table", "odd"])
@pytest.mark.parametrize("slot", [0, 1])
def test_column_gate_equals_the_table_for_random_commands(slot: int, timing: Timing) -> None:
    chance = random.Random(slot)
    gate = ColumnGate(OF)
    history: list[tuple[int, str, int]] = []

    def allowed(name: str, group: int, ck: int) -> bool:
        return all(ck >= when + group_latency(first, of, name, group, timing) for when, first, of in history[-20:])

    async def bench(ctx: Any) -> None:
        ctx.set(gate.slot, slot)
        ctx.set(gate.settings, Settings(timing=timing).values())
        for clock in range(1200):
            ck = 2 * clock + slot
            spaced, may_read, may_write = ctx.get(gate.spaced), ctx.get(gate.may_read), ctx.get(gate.may_write)
            may = {"RD": spaced & may_read, "WR": spaced & -may_write}
            for name, groups in may.items():
                for group in range(8):
                    assert groups >> group & 1 == allowed(name, group, ck), (name, group, ck, history[-6:])
            name = chance.choice(["RD", "WR"] if clock % 100 < 20 else ["RD"] if clock % 200 < 100 else ["WR"])
            choices = [group for group in range(8) if may[name] >> group & 1]
            go = bool(choices) and chance.random() < 0.8
            group = chance.choice(choices) if go else 0
            ctx.set(gate.rd, go and name == "RD")
            ctx.set(gate.wr, go and name == "WR")
            ctx.set(gate.group, group)
            if go:
                history.append((ck, name, group))
            await ctx.tick()

    run(gate, bench)
    assert {(name, group) for _, name, group in history} == {
        (name, group) for name in ("RD", "WR") for group in range(8)
    }


@pytest.mark.parametrize("timing", [TIMING, ODD], ids=["table", "odd"])
def test_row_gate_equals_the_table_for_random_commands(timing: Timing) -> None:
    chance = random.Random(1)
    gate = RowGate(OF)
    history: list[tuple[int, str, int]] = []

    def allowed(name: str, group: int, ck: int) -> bool:
        acts = [when for when, first, _ in history[-20:] if first == "ACT"]
        window = name != "ACT" or len(acts) < 4 or ck >= acts[-4] + timing.tFAW
        return window and all(
            ck >= when + group_latency(first, of, name, group, timing) for when, first, of in history[-20:]
        )

    async def bench(ctx: Any) -> None:
        ctx.set(gate.settings, Settings(timing=timing).values())
        for clock in range(1000):
            offers = []
            for slot, spaced, may_act in (
                (0, ctx.get(gate.spaced_early), ctx.get(gate.may_act_early)),
                (1, ctx.get(gate.spaced), ctx.get(gate.may_act)),
            ):
                for group in range(8):
                    for name, may in (("ACT", spaced >> group & may_act & 1), ("REFSB", spaced >> group & 1)):
                        assert may == allowed(name, group, 2 * clock + slot), (name, group, clock, slot, history[-6:])
                        if may:
                            offers.append((2 * clock + slot, name, group))
            what = chance.random()
            kinds = [offer for offer in offers if offer[1] == ("REFSB" if what < 0.1 else "ACT")]
            go = bool(kinds) and what < 0.8
            ck, name, group = chance.choice(kinds) if go else (0, "", 0)
            if chance.random() < 0.004:
                go, ck, name = True, 2 * clock, "REF"
            for strobe, of in ((gate.act, "ACT"), (gate.refsb, "REFSB"), (gate.refall, "REF")):
                ctx.set(strobe, go and name == of)
            ctx.set(gate.slot, ck & 1)
            ctx.set(gate.group, group)
            if go:
                history.append((ck, name, group))
            await ctx.tick()

    run(gate, bench)
    assert {name for _, name, _ in history} == {"ACT", "REFSB", "REF"}
