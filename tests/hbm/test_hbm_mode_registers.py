"""Mode registers hold what timing and features need; what does not agree with these is told by name."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, Timing, device, organisation
from openppu.hbm.mode_registers import MODE_BITS, MODE_REGISTERS, encoded, first_values, mode_fields
from openppu.hbm.settings import Settings
from openppu.section import ConfigError
from openppu_verif.hbm.checker import Checker
from openppu_verif.hbm.constraints import Issued
from openppu_verif.hbm.mode_rules import MODE_RULES, Driven, obeyed
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run
from openppu_verif.hbm.software import Software, build_controller

T = device("HBM2E_3200").timing
CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8, ports=1, tags=1)
PATTERN = Pattern(order="random", lengths=(1, 8), reads=0.5, size=4096)
RULES = {rule.name: rule for rule in MODE_RULES}


def initialised(
    registers: tuple[int, ...] | bytes, driven: Driven, build_root: Path, skip: int | None = None
) -> Checker:
    """A checker that has seen these registers set, but for one, and a command behind them."""
    checker = Checker(driven.timing, organisation(4), build_root, initialised=False, driven=driven)
    checker.pins()
    sets = [Issued(100 + 100 * n, "MRS", 0, n, value) for n, value in enumerate(registers) if n != skip]
    checker.run([*sets, Issued(3000, "PRE", 0, 1), Issued(3100, "PRE", 0, 1)])
    return checker


@pytest.mark.parametrize("name", DEVICES)
def test_the_values_of_the_table_are_those_that_the_rules_want(name: str, build_root: Path) -> None:
    for ecc, retry, latency in product(("none", "secded", "symbol"), (False, True), (0, 3)):
        config = ChannelConfig(height=4, ecc=ecc, retry=retry)
        settings = Settings(timing=device(name).timing, parity_latency=latency)
        checker = initialised(settings.mode_registers(config), Driven.of(config, settings), build_root)
        assert not checker.total, checker.violations[0].text


def test_the_published_registers_of_a_device_have_the_latencies_of_its_controller() -> None:
    """GA100: WR 25, RL 37, WL 10, RAS 43 stand as these four registers."""
    values = {"tWR": 25, "drive_strength": 4, "RL": 37, "WL": 10, "tRAS": 43, "bank_groups": 1, "burst_of_four": 1}
    assert encoded(values)[1:5] == (0x99, 0x19, 0xEB, 0x30)


def test_fields_have_bits_of_their_own() -> None:
    bits = [bit for field in mode_fields().values() for bit in field.bits]
    assert len(set(bits)) == len(bits)
    assert {number for number, _ in bits} <= set(range(MODE_REGISTERS))
    assert all(0 <= bit < MODE_BITS for _, bit in bits)


def test_what_a_field_cannot_hold_is_refused_or_is_its_largest() -> None:
    with pytest.raises(ValueError, match="mode register field WL = 17: it holds 1 to 16"):
        encoded({"WL": 17})
    with pytest.raises(ValueError, match="mode register field tWR = 2: it holds 3 to 31"):
        encoded({"tWR": 2})
    long = replace(T, tWR=200, tRAS=200, tRP=200, tRC=400)
    values = first_values(CONFIG, long, parity=False)
    assert (values["tWR"], values["tRAS"], values["tRP"]) == (31, 63, 33)
    assert encoded(values)[1] == 31
    for modes in ((0,) * 15, (256, *(0,) * 15), (-1, *(0,) * 15)):
        with pytest.raises(ConfigError, match=r"^settings\.modes = .*: give 16 numbers from 0 to 255$"):
            Settings(modes=modes)


@pytest.mark.parametrize("name", RULES)
def test_each_wrong_bit_of_a_field_is_told_once_by_the_name_of_its_rule(name: str, build_root: Path) -> None:
    driven = Driven(timing=T)
    for place in RULES[name].places:
        registers = bytearray(obeyed(driven))
        registers[place // 8] ^= 1 << place % 8
        checker = initialised(bytes(registers), driven, build_root)
        assert checker.counts == {name: 1}


def test_a_wrong_latency_is_told_in_clocks(build_root: Path) -> None:
    checker = initialised(obeyed(Driven(timing=replace(T, RL=26, tRTW=40))), Driven(timing=T), build_root)
    told = "CK 3000: mode_RL: PRE of PC 0 bank 1: the mode registers hold 26, the controller is set for 23"
    assert [each.text for each in checker.violations] == [told]


def test_a_register_that_was_never_set_is_told(build_root: Path) -> None:
    driven = Driven(timing=T)
    assert initialised(obeyed(driven), driven, build_root, skip=3).counts == {
        "mode_tRAS": 1,
        "mode_bank_groups": 1,
        "mode_burst": 1,
    }
    assert not initialised(obeyed(driven), driven, build_root, skip=5).total, "what is zero after reset"


@pytest.fixture(scope="module")
def executable(build_root: Path) -> Path:
    return build_channel(CONFIG, build_root)


def measure(executable: Path, settings: Settings, timing: Timing | None = None) -> Measurement:
    options = {"settings": settings, "timing": timing, "warmup": 0, "clocks": 800, "drain": 4000}
    return run(executable, CONFIG, [PATTERN], most_violations=3, **options)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("RL", 24, "mode_RL"),
        ("WL", 7, "mode_WL"),
        ("ecc", 0, "mode_ecc"),
        ("no_mask", 0, "mode_no_mask"),
        ("command_parity", 1, "mode_command_parity"),
        ("parity_latency", 2, "mode_parity_latency"),
        ("tWR", 25, "mode_tWR"),
    ],
)
def test_a_channel_whose_registers_say_something_else_is_told(
    field: str, value: int, rule: str, executable: Path
) -> None:
    right = first_values(CONFIG, T, parity=False)
    found = measure(executable, Settings(modes=encoded(right | {field: value})))
    assert found.rules == {rule: 1}
    measure(executable, Settings(modes=encoded(right))).check()


def test_what_the_board_decides_is_free(executable: Path) -> None:
    chosen = {"drive_strength": 4, "reference_voltage": 3, "temperature_refresh": 0, "read_dbi": 1, "write_dbi": 1}
    measure(executable, Settings(modes=encoded(first_values(CONFIG, T, parity=False) | chosen))).check()


def test_software_that_changes_a_latency_alone_is_told(build_root: Path) -> None:
    executable, software = build_controller(CONFIG, build_root), Software(CONFIG)
    settings = Settings(timing=device("HBM2_2400").timing)
    whole = software.set_up(settings, 64)
    their = {software.write(*each) for each in software.values(settings).items() if each[0].startswith("modes.")}
    timing_only = [line for line in whole if line not in their]
    assert len(timing_only) == len(whole) - MODE_REGISTERS
    options = {"settings": settings, "warmup": 0, "clocks": 1500, "drain": 8000, "fill": 64}
    run(executable, CONFIG, [PATTERN], setup=whole, **options).check()
    found = run(executable, CONFIG, [PATTERN], setup=timing_only, most_violations=9, **options)
    assert {"mode_RL", "mode_WL", "mode_tWR", "mode_tRAS", "mode_tRP"} <= set(found.rules)
