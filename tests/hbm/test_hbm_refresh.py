"""Refreshes: as many as are due, every bank once a round, of quiet banks first, never more than eight tREFI owed."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.commands import RowCommand
from openppu.hbm.device import device, organisation
from openppu.hbm.refresh import LIMIT, RefreshTimer
from openppu.hbm.settings import Refresh, Settings

OF = organisation(4)
BANKS = OF.banks
ALL = (1 << BANKS) - 1
TREFI = 640
TIMING = replace(device("HBM2E_3200").timing, tREFI=TREFI, tRFC=100, tRFCSB=60)


@dataclass
class Run:
    """Commands with their clocks and banks, the debt at each clock, and how many commands concerned a near bank."""

    commands: list[tuple[int, RowCommand, int]] = field(default_factory=list)
    debts: list[int] = field(default_factory=list)
    near: int = 0

    def count(self, command: RowCommand) -> int:
        return sum(of == command for _, of, _ in self.commands)


def run(
    clocks: int,
    *,
    refresh: Refresh = Refresh.SINGLE_BANK,
    temperature: int = 3,
    idle: bool = False,
    near: Any = lambda clock: 0,
    opening: float = 0.0,
    enabled: bool = True,
) -> Run:
    """Banks that settle some clocks after a command, and are opened at random where that is allowed."""
    chance = random.Random(1)
    timer = RefreshTimer(OF)
    result = Run()

    async def bench(ctx: Any) -> None:
        values = Settings(timing=TIMING, refresh=refresh, refresh_enable=enabled).values()
        for member, value in ((timer.settings, values), (timer.enable, 1), (timer.temperature, temperature)):
            ctx.set(member, value)
        is_open, busy = 0, [0] * BANKS
        for clock in range(clocks):
            settled = sum((busy[bank] <= clock) << bank for bank in range(BANKS))
            states = dict.fromkeys(("settled", "settled_early", "may_close", "may_close_early"), settled)
            always = {"row_spaced": ALL, "row_spaced_early": ALL, "rested": 1, "rested_early": 1}
            ctx.set(timer.states, {"open": is_open, **states, **always})
            ctx.set(timer.idle, idle)
            ctx.set(timer.near, near(clock))
            result.debts.append(ctx.get(timer.debt))
            blocked, hold = ctx.get(timer.blocked), ctx.get(timer.hold)
            granted = ctx.get(timer.valid) and chance.random() < 0.7
            ctx.set(timer.granted, granted)
            bank, command = ctx.get(timer.bank), RowCommand(ctx.get(timer.command))
            await ctx.tick()
            if granted:
                result.commands.append((clock, command, bank))
                result.near += command == RowCommand.REFSB and near(clock) >> bank & 1
                whole = command in (RowCommand.PREA, RowCommand.REF)
                if command in (RowCommand.REFSB, RowCommand.REF):
                    assert not is_open & (ALL if whole else 1 << bank), f"clock {clock}: {command} of an open bank"
                for one in range(BANKS) if whole else [bank]:
                    busy[one] = clock + {RowCommand.REFSB: 30, RowCommand.REF: 50}.get(command, 12)
                is_open &= 0 if whole else ~(1 << bank)
            elif chance.random() < opening and not hold:
                free = [bank for bank in range(BANKS) if settled & ~is_open & ~blocked & 1 << bank]
                if free:
                    bank = chance.choice(free)
                    is_open |= 1 << bank
                    busy[bank] = clock + 20

    simulator = Simulator(timer)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return result


@pytest.mark.parametrize(
    ("temperature", "quarters"), [(0, 1), (1, 2), (3, 4), (2, 8), *((code, 16) for code in (6, 4, 5, 7))]
)
def test_rate_follows_the_temperature(temperature: int, quarters: int) -> None:
    clocks = 8 * TREFI // quarters * 2
    found = run(clocks, temperature=temperature).count(RowCommand.REFSB)
    wanted = 2 * clocks * quarters * BANKS / (4 * TREFI)
    assert wanted - 3 <= found <= wanted, f"temperature {temperature}: {found} instead of {wanted}"


@pytest.mark.parametrize("opening", [0.0, 0.5])
def test_every_bank_has_its_turn_in_every_round(opening: float) -> None:
    found = run(1800, opening=opening)
    banks = [bank for _, command, bank in found.commands if command == RowCommand.REFSB]
    assert len(banks) > 4 * BANKS
    for start in range(0, len(banks) - BANKS, BANKS):
        assert set(banks[start : start + BANKS]) == set(range(BANKS)), banks
    assert bool(found.count(RowCommand.PRE)) == bool(opening)


def test_near_banks_are_spared_until_half_is_owed() -> None:
    spared = run(1800, near=lambda clock: 0x00FF if clock % 200 < 100 else 0xFF00)
    assert spared.near == 0
    assert max(spared.debts) < LIMIT // 2 * BANKS
    forced = run(4000, near=lambda clock: ALL)
    assert forced.near > 0
    assert max(forced.debts) <= LIMIT // 2 * BANKS + 2, max(forced.debts)


def test_idle_time_pays_ahead_up_to_the_limit() -> None:
    found = run(5000, idle=True)
    assert min(found.debts) == -LIMIT * BANKS
    assert max(found.debts[-500:]) <= -LIMIT * BANKS + 2


@pytest.mark.parametrize(("idle", "least"), [(True, 0), (False, LIMIT - 1)])
def test_refresh_of_all_banks_waits_for_idle_time_or_the_limit(idle: bool, least: int) -> None:
    found = run(4500, refresh=Refresh.ALL_BANK, idle=idle, opening=0.5)
    kinds = Counter(command for _, command, _ in found.commands)
    assert set(kinds) == {RowCommand.PREA, RowCommand.REF}
    assert max(found.debts) <= (least + 1) * BANKS + 3, max(found.debts)
    assert kinds[RowCommand.REF] == sum(found.debts[-1] + BANKS * n <= 2 * 4500 * BANKS // TREFI for n in range(1, 30))


def test_nothing_is_refreshed_if_that_is_switched_off() -> None:
    found = run(1500, enabled=False, idle=True)
    assert (found.commands, set(found.debts)) == ([], {0})
