"""`openppu info`: the configuration as resolved, the rates that follow, the tools that are there."""

import pytest
from openppu.config import FORMATS, load
from openppu_sim import cli
from openppu_sim.commands.info import peak_operations


def lines_of(capsys, *arguments: str) -> dict[str, str]:
    """The printed pairs of `openppu info`."""
    assert cli.main(["info", *arguments]) == 0
    text = capsys.readouterr().out
    return {line.split()[0]: line.split(None, 1)[1] for line in text.splitlines() if line.startswith("  ")}


def test_overrides_are_shown_resolved(capsys):
    lines = lines_of(capsys, "--config", "demo", "--set", "tile.rows=16", "--set", "chip.clock_mhz=250")
    assert lines["tile.rows"] == "16"
    assert lines["tile.columns"] == "8"
    assert lines["chip.clock_mhz"] == "250 MHz"
    assert lines["bf16"] == "64 GFLOP/s, 128 multiply-accumulates a cycle"
    assert lines["int8"] == "64 GOP/s, 128 multiply-accumulates a cycle"


def test_every_format_built_in_has_a_rate(capsys):
    lines = lines_of(capsys, "--config", "ppu810e")
    for name in FORMATS:
        assert lines[name].endswith("65,536 multiply-accumulates a cycle")
    assert "118.8 TFLOP/s" in lines["bf16"]
    assert "118.8 TOP/s" in lines["int8"]
    assert "int8" not in lines_of(capsys, "--config", "ecp5")


def test_the_memory_has_its_capacity_and_its_peak(capsys):
    lines = lines_of(capsys, "--config", "ppu810e")
    assert lines["hbm.stacks"] == "6"
    assert lines["capacity"] == "96 GiB in 48 channels"
    assert lines["peak"] == "bandwidth       2,457.6 GB/s, 51.2 GB/s a channel, controllers at 800 MHz"
    assert lines_of(capsys, "--config", "tiny")["capacity"] == "1 GiB in 1 channel"


def test_peak_is_two_operations_an_element_a_cycle():
    assert peak_operations(load("ppu810e")) == 64 * 32 * 32 * 2 * 906e6


def test_tools_are_named_with_their_versions(capsys):
    lines = lines_of(capsys)
    assert lines["verilator"].startswith("5.")
    assert "/" in lines["c++"]
    for tool in ("make", "perl", "iverilog", "ccache"):
        assert tool in lines


@pytest.mark.parametrize(
    ("variable", "tool", "told"),
    [
        ("OPENPPU_VERILATOR", "verilator", "MISSING: OPENPPU_VERILATOR=/nope: no such program; unset it"),
        ("CXX", "c++", "MISSING: CXX=/nope: no such program; install one with `apt-get install g++`"),
    ],
)
def test_a_missing_tool_is_shown_with_its_cure(capsys, monkeypatch, variable, tool, told):
    monkeypatch.setenv(variable, "/nope")
    assert lines_of(capsys)[tool].startswith(told)


def test_the_link_has_its_rates_raw_coded_and_of_payload(capsys):
    lines = lines_of(capsys, "--config", "ppu810e")
    assert lines["raw"] == "56 GB/s a port, 100.00% of raw: 8 lanes of 56 Gb/s, 875 MHz"
    assert lines["coded"].startswith("55.99 GB/s a port, 99.98% of raw")
    assert lines["flit"] == "payload                   51.61 GB/s a port, 92.16% of raw: 236 of 256 bytes"
    assert lines["all"] == "ports, both ways           722.6 GB/s of flit payload"
    assert "raw" not in lines_of(capsys, "--config", "ecp5")
