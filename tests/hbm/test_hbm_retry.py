"""Commands of wrong parity: whatever is lost is sent again, nothing is wrong or missing, and no rule is broken."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openppu.config import ConfigError
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, device
from openppu.hbm.mode_registers import encoded, first_values
from openppu.hbm.retry import MOST_RETRIES
from openppu.hbm.settings import Mapping, Page, Refresh, Settings
from openppu_verif.hbm.memory_file import ADDRESS_ERROR_CLOCKS
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8, hammer_entries=8, retry=True)
SETTINGS = Settings(
    write_high=6, write_low=1, parity_latency=ADDRESS_ERROR_CLOCKS, hammer_window=4, hammer_threshold=40
)
CLOCKS = 10_000
SEEDS = range(24)
COLUMN_BUS = 1
WHATEVER = 1 << 30
BUSY = Pattern(order="random", lengths=(1, 40), reads=0.5, size=4096, masked=0.2, stall=0.1, hold=0.1, tags=4)


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_channel(CONFIG, build_root)


def measure(
    executable: Path,
    errors: list[tuple[int, int, int]],
    settings: Settings = SETTINGS,
    pattern: Pattern = BUSY,
    **more: Any,
) -> Measurement:
    """``errors``: after so many clocks, on that bus, the next command but so many."""
    events = [(clock, "spoil_command", [bus, skip]) for clock, bus, skip in errors]
    options = {"warmup": 0, "clocks": CLOCKS, "events": events} | more
    return run(executable, CONFIG, [pattern] * CONFIG.ports, settings=settings, **options)


def spoiled(seed: int, executable: Path) -> Measurement:
    """A run of any settings and traffic in which any commands are lost."""
    rng = random.Random(seed)
    timing = device(rng.choice(DEVICES)).timing
    settings = replace(
        SETTINGS,
        timing=replace(timing, tRREFD=timing.tRREFD - rng.randrange(4)),
        page=Page(rng.randrange(3)),
        mapping=Mapping(rng.randrange(2)),
        refresh=Refresh(seed % 4 == 3),
        self_refresh_after=rng.choice((0, 0, 30)),
        power_down_after=rng.choice((0, 0, 10)),
        read_delay=rng.choice((0, 3)),
    )
    pattern = replace(BUSY, size=rng.choice((512, 4096, 1 << 20)), gap=rng.choice((0, 0, 200)))
    errors = [(rng.randrange(CLOCKS), rng.randrange(2), rng.randrange(4)) for _ in range(rng.choice((20, 150)))]
    # Of refreshes, more than chance brings; and several commands in a row.
    errors += [(at, 0, skip) for at in range(1000, CLOCKS, 2000) for skip in range(3)]
    return measure(executable, errors, settings, pattern, seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_or_wrong_whatever_command_is_spoiled(seed: int, executable: Path) -> None:
    measured = spoiled(seed, executable)
    measured.check()
    assert min(counters["retries"] for counters in measured.counters) > 10


def test_every_kind_of_command_is_lost_in_these_runs(executable: Path) -> None:
    lost: Counter[str] = Counter()
    for seed in SEEDS:
        lost.update(spoiled(seed, executable).lost_commands)
    assert set(lost) >= {"ACT", "PRE", "PREA", "REFSB", "RD", "RDA", "WR", "WRA"}, lost


def test_lost_refreshes_of_all_banks_are_made_again(executable: Path) -> None:
    chance = random.Random(1)
    errors = [(clock, 0, chance.randrange(3)) for clock in range(100, 4 * CLOCKS, 41)]
    settings = replace(SETTINGS, refresh=Refresh.ALL_BANK, page=Page.OPEN)
    measured = measure(executable, errors, settings, Pattern(size=1024, gap=400, outstanding=1), clocks=4 * CLOCKS)
    measured.check()
    assert measured.lost_commands["REF"] > 3
    assert max(abs(owed) for owed in measured.owed) < 3 * CONFIG.organisation.banks


def test_lost_mode_registers_are_set_again(executable: Path) -> None:
    measured = measure(executable, [], events=[], clocks=2000)
    again = measure(executable, [(0, COLUMN_BUS, skip) for skip in (0, 1, 7, 17)], clocks=2000)
    assert measured.commands["MRS"] == again.commands["MRS"] == 16
    assert again.lost_commands["MRS"] == 4
    again.check()


def test_a_channel_gives_up_after_too_many_errors_in_a_row(executable: Path) -> None:
    errors = [(2000, bus, skip) for bus in range(2) for skip in range(MOST_RETRIES + 20)]
    measured = measure(
        executable, errors, replace(SETTINGS, refresh_enable=False), replace(BUSY, reads=1.0), most_violations=WHATEVER
    )
    assert max(counters["retries"] for counters in measured.counters) == MOST_RETRIES + 1
    assert measured.parity_failed
    assert measured.error_beats > 100
    assert measured.wrong == 0, measured.complaints


def test_without_retry_the_memory_has_no_parity_and_takes_every_command(executable: Path) -> None:
    measured = measure(executable, [(1000, COLUMN_BUS, 0)], replace(SETTINGS, parity_latency=0))
    measured.check()
    assert not measured.lost_commands


def test_errors_that_no_retry_mends_are_noticed_as_lost_words(executable: Path) -> None:
    parity = encoded(first_values(CONFIG, SETTINGS.timing, parity=True))
    measured = measure(
        executable,
        [(1000, COLUMN_BUS, 0)],
        replace(SETTINGS, parity_latency=0, modes=parity),
        replace(BUSY, reads=1.0),
        most_violations=WHATEVER,
    )
    assert measured.rules["mode_command_parity"] == 1
    assert measured.error_beats > 0
    assert measured.lost_or_stray == 1


def test_retries_cost_nothing_without_errors(executable: Path) -> None:
    stream = Pattern(tags=4, reads=0.7)
    on, off = (measure(executable, [], replace(SETTINGS, parity_latency=late), stream) for late in (4, 0))
    on.check()
    assert on.efficiency == pytest.approx(off.efficiency, abs=0.02)


def test_a_latency_too_long_for_the_timing_is_refused() -> None:
    with pytest.raises(ConfigError, match="parity_latency = 5: give 0 to 4"):
        replace(SETTINGS, timing=device("HBM2_2000").timing, parity_latency=5)
