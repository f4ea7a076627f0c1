"""The channel in power-down and self-refresh on the native bench: what they cost, and that nothing else changes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Refresh, Settings
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
SETTINGS = Settings(write_high=6, write_low=1)
TIMING = SETTINGS.timing
TREFI = TIMING.tREFI // 2
"""In controller clocks."""
BUSY = Pattern(order="random", lengths=(1, 40), reads=0.5, size=4096, masked=0.2, stall=0.1, hold=0.1, tags=4)
ALONE = Pattern(order="random", lengths=(1, 1), outstanding=1, gap=600)
SILENT = replace(ALONE, gap=1 << 30)
ENTRIES = {"power_down": "power_downs", "self_refresh": "self_refreshes"}
STATES = {"power_down": ("PDE", "PDX", "tXP"), "self_refresh": ("SRE", "SRX", "tXS")}


def sleepy(state: str, after: int, settings: Settings = SETTINGS) -> Settings:
    """With one state after so many clocks."""
    values: dict[str, Any] = {f"{state}_after": after}
    return replace(settings, **values)


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_channel(CONFIG, build_root)


def measure(executable: Path, patterns: list[Pattern], settings: Settings, **options: Any) -> Measurement:
    options = {"warmup": 0, "clocks": 20_000} | options
    measured = run(executable, CONFIG, patterns, settings=settings, **options)
    measured.check()
    return measured


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("state", STATES)
def test_waking_costs_what_the_page_says(state: str, extra: int, executable: Path) -> None:
    enter, leave, name = STATES[state]
    longer: dict[str, Any] = {name: getattr(TIMING, name) + extra}
    timing = replace(TIMING, **longer)
    awake = replace(SETTINGS, timing=timing, refresh_enable=False)
    asleep = sleepy(state, 20, awake)
    usual, slower = (measure(executable, [ALONE, SILENT], settings) for settings in (awake, asleep))
    assert slower.latency(0.5) - usual.latency(0.5) == -(-getattr(timing, name) // 2) - 2
    assert abs(slower.commands[leave] - slower.reads_done) <= 2
    assert 0 <= slower.power[ENTRIES[state]] - slower.commands[leave] <= 1
    assert slower.commands[enter] == slower.power[ENTRIES[state]]


@pytest.mark.parametrize("refresh", list(Refresh))
@pytest.mark.parametrize("after", [0, 50])
def test_no_refresh_is_missed_in_a_long_rest(after: int, refresh: Refresh, executable: Path) -> None:
    settings = replace(SETTINGS, refresh=refresh, power_down_after=after)
    rest = 40 * TREFI
    measured = measure(executable, [BUSY] * 2, settings, clocks=rest + 5000, events=[(2000, "pause", [rest])])
    done = measured.commands["REFSB"] + measured.commands["REF"] * CONFIG.organisation.banks
    assert abs(done / 2 / CONFIG.organisation.banks - (rest + 5000) / TREFI) < 9
    share = measured.power["power_down"] / rest
    assert (0.7 < share < 1) if after else share == 0
    assert measured.commands["PDE"] == measured.power["power_downs"] <= rest / TREFI / 2


def test_nothing_is_refreshed_or_owed_in_self_refresh(executable: Path) -> None:
    settings = replace(SETTINGS, power_down_after=20, self_refresh_after=500)
    rest = 40 * TREFI
    measured = measure(executable, [BUSY] * 2, settings, clocks=rest + 5000, events=[(2000, "pause", [rest])])
    assert measured.commands["REFSB"] / 2 / CONFIG.organisation.banks < 5000 / TREFI + 9
    assert measured.power["self_refresh"] > 0.98 * rest - 2000
    assert measured.commands["SRE"] == measured.power["self_refreshes"]


def test_the_debt_stays_right_over_many_self_refreshes(executable: Path) -> None:
    quick = replace(TIMING, tREFI=240, tRFC=60, tXS=70, tRFCSB=40, tRREFD=6)
    settings = replace(SETTINGS, timing=quick, self_refresh_after=5)
    measured = measure(executable, [replace(ALONE, gap=120), SILENT], settings, clocks=250_000)
    # A clock, two CK, more or less each time would come to eight tREFI.
    assert 2 * measured.commands["SRE"] > 8 * quick.tREFI


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("refresh", list(Refresh))
def test_the_rate_changes_with_the_temperature_asleep_and_awake(refresh: Refresh, state: str, executable: Path) -> None:
    settings = sleepy(state, 30, replace(SETTINGS, refresh=refresh))
    part = 2 * TREFI
    paces = {3: 1.0, 2: 2.0, 6: 4.0, 7: 4.0, 1: 0.5, 0: 0.25}
    events = [(part * n, "temperature", [code]) for n, code in enumerate(paces)]
    events += [(part * n // 2 + 500, "pause", [part // 3]) for n in range(2 * len(paces))]
    measured = measure(executable, [BUSY] * 2, settings, clocks=part * len(paces), events=events)
    assert measured.power[state] > part
    done = measured.commands["REFSB"] + measured.commands["REF"] * CONFIG.organisation.banks
    awake = 1 - (measured.power["self_refresh"] / (part * len(paces)))
    assert abs(done / 2 / CONFIG.organisation.banks - 2 * sum(paces.values()) * awake) < 10


@pytest.mark.parametrize("state", STATES)
def test_the_phy_gets_its_quiet_bus_from_a_sleeping_channel(state: str, executable: Path) -> None:
    settings = sleepy(state, 20)
    # At many offsets to the entry.
    events: list[tuple[int, str, list[int]]] = []
    for n in range(40):
        begin = 1000 + 2000 * n
        events += [(begin, "pause", [1500]), (begin + 60 + 9 * n, "update_request", [1])]
        events.append((begin + 500 + 9 * n, "update_request", [0]))
    measured = measure(executable, [BUSY] * 2, settings, clocks=82_000, events=events)
    assert measured.updates == 40
    assert measured.power[state] > 15_000


@pytest.mark.parametrize("state", STATES)
def test_a_reset_in_any_state_brings_the_channel_back(state: str, executable: Path) -> None:
    settings = sleepy(state, 20)
    events: list[tuple[int, str, list[int]]] = []
    for n in range(30):
        begin = 1000 + 1500 * n
        events += [(begin, "pause", [600]), (begin + 40 + 13 * n, "reset", [])]
    measured = measure(executable, [BUSY] * 2, settings, clocks=46_000, events=events)
    assert measured.commands["MRS"] == 31 * 16
    assert measured.commands[STATES[state][0]] > measured.commands[STATES[state][1]] > 10


def test_a_memory_too_hot_is_left_alone_until_a_reset(executable: Path) -> None:
    hot = [(5000, "catastrophic", [1]), (5010, "catastrophic", [0])]
    measured = measure(executable, [BUSY] * 2, SETTINGS, events=hot, clocks=20_000)
    assert measured.turned_away > 1000
    assert (measured.commands["SRE"], measured.commands["SRX"]) == (1, 0)
    assert measured.power["self_refresh"] > 14_000
    again = measure(executable, [BUSY] * 2, SETTINGS, events=[*hot, (9000, "reset", [])], clocks=20_000)
    assert 100 < again.turned_away < measured.turned_away
    assert again.beats_read > measured.beats_read
    assert again.commands["MRS"] == 32
