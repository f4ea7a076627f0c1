"""``openppu predict``: the cycle model's figures for any size, without a simulator."""

import pytest
from openppu_sim import cli


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    assert cli.main(["predict", *arguments]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_the_prediction_is_the_rtl_s(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "33", "50", "70", "--format", "bf16")
    assert ["33x50x70", "bf16", "2,128", "2,079", "97.70", "84.81", "0.00"] in shown
    assert ["compute", "weights", "fill", "drain"] in shown
    assert ["2,079", "8", "3", "38"] in shown


def test_a_larger_array_and_operands_past_the_buffers_are_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--config", "ppu810e", "--set", "tile.rows=128", "--set", "tile.columns=128")
    (line,) = (line for line in lines(capsys, "4096", "16384", "16384", *options) if "4096x16384x16384" in line)
    assert line[1] == "int8", "the first format that is built in"
    assert line[3] == f"{4096 * 128 * 128:,}"
    assert float(line[4]) > 99


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("0", "1", "1"), "M = 0: a matrix product needs M, K and N of at least 1"),
        (("9" * 26, "1", "1"), "a more than 10**25 x 1 x 1 product takes more than 10**22 pieces, at most 500,000"),
        (("1", "9" * 26, "1"), "pieces, at most 500,000 are planned"),
        (("1", "1", "1000000000"), "takes 125,000,000 pieces, at most 500,000 are planned: give a larger tile.accum"),
        (("1000000", "512", "512", "--set", "tile.accumulators=8", "--set", "tile.rows=256"), "8,000,000 pieces"),
        (("1", "1", "1", "--format", "fp16"), "format 'fp16' is not built in"),
        (("1", "x", "1"), "argument K: invalid int value: 'x'"),
    ],
)
def test_bad_input_gives_one_line(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["predict", *arguments])
    except SystemExit as leave:
        code = int(leave.code or 0)
    shown = capsys.readouterr()
    assert (code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert told in shown.err
