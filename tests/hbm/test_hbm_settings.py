"""Settings beyond what the controller's counters hold are refused, in one line that says what is allowed."""

from dataclasses import replace
from typing import Any

import pytest
from openppu.config import ConfigError
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, device
from openppu.hbm.hammer_table import least_threshold
from openppu.hbm.settings import Page, Settings, first_settings
from openppu.hbm.stacks import HbmConfig

TIMING = device("HBM2E_3200").timing


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_fits(name: str) -> None:
    Settings(timing=device(name).timing)


@pytest.mark.parametrize(
    ("timing", "most"), [({"tFAW": 241}, 240), ({"RL": 64, "tRTW": 80}, 63), ({"WL": 17}, 16), ({"tRC": 1001}, 1000)]
)
def test_latencies_beyond_the_counters_are_refused(timing: dict[str, int], most: int) -> None:
    name, value = next(iter(timing.items()))
    with pytest.raises(ConfigError, match=rf"^timing\.{name} = {value}: .* at most {most} memory clocks"):
        Settings(timing=replace(TIMING, **timing))
    Settings(timing=replace(TIMING, **{**timing, name: most}))


def test_a_write_latency_that_the_write_path_cannot_keep_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^timing\.WL = 3: the controller takes at least 4 memory clocks$"):
        Settings(timing=replace(TIMING, WL=3, tRTW=30))
    Settings(timing=replace(TIMING, WL=4, tRTW=30))


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({"write_high": 0}, "1 to 127"),
        ({"write_low": 128}, "0 to 127"),
        ({"age_limit": 1}, "2 to 65535"),
        ({"read_delay": 16}, "0 to 15"),
        ({"read_delay": True}, "0 to 15"),
        ({"write_high": 4.0}, "1 to 127"),
    ],
)
def test_policies_out_of_range_are_refused(values: dict[str, Any], allowed: str) -> None:
    (name, value), *_ = values.items()
    with pytest.raises(ConfigError, match=rf"^settings\.{name} = {value}: give {allowed}$"):
        Settings(**values)


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("entries", [8, 32, 64, 128])
def test_a_chip_starts_with_tables_that_are_large_enough(name: str, entries: int) -> None:
    assert first_settings(HbmConfig(device=name)) == Settings(timing=device(name).timing)
    first = first_settings(HbmConfig(device=name, hammer_entries=entries))
    assert first.hammer_threshold >= least_threshold(entries, first.hammer_window, first.timing)
    assert first.hammer_threshold >= Settings().hammer_threshold
    # Fewer than 32 cannot count a whole tREFW.
    assert (first.hammer_window == Settings().hammer_window) == (entries > 8)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"mapping": 1}, "mapping = 1: give a Mapping"),
        ({"page": "open"}, "page = 'open': give a Page"),
        ({"refresh": Page(0)}, r"refresh = .*: give a Refresh"),
        ({"hash_banks": 2}, "hash_banks = 2: give a bool"),
        ({"refresh_enable": None}, "refresh_enable = None: give a bool"),
    ],
)
def test_policies_of_another_kind_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^settings\.{told}$"):
        Settings(**values)


@pytest.mark.parametrize("values", [{"ports": 2.0}, {"ports": True}, {"retry": 1}, {"height": 4.0}])
def test_numbers_of_another_type_are_no_configuration(values: dict[str, Any]) -> None:
    (name, value), *_ = values.items()
    with pytest.raises(ConfigError, match=rf"^hbm\.{name} = {value}: give one of"):
        ChannelConfig(**values)
