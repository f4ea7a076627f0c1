"""The device's tables hold what they say, and what cannot be is refused in one line."""

import tomllib
from dataclasses import asdict, fields
from fractions import Fraction

import pytest
from openppu.config import ConfigError
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, FOLDER, HEIGHTS, Timing, device, organisation
from openppu.hbm.settings import Settings, settings_layout

GIB = 1 << 30


def table(name: str) -> dict:
    """The file itself, its numbers as exact fractions."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(), parse_float=Fraction)


@pytest.mark.parametrize("name", DEVICES)
def test_every_value_is_in_the_table_with_its_source(name: str) -> None:
    rows = table(name)["timing"]
    assert sorted(rows) == sorted(f.name for f in fields(Timing))
    for key, row in rows.items():
        assert set(row) <= {"ns", "ck", "source", "verified"}, key
        assert ("ns" in row) != ("ck" in row), f"{name} {key}: give ns or ck"
        assert len(row["source"]) > 3, f"{name} {key} has no source"
    assert device(name).sources.keys() == rows.keys()
    assert set(device(name).unverified) == {key for key, row in rows.items() if row.get("verified") is False}


@pytest.mark.parametrize("name", DEVICES)
def test_clocks_are_the_least_whole_number_that_lasts_the_nanoseconds(name: str) -> None:
    of, raw = device(name), table(name)
    # Two transfers a clock: so many clocks in a nanosecond.
    clocks_per_ns = Fraction(raw["pin_rate_gbps"]) / 2
    assert of.clock_ns == 1 / clocks_per_ns
    for key, row in raw["timing"].items():
        clocks = getattr(of.timing, key)
        if "ck" in row:
            assert clocks == row["ck"], key
        else:
            assert clocks - 1 < Fraction(row["ns"]) * clocks_per_ns <= clocks, f"{name} {key} = {clocks}"


def test_the_clocks_of_3200_are_those_worked_out_by_hand() -> None:
    timing = asdict(device("HBM2E_3200").timing)
    known = {"tRCDRD": 23, "tRCDWR": 20, "tRP": 23, "tRAS": 53, "tRC": 76, "tRRDS": 7, "tFAW": 26, "tWTRS": 10}
    known |= {"tWTRL": 13, "tRTP": 8, "tWR": 26, "tREFI": 6240, "tRFC": 560, "tRFCSB": 256, "tRREFD": 13}
    assert {key: timing[key] for key in known} == known


@pytest.mark.parametrize(("height", "banks", "gib"), [(4, 16, 8), (8, 32, 16), (12, 48, 24)])
def test_stacks_hold_what_they_are_sold_as(height: int, banks: int, gib: int) -> None:
    of = organisation(height)
    assert of.banks == banks
    assert of.stack_bytes == gib * GIB
    assert of.columns * of.access_bytes == 1024
    config = ChannelConfig(height=height)
    accesses = of.stack_bytes // of.channels // of.access_bytes
    assert accesses <= 1 << config.address_bits < 2 * accesses


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tRC": 74}, r"timing.tRC = 74: impossible; at least tRAS \+ tRP, 75 clocks"),
        ({"tCCDS": 1}, "timing.tCCDS = 1: impossible; at least the burst, 2 clocks"),
        ({"tCCDL": 1}, "timing.tCCDL = 1: impossible; at least tCCDS"),
        ({"tCCDR": 1}, "timing.tCCDR = 1"),
        ({"tRRDL": 6}, "timing.tRRDL = 6"),
        ({"tWTRL": 9}, "timing.tWTRL = 9"),
        ({"tRTW": 16}, r"timing.tRTW = 16: impossible; at least RL \+ burst - WL, 17 clocks"),
        ({"tRAS": 22}, "timing.tRAS = 22: impossible; at least tRCDRD"),
        ({"tREFI": 560}, "timing.tREFI = 560"),
        ({"tXS": 559}, "timing.tXS = 559"),
        ({"tRP": 0}, "timing.tRP = 0: give clocks, an integer from 1 to 65535"),
        ({"tRP": 1 << 16}, "timing.tRP = 65536: give clocks"),
        ({"tRP": 23.5}, "timing.tRP = 23.5: give clocks"),
        ({"RL": True}, "timing.RL = True: give clocks"),
    ],
)
def test_impossible_timings_are_refused_in_one_line(change: dict, told: str) -> None:
    values = asdict(device("HBM2E_3200").timing)
    with pytest.raises(ConfigError, match=told) as refused:
        Timing(**(values | change))
    assert "\n" not in str(refused.value)


def test_unknown_devices_and_shapes_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"hbm.device = 'HBM3': unknown device; give one of HBM2E_3200, "):
        device("HBM3")
    with pytest.raises(ConfigError, match=r"hbm.height = 16: give one of 4, 8, 12"):
        ChannelConfig(height=16)
    with pytest.raises(ConfigError, match=r"hbm.height = 16: give one of 4, 8, 12"):
        organisation(16)
    with pytest.raises(ConfigError, match=r"hbm.ecc = 'parity': give one of none, secded, symbol"):
        ChannelConfig(ecc="parity")
    assert HEIGHTS == (4, 8, 12)


@pytest.mark.parametrize("name", DEVICES)
def test_settings_fit_their_registers(name: str) -> None:
    settings = Settings(timing=device(name).timing)
    layout = settings_layout()
    constant = layout.const(settings.values())
    assert constant.timing.tREFI == settings.timing.tREFI
    assert constant.age_limit == settings.age_limit
    assert set(settings.values()) == set(layout.members)
