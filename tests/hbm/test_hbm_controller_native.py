"""The whole controller in the native bench: its registers, its self-test and its fill beside users' traffic."""

from pathlib import Path

import pytest
from openppu.hbm.settings import Mapping, Settings
from openppu_sim.errors import SimulationError
from openppu_verif.hbm.native import Pattern
from openppu_verif.hbm.soak import CONFIGS
from openppu_verif.hbm.software import Software, answered_reads, build_controller, run_controller

CONFIG = CONFIGS["whole"]
QUIET = [Pattern(outstanding=0)] * CONFIG.ports
BUSY = [Pattern(order="random", size=1 << 14, lengths=(1, 16), reads=0.6, masked=0.2, tags=CONFIG.tags)] * CONFIG.ports
FILL = 32_768


@pytest.mark.parametrize("mapping", Mapping)
def test_the_fill_writes_in_every_clock_of_both_pseudo_channels(mapping: Mapping, build_root: Path) -> None:
    executable = build_controller(CONFIG, build_root)
    # Column lowest, neighbouring granules share a bank group but for the hash.
    settings = Settings(mapping=mapping, hash_banks=mapping == Mapping.COLUMN_LOWEST)
    began = [
        run_controller(executable, CONFIG, QUIET, settings=settings, fill=fill, warmup=0, clocks=10).started_after
        for fill in (0, FILL)
    ]
    rate = FILL / (began[1] - began[0])
    assert 0.99 * 2 < rate < 1.01 * 2, f"{rate:.3f} accesses a clock"


def test_self_tests_registers_and_users_get_on(build_root: Path) -> None:
    executable = build_controller(CONFIG, build_root)
    software = Software(CONFIG)
    region = {"address": CONFIG.accesses - 1000, "accesses": 1000, "last": 9, "stride": 10, "pattern": 2}
    lines = [software.check("ready", 1), software.refuse(software.at["timing.tRC"], 40), software.refuse(0xFFC)]
    lines += software.self_test("FILL", {"refused": 0, "words": 0}, **region)
    lines += software.self_test("CHECK", {"words": 1000, "wrong": 0, "errors": 0}, **region)
    events = [(100, "access", [line]) for line in lines]
    measured = run_controller(
        executable, CONFIG, BUSY, fill=5000, warmup=0, clocks=15_000, events=events, settings=Settings(write_high=6)
    )
    measured.check()
    assert measured.accesses_refused == 2
    assert answered_reads(CONFIG, measured) == measured.reads_answered > 500


def test_a_register_that_lies_is_seen(build_root: Path) -> None:
    executable = build_controller(CONFIG, build_root)
    software = Software(CONFIG)
    for line, complaint in (
        (software.check("height", 9), "0x4 read, 0x9 expected"),
        (software.refuse(software.at["height"]), "an access was not refused"),
        (software.write("height", 4), "an access was refused"),
    ):
        measured = run_controller(executable, CONFIG, QUIET, warmup=0, clocks=200, events=[(10, "access", [line])])
        with pytest.raises(SimulationError, match=complaint):
            measured.check()
