"""The channel on the native bench: right data, no broken rule, and a bench that notices when either is untrue."""

from dataclasses import replace
from pathlib import Path

import pytest
from openppu.common.secded import COLUMNS
from openppu.hbm.accounts import IDLE_CAUSES
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Mapping, Page, Settings
from openppu_sim.errors import SimulationError
from openppu_sim.report.json_report import benchmark_json
from openppu_verif.hbm.efficiency import CASES, Case, row
from openppu_verif.hbm.mode_rules import MODE_RULES
from openppu_verif.hbm.native import Measurement, Pattern, as_json, build_channel, run

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
SETTINGS = Settings(write_high=6, write_low=1)
CLOCKS = 6000


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_channel(CONFIG, build_root)


def measure(executable: Path, pattern: Pattern, settings: Settings = SETTINGS, **options) -> Measurement:
    options = {"warmup": 1000, "clocks": CLOCKS} | options
    return run(executable, CONFIG, [pattern] * CONFIG.ports, settings=settings, **options)


STREAM = Pattern(tags=4)
BUSY = Pattern(order="random", lengths=(1, 40), reads=0.5, size=4096, masked=0.2, stall=0.1, hold=0.1, tags=4)


@pytest.mark.parametrize(
    "pattern",
    [
        STREAM,
        replace(STREAM, reads=0.5),
        replace(STREAM, lengths=(128, 128), reads=0.7, write_offset=1 << 20),
        Pattern(order="random", lengths=(1, 1), tags=4),
        Pattern(order="random", lengths=(4, 4), reads=0.3, tags=2),
        BUSY,
        replace(BUSY, size=256, lengths=(1, 8), masked=0.5),
        replace(BUSY, size=512, tags=1, stall=0.5, hold=0.7),
    ],
    ids=lambda p: f"{p.order}-{p.lengths[0]}-{p.lengths[1]}-{p.reads}-{p.size}",
)
@pytest.mark.parametrize("mapping", [0, 1])
def test_data_are_right_and_no_rule_is_broken(pattern: Pattern, mapping: int, executable: Path) -> None:
    settings = replace(SETTINGS, mapping=Mapping(mapping), hash_banks=bool(mapping))
    measured = measure(executable, pattern, settings, seed=7)
    measured.check()
    assert measured.beats_read + measured.words_written > CLOCKS // 10
    assert measured.commands["REFSB"] > 2 * (CLOCKS * 2 // (SETTINGS.timing.tREFI // 16)) - 8


@pytest.mark.parametrize("page", range(3))
def test_page_policies_keep_the_rules(page: int, executable: Path) -> None:
    measure(executable, BUSY, replace(SETTINGS, page=Page(page)), seed=3).check()


def test_the_controllers_counters_agree_with_the_bus(executable: Path) -> None:
    measured = measure(executable, replace(BUSY, masked=0.0), seed=5)
    measured.check()
    for pc, counters in enumerate(measured.counters):
        assert counters["clocks"] == CLOCKS
        assert abs(counters["reads"] - measured.bus_reads[pc]) <= 1, "a command is on the bus a clock after its choice"
        assert abs(counters["writes"] - measured.bus_writes[pc]) <= 1
        assert counters["reads"] + counters["writes"] + sum(counters[name] for name in IDLE_CAUSES) == CLOCKS
    figures = as_json(measured)
    assert sum(figures["idle"].values()) + figures["bus_efficiency"] == pytest.approx(1, abs=0.001)
    assert 0 < figures["latency_clocks"]["p50"] <= figures["latency_clocks"]["p99"]
    assert sum(count for _, count in measured.latencies) == measured.reads_done


def test_a_run_repeats_by_its_seed(executable: Path) -> None:
    first, again, other = (measure(executable, BUSY, seed=seed) for seed in (4, 4, 5))
    assert replace(first, seconds=0) == replace(again, seconds=0)
    assert first.latencies != other.latencies


@pytest.mark.parametrize(
    ("slower", "rule"),
    [
        ("tRRDS", "tRRDS"),
        ("tFAW", "tFAW"),
        ("tCCDL", "tCCDL_read"),
        ("tRP", "tRTP+tRP"),
        ("tWTRS", "tWTRS"),
        ("tRTW", "tRTW"),
    ],
)
def test_a_controller_that_is_a_clock_too_quick_is_caught(slower: str, rule: str, executable: Path) -> None:
    timing = SETTINGS.timing
    timing = replace(timing, tRRDL=timing.tRRDL + 2, tWTRL=timing.tWTRL + 2)
    late = replace(timing, **{slower: getattr(timing, slower) + (4 if slower == "tFAW" else 1)})
    settings = replace(SETTINGS, timing=timing)
    measured = measure(executable, replace(BUSY, lengths=(1, 4)), settings, timing=late, most_violations=1 << 30)
    in_mode_registers = {f"mode_{slower}"} & {each.name for each in MODE_RULES}
    assert set(measured.rules) >= {rule} | in_mode_registers
    others = {f"{rule}_all", "tCCDL_write", "tRP", "tWR+tRP", "tRP_all"} | in_mode_registers
    assert set(measured.rules) <= {rule} | others, measured.rules
    with pytest.raises(SimulationError, match="rules of the device broken"):
        measured.check()


def test_missing_refreshes_are_caught(executable: Path) -> None:
    settings = replace(SETTINGS, refresh_enable=False)
    measured = measure(executable, STREAM, settings, clocks=40_000, most_violations=10)
    assert measured.rules == {"refresh_overdue": 2}


CODE_WORD = [0, *(256 + row for row in range(8) if COLUMNS[0] >> row & 1)]
"""Data bit 0 and all its check bits: an error that no SECDED code sees."""


def test_wrong_data_are_caught(executable: Path) -> None:
    measured = measure(executable, STREAM, events=[(2000, "flip_reads", [0, 0, 1, *CODE_WORD])])
    assert measured.wrong == 1
    assert measured.error_beats == 0
    with pytest.raises(SimulationError, match="wrong data of address"):
        measured.check()


def test_errors_in_flight_are_corrected_or_reported(executable: Path) -> None:
    single = [(2000 + 10 * n, "flip_reads", [n % 2, 0, 1, 37 * n % 288]) for n in range(100)]
    measure(executable, STREAM, events=single).check()
    double = measure(
        executable, STREAM, events=[(2000, "flip_reads", [0, 0, 1, 3, 60]), (2500, "flip_reads", [1, 0, 1, 9, 261])]
    )
    assert double.error_beats == 2
    double.check(errors=True)
    lost = measure(executable, STREAM, events=[(2000, "lose_strobes", [1, 0, 1])])
    assert (lost.error_beats, lost.lost_or_stray) == (1, 1)
    lost.check(errors=True)


def test_a_stored_error_is_seen_by_those_who_read_it(executable: Path) -> None:
    pattern = Pattern(order="stride", stride=0, size=8, lengths=(8, 8), outstanding=1)
    events = [(2000, "flip_stored", [5, 77])]
    measure(executable, pattern, events=events).check()
    measured = measure(executable, pattern, events=[*events, (2001, "flip_stored", [5, 100])])
    assert measured.error_beats > 20
    measured.check(errors=True)


def test_refresh_follows_the_temperature(executable: Path) -> None:
    refreshes = []
    for code, pace in ((0, 0.25), (1, 0.5), (3, 1), (2, 2), (6, 4)):
        measured = measure(executable, STREAM, events=[(0, "temperature", [code])], clocks=30_000)
        measured.check()
        due = 2 * 16 * 2 * 31_000 / SETTINGS.timing.tREFI * pace
        assert measured.commands["REFSB"] == pytest.approx(due, abs=2 * 8 * 16 + 8), f"temperature code {code}"
        refreshes.append(measured.commands["REFSB"])
    assert refreshes == sorted(set(refreshes))


def test_efficiency_is_reported_as_rows_of_a_benchmark(executable: Path, build_root: Path, tmp_path: Path) -> None:
    one = Case(name="stream", pattern=STREAM, goal=50, peer="none: 1", settings=SETTINGS, config=CONFIG)
    measured = row(one, build_root, warmup=500, clocks=2000)
    benchmark_json("hbm", [measured], folder=tmp_path)
    assert 50 < measured["value"] <= 100
    assert len({case.name for case in CASES}) == len(CASES)
