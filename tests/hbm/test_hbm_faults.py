"""Faults by call through the channel: what the code can mend is mended, the rest is reported, nothing is wrong."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import organisation
from openppu.hbm.settings import Settings
from openppu_sim.errors import SimulationError
from openppu_verif.hbm.device import Device
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
SETTINGS = Settings(write_high=6, write_low=1)
BUSY = Pattern(order="random", lengths=(1, 8), reads=0.6, size=512, masked=0.3, tags=4)
ONE = Pattern(order="stride", stride=0, size=8, lengths=(8, 8), outstanding=1)


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_channel(CONFIG, build_root)


def measure(executable: Path, pattern: Pattern, events: list[tuple[int, str, list[int]]], seed: int = 1) -> Measurement:
    options = {"settings": SETTINGS, "warmup": 500, "clocks": 4000, "events": events, "seed": seed}
    return run(executable, CONFIG, [pattern] * CONFIG.ports, **options)


@pytest.mark.parametrize("lane", range(9))
def test_a_wrong_byte_lane_is_seen(lane: int, executable: Path) -> None:
    reads = replace(BUSY, reads=1.0)
    measured = measure(executable, reads, [(1000 + 100 * n, "flip_lane", [n % 2, lane, 0, 1]) for n in range(10)])
    measured.check(errors=True)
    assert measured.error_beats == 10


def test_a_stuck_bit_is_mended_and_two_of_a_beat_are_seen(executable: Path) -> None:
    one = [(600, "stick_stored", [address, 3 * address, address % 2]) for address in range(64)]
    measure(executable, BUSY, one, seed=2).check()
    seen = []
    for values in product((0, 1), repeat=2):
        two = [(600, "stick_stored", [5, bit, value]) for bit, value in zip((70, 77), values, strict=True)]
        measured = measure(executable, ONE, two)
        measured.check(errors=True)
        seen.append(measured.error_beats > 0)
    assert seen.count(True) == 1, "of the four pairs, one differs in both bits from what is stored"


def test_lost_strobes_answer_with_errors_and_spoil_no_other_word(executable: Path) -> None:
    reads = replace(BUSY, reads=1.0)
    measured = measure(executable, reads, [(1000, "lose_strobes", [0, 3, 1]), (1500, "lose_strobes", [1, 0, 4])])
    measured.check(errors=True)
    assert (measured.error_beats, measured.lost_or_stray) == (5, 2)


def test_faults_end_when_they_are_cleared(executable: Path) -> None:
    events = [(1000, "flip_lane", [pc, 4, 0, 1 << 20]) for pc in (0, 1)]
    endless = measure(executable, replace(BUSY, reads=1.0), events)
    ended = measure(executable, replace(BUSY, reads=1.0), [*events, (1050, "clear_faults", [])])
    assert 0 < ended.error_beats < 150 < endless.error_beats


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("flip_wire", [0], "unknown event flip_wire"),
        ("flip_reads", [2, 0, 1, 5], "there are PCs 0 and 1"),
        ("flip_reads", [0, 0, 1, 288], "bit 288: give one from 0 to 287"),
        ("flip_lane", [0, 9, 0, 1], "there are lanes 0 to 8"),
        ("lose_strobes", [0, 0], "a number is missing"),
    ],
)
def test_a_fault_that_is_none_ends_the_run(name: str, values: list[int], message: str, executable: Path) -> None:
    with pytest.raises(SimulationError, match=message):
        measure(executable, BUSY, [(100, name, values)])


def test_the_largest_memory_is_loaded_and_dumped_all_over(build_root: Path) -> None:
    of = organisation(12)
    memory = Device(of, build_root)
    rng = np.random.default_rng(3)
    held = {}
    for pc, bank, row in [
        (0, 0, 0),
        (1, of.banks - 1, of.rows - 1),
        *rng.integers(0, (2, of.banks, of.rows), (500, 3)),
    ]:
        column, count = int(rng.integers(of.columns)), int(rng.integers(1, 9))
        count = min(count, of.columns - column)
        place = (int(pc), int(bank), int(row), column)
        data, check = rng.integers(0, 256, (count, 32), np.uint8), rng.integers(0, 256, (count, 4), np.uint8)
        memory.load(*place, data, check)
        held.update({(*place[:3], column + n): (data[n], check[n]) for n in range(count)})
    for place, (data, check) in held.items():
        got_data, got_check = memory.dump(*place, 1)
        assert np.array_equal(got_data[0], data), place
        assert np.array_equal(got_check[0], check), place
    assert memory.pages == len({place[:3] for place in held})
    whole_bank = of.rows * of.columns
    data, _ = memory.dump(1, of.banks - 1, 0, 0, whole_bank)
    wanted = np.zeros((whole_bank, 32), np.uint8)
    for (pc, bank, row, column), (word, _) in held.items():
        if (pc, bank) == (1, of.banks - 1):
            wanted[row * of.columns + column] = word
    assert np.array_equal(data, wanted)
    assert not memory.problems
