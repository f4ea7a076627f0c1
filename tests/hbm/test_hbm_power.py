"""When the channel goes to sleep and wakes: to the clock that the settings and the device's rules say, and no other."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.commands import RowCommand
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.device import BURST, device
from openppu.hbm.power import POWER_COUNTERS, Power
from openppu.hbm.settings import Settings
from openppu.hbm.splitter import Splitter

TIMING = device("HBM2E_3200").timing
INPUTS = ("work", "requests", "update", "catastrophic", "urgent", "reads", "writes")
OUTPUTS = ("stop", "cke", "asleep", "quiet", "overheated")
CLOSE, SETTLE = 3, 9
"""Clocks from a stop to closed, and to settled banks."""


@dataclass
class Run:
    """Commands (memory clock of the row bus, name), and each clock's outputs; the commands are a clock behind these."""

    commands: list[tuple[int, str]] = field(default_factory=list)
    outputs: list[dict[str, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)

    def times(self, *names: str) -> list[int]:
        """Of commands, all of them expected once."""
        assert [name for _, name in self.commands] == list(names)
        return [ck for ck, _ in self.commands]

    def clocks(self, name: str) -> list[int]:
        """In which an output is high."""
        return [clock for clock, each in enumerate(self.outputs) if each[name]]


def run(settings: Settings, clocks: int, inputs: Callable[[int], dict[str, int]]) -> Run:
    """Inputs by clock, all others as of a channel at rest."""
    power = Power()
    result = Run()

    async def bench(ctx: Any) -> None:
        ctx.set(power.settings, settings.values())
        stopped_for = 0
        for clock in range(clocks):
            stopped_for = stopped_for + 1 if ctx.get(power.stop) else 0
            rest = {"enable": 1, "closed": stopped_for >= CLOSE, "stopped": stopped_for >= SETTLE, "paid": 3}
            for name, value in (dict.fromkeys(INPUTS, 0) | rest | inputs(clock)).items():
                ctx.set(getattr(power, name), value)
            result.outputs.append({name: ctx.get(getattr(power, name)) for name in OUTPUTS})
            command = ctx.get(power.command)
            if command.command != RowCommand.NOP:
                result.commands.append((2 * (clock + 1) + command.slot, RowCommand(command.command).name))
            await ctx.tick()
        result.counters = {name: ctx.get(power.counters[name]) for name in POWER_COUNTERS}

    simulator = Simulator(power)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return result


def at(when: int, **values: int) -> Callable[[int], dict[str, int]]:
    """Inputs of one clock."""
    return lambda clock: values if clock == when else {}


def since(when: int, **values: int) -> Callable[[int], dict[str, int]]:
    """Inputs from a clock on."""
    return lambda clock: values if clock >= when else {}


def settings_of(state: str, after: int, **timing: int) -> Settings:
    """One state after so many clocks, and another timing."""
    values: dict[str, Any] = {f"{state}_after": after}
    return Settings(timing=replace(TIMING, **timing), **values)


STATES = {"power_down": ("PDE", "PDX", "tXP", CLOSE), "self_refresh": ("SRE", "SRX", "tXS", SETTLE)}


@pytest.mark.parametrize("after", [1, 30])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("state", STATES)
def test_sleep_begins_after_idle_clocks_and_ends_at_the_limit(state: str, extra: int, after: int) -> None:
    enter, leave, name, closing = STATES[state]
    wake = getattr(TIMING, name) + extra
    settings = settings_of(state, after, **{name: wake})
    woken = 700
    found = run(settings, woken + wake, lambda clock: {"work": clock <= 20 or clock >= woken})
    entered, left = found.times(enter, leave)
    # The clock after the work is the first idle one; then the banks are closed, and the command is on the bus.
    assert entered // 2 == 20 + 1 + after + closing + 1
    assert left // 2 == woken + 1
    assert {entered % 2, left % 2} == {wake % 2}
    first = max(found.clocks("stop")) + 1
    assert 2 * (first + 1) == left + wake, "the first command comes in the very memory clock from which it may"
    low = [clock for clock in range(woken + wake) if not found.outputs[clock]["cke"]]
    assert low == list(range(entered // 2, left // 2))
    assert found.counters[state] == len(low)
    assert found.counters[f"{state.replace('refresh', 'refreshe')}s"] == 1
    assert len(found.clocks("asleep")) == (len(low) if state == "self_refresh" else 0)
    assert set(found.clocks("quiet")) == set(range(woken + wake)) - set(found.clocks("stop"))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("least", [12, 13, 20])
def test_sleep_lasts_tcke_at_least(state: str, least: int) -> None:
    enter, leave, name, closing = STATES[state]
    settings = settings_of(state, 5, tCKE=least)
    entry = 6 + closing
    for offset in (-2, -1, 0, 4, 5, 6, 7, 8, 12):
        found = run(settings, entry + 30, since(entry + offset, work=1))
        if offset < 0:
            assert not found.commands, "work that comes in time keeps the channel awake"
            continue
        entered, left = found.times(enter, leave)
        wanted = max(least + least % 2, 2 * (offset + 1))
        assert left - entered == wanted, f"{offset} clocks behind the entry: {name}"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("strobe", "last"), [("reads", TIMING.RL + BURST), ("writes", TIMING.WL + BURST + TIMING.tWR)])
@pytest.mark.parametrize("pc", [0, 1])
def test_the_last_word_passes_first(state: str, strobe: str, last: int, pc: int) -> None:
    enter, _, name, _ = STATES[state]
    wake = getattr(TIMING, name)
    settings = settings_of(state, 5, **{name: wake + wake % 2})
    issued = 6
    found = run(settings, 60, at(issued, **{strobe: 1 << pc}))
    (entered,) = found.times(enter)
    assert entered - (2 * issued + pc) in (last, last + 1)
    assert entered % 2 == 0


def test_urgent_refreshes_end_power_down_until_both_have_paid() -> None:
    settings = Settings(power_down_after=5)

    def inputs(clock: int) -> dict[str, int]:
        return {"urgent": 2 * (clock == 100), "paid": 1 if 100 <= clock < 150 else 3}

    found = run(settings, 200, inputs)
    _, left, again = found.times("PDE", "PDX", "PDE")
    assert left // 2 == 102
    assert again // 2 == 151 + CLOSE + 1
    assert run(Settings(self_refresh_after=5), 200, inputs).times("SRE")


def test_power_down_goes_on_to_self_refresh() -> None:
    found = run(Settings(power_down_after=5, self_refresh_after=100), 300, lambda clock: {})
    down, up, refresh = found.times("PDE", "PDX", "SRE")
    assert up // 2 == 101
    assert refresh == up + TIMING.tXP + (up + TIMING.tXP) % 2, "the banks have been closed all along"
    assert found.counters["power_down"] == (up - down) // 2


@pytest.mark.parametrize("state", STATES)
def test_the_phy_is_served_awake(state: str) -> None:
    enter, leave, name, _ = STATES[state]
    settings = settings_of(state, 5)
    found = run(settings, 500, lambda clock: {"update": clock >= 100})
    left = found.times(enter, leave)[1]
    assert left // 2 == 101
    assert min(clock for clock in found.clocks("quiet") if clock > 50) >= 101 + getattr(TIMING, name) // 2 - 1


@pytest.mark.parametrize("waits", ["work", "requests", "update"])
def test_nobody_sleeps_while_something_waits_or_unless_told_to(waits: str) -> None:
    assert not run(Settings(power_down_after=1, self_refresh_after=1), 100, lambda clock: {waits: 1}).commands
    assert not run(Settings(), 100, lambda clock: {}).commands


def test_a_memory_too_hot_is_put_to_self_refresh_and_kept_there() -> None:
    def inputs(clock: int) -> dict[str, int]:
        update, work = 300 < clock < 400, 350 < clock < 410
        return {"catastrophic": clock == 50, "requests": clock > 60, "update": update, "work": work}

    found = run(Settings(), 800, inputs)
    entered, left, again = found.times("SRE", "SRX", "SRE")
    assert entered // 2 == 51 + 1 + SETTLE
    assert set(range(51, 800)) == set(found.clocks("overheated"))
    assert set(range(301, 400)) <= set(found.clocks("quiet")), "asleep, the bus is as quiet as it can be"
    assert left // 2 == 401, "what was taken in before is done, but not on a bus that is the PHY's"
    assert again // 2 == 401 + TIMING.tXS // 2


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_request_on_its_way_is_done_and_the_next_refused(taken: int) -> None:
    """Refusal begins when so many of the first request's three pieces have been taken, and the next one is offered."""
    splitter = Splitter(ChannelConfig(height=4))
    refused: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(splitter.requests.valid, 1)
        ctx.set(splitter.requests.payload.last, 3 * GRANULE - 1)
        for clock in range(20):
            ctx.set(splitter.refuse, len(refused) >= taken and clock % 3 > 0)
            ctx.set(splitter.granules.ready, clock % 3 == 2)
            granule = ctx.get(splitter.granules.payload)
            if clock % 3 == 2:
                refused.append(granule.refused)
            await ctx.tick()

    simulator = Simulator(splitter)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert refused == [0, 0, 0, 1, 1, 1]
