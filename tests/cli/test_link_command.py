"""``openppu link``: its actions, and the options that stand before or behind them."""

import json
from pathlib import Path

import pytest
from openppu_sim import cli


def test_the_rates_of_the_full_chip(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["link", "rates"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("ppu810e: 7 ports, a link clock of 875 MHz, 4 of them a flit")
    lines = [line.split() for line in shown.splitlines()]
    assert ["raw", "56.00", "100.00", "784.00", "8", "lanes", "of", "56", "Gb/s"] in lines
    (payload,) = (line for line in lines if line[:2] == ["flit", "payload"])
    assert float(payload[2]) >= 50
    assert float(payload[4]) >= 700
    clocks = 64 * 4 / 2 - (12 + 1 + 2.5 + 4)
    assert f"{clocks:g} link clocks ({clocks / 0.875:.4g} ns) with link.window = 64" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["link", "--config", "demo", "--set", "link.lanes=2", "rates"],
        ["link", "rates", "--config", "demo", "--set", "link.lanes=2"],
        ["link", "--config", "demo", "rates", "--set", "link.lanes=2"],
        ["link", "--config", "demo", "--set", "link.lane_gbps=16", "rates", "--set", "link.lanes=2"],
        ["link", "--set", "link.lanes=8", "--config", "tiny", "rates", "--config=demo", "--set", "link.lanes=2"],
    ],
)
def test_options_stand_before_or_behind_the_action(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("demo: 1 port,")
    assert "2 lanes of 16 Gb/s" in shown


def test_the_file_has_the_rates(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    assert cli.main(["link", "rates", "--json", str(path)]) == 0
    rates = json.loads(path.read_text())["rates"]
    assert rates["flit payload"]["of_raw"] == pytest.approx(4095 / 4096 * 236 / 256)
    assert rates["writes of 64 bytes"]["gbs"] == pytest.approx(rates["flit payload"]["gbs"] * 64 / 74)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("link",), "the following arguments are required: ACTION"),
        (("link", "speed"), "argument ACTION: invalid choice: 'speed'"),
        (("link", "rates", "--config", "ecp5"), "ecp5 has no link ports (link.ports = 0)"),
        (("link", "rates", "--set", "link.lanes=3"), "link.lanes = 3: give one of"),
    ],
)
def test_bad_input_gives_one_line(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(arguments)
    except SystemExit as leave:
        code = int(leave.code or 0)
    shown = capsys.readouterr()
    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert told in shown.err
