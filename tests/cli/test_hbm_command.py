"""``openppu hbm``: figures that add up, reasons that fit the pattern, and one line for what cannot be."""

import json
import re
from pathlib import Path

import pytest
from openppu_sim import cli


def write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def stream(tmp_path: Path) -> str:
    return write(tmp_path / "stream.txt", [f"read {256 * n:#x} 256" for n in range(600)])


PAGE = Path(__file__).parents[2] / "docs" / "hbm-model.md"


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["hbm", *arguments]) == 0
    return capsys.readouterr().out


def test_run_prints_figures_and_an_account_that_adds_up(
    stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(capsys, "run", stream, "--json", str(tmp_path / "run.json"))
    assert "1 channel of HBM2E_3200, 8-high, 51.2 GB/s at most: interleaved mapping, banks not hashed" in out
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["bytes"] == 600 * 256
    assert record["gbs"] == pytest.approx(600 * 256 / record["seconds"] / 1e9)
    assert record["efficiency"] == pytest.approx(record["gbs"] / 51.2)
    assert record["efficiency"] > 0.9
    accounts = record["accounts"]
    assert accounts["events"]["reads"] == 600 * 8
    assert accounts["clocks"] == 2 * record["clocks"]
    assert accounts["events"]["reads"] + sum(accounts["idle"].values()) == accounts["clocks"]
    assert record["read_latency_ns"]["p50"] <= record["read_latency_ns"]["p99"] <= record["read_latency_ns"]["most"]
    table = re.findall(
        r"^(?:reads|writes|no request|hold|refresh|turnaround|bank group|activation|bank)  +([\d,]+)", out, re.M
    )
    assert sum(int(count.replace(",", "")) for count in table[1:]) == accounts["clocks"], "the first is the latency's"


@pytest.mark.parametrize(
    ("height", "refresh", "told"),
    [(12, "single-bank", True), (8, "single-bank", False), (12, "all-bank", False)],
)
def test_refreshes_that_may_fall_back_are_told(
    stream: str, capsys: pytest.CaptureFixture[str], height: int, refresh: str, told: bool
) -> None:
    options = ["--device", "HBM2_2400", "--height", str(height), "--refresh", refresh]
    assert cli.main(["hbm", "run", stream, *options]) == 0
    assert ("note: with 12-high stacks" in capsys.readouterr().err) == told


def test_explain_finds_the_stride_that_meets_one_bank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = write(tmp_path / "stride.txt", [f"read {65536 * n} 64" for n in range(300)])
    out = shown(capsys, "explain", trace)
    assert "the rows that were wanted were not open: a bank takes 47.5 ns (tRC)" in out
    assert "100 % of a pseudo-channel's accesses are to 1 of its 32 banks" in out
    assert "the busiest of 2 pseudo-channels has 100 % of the accesses" in out
    assert "Most is gained by this change: hash the banks: --hash." in out


@pytest.mark.parametrize(
    ("lines", "options", "reason", "change"),
    [
        ([f"read {n * 40_503_233 % (1 << 26) * 32} 32" for n in range(900)], [], "tRRD and tFAW allow", None),
        (
            [f"{'write' if n % 2 else 'read'} {n // 2 * 256 + n % 2 * (1 << 30)} 256" for n in range(900)],
            ["--write-high", "16", "--timing", "tRTW=120"],
            "was turning between reads and writes",
            "make reads and writes in turns of 512 each",
        ),
        ([f"read {n * 32} 32" for n in range(3000)], ["--ports", "1"], None, "join neighbouring requests: 256 bytes"),
        (
            [f"read {n * 256} 256 {n * 100}" for n in range(200)],
            [],
            "does not ask for more",
            "as fast as they are taken",
        ),
        ([f"write {n * 4096 + 5} 20" for n in range(200)], [], "100 % of the writes cover a part of 32", None),
        ([f"read {n * 256} 256" for n in range(1500)], [], "there is little to gain", None),
        (
            [f"read {n * 256} 256" for n in range(1500)],
            ["--refresh", "all-bank", "--timing", "tREFI=1200"],
            "all that waited was for banks in refresh: an all-bank refresh stops everything",
            "refresh bank by bank",
        ),
    ],
    ids=["random", "turns", "short", "slow", "merges", "good", "all-bank"],
)
def test_explain_says_what_it_is(
    lines: list[str],
    options: list[str],
    reason: str | None,
    change: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = shown(capsys, "explain", write(tmp_path / "trace.txt", lines), *options)
    if reason:
        assert reason in out
    if change:
        assert change in out
        assert change in out.rpartition("Most is gained by this change: ")[2], (
            f"another change is named as the best:\n{out}"
        )


def test_the_memory_is_the_chips_where_no_option_says_otherwise(
    stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chip = ("--config", "ppu810e", "--set", "hbm.device=HBM2_2400")
    assert "48 channels of HBM2_2400, 8-high, 1,843.2 GB/s at most" in shown(capsys, *chip, "run", stream)
    given = ("--device", "HBM2E_3600", "--height", "4", "--channels", "2")
    assert "2 channels of HBM2E_3600, 4-high, 115.2 GB/s at most" in shown(capsys, *chip, "run", stream, *given)


def test_formats_channels_and_first_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ramulator = write(tmp_path / "a.trace", [f"{'ST' if n % 3 == 0 else 'LD'} {64 * n:#x}" for n in range(90)])
    dramsim = write(tmp_path / "b.trace", [f"{64 * n:#x} {'WRITE' if n % 3 == 0 else 'READ'} {n}" for n in range(90)])
    for trace in (ramulator, dramsim):
        out = shown(capsys, "run", trace, "--channels", "48", "--requests", "60", "--bytes", "128")
        assert "48 channels of HBM2E_3200, 8-high, 2,457.6 GB/s at most" in out
        assert "(the first 60 of 90 requests)" in out
        assert re.search(r"^ +60  +7,680  +33\.33 ", out, re.M)


@pytest.mark.parametrize(
    ("line", "options", "told"),
    [
        ("read 0x10", [], ":2: 'read 0x10': give read|write ADDRESS BYTES [NANOSECONDS], such as: read 0x1000 256"),
        ("raed 0x10 64", [], ":2: 'raed 0x10 64': give read|write ADDRESS"),
        ("read zero 64", [], ":2: 'read zero 64': 'zero' is no address; give read|write"),
        ("read 0x10 8192", [], ":2: 'read 0x10 8192': 8192 bytes; give a size from 1 to 4096"),
        ("read 0x80000000 64", [], "beyond the capacity of 0x80000000 bytes; give more --channels, or --wrap"),
        ("read 0x10 64 5", [], "give a time in every line or in none"),
        ("read 0x0 64", ["--device", "HBM9"], "hbm.device = 'HBM9': unknown device; give one of HBM2E_3200"),
        ("read 0x0 64", ["--timing", "tRC=40"], "timing.tRC = 40: impossible; at least tRAS + tRP, 75 clocks"),
        ("read 0x0 64", ["--timing", "tXYZ=40"], "--timing tXYZ=40: give NAME=CLOCKS, NAME one of RL, WL, tCCDL"),
        ("read 0x0 64", ["--timing", "tRC"], "--timing tRC: give NAME=CLOCKS"),
        ("read 0x0 64", ["--channels", "9"], "9 channels: give a power of two, or 3, 5 or 7 times one"),
        ("read 0x0 64", ["--ports", "9"], "hbm.ports = 9: give one of 1, 2"),
        ("read 0x0 64", ["--write-high", "4"], "--write-low 8: give less than --write-high, 4"),
        ("read 0x0 64", ["--bytes", "0"], "--bytes 0: give at least 1"),
        ("read 0x0 64", ["--requests", "0"], "--requests 0: give at least 1"),
        ("read 0x0 64", ["--height", "5"], "argument --height: invalid choice: 5"),
        ("read 0x0 64", ["--format", "ramulator"], ":1: 'read 0 64': give LD|ST ADDRESS or R|W ADDRESS"),
    ],
)
@pytest.mark.parametrize("action", ["run", "explain"])
def test_bad_input_gives_one_line(
    action: str, line: str, options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = write(tmp_path / "trace.txt", ["read 0 64", line])
    try:
        code = cli.main(["hbm", action, trace, *options])
    except SystemExit as leave:
        code = int(leave.code or 0)
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1), captured
    assert told in captured.err


def test_a_json_file_never_replaces_the_trace(stream: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["hbm", "run", stream, "--json", stream]) == 2
    assert "the same file as the trace" in capsys.readouterr().err


def test_guards_show_in_figures_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hammering = write(tmp_path / "hammer.txt", [f"read {n % 2 * 131072} 32 {n * 100}" for n in range(400)])
    options = ("--page", "closed", "--ports", "1", "--hammer-entries", "128", "--hammer-window", "16")
    plain = shown(capsys, "run", hammering, "--page", "closed")
    assert "victims" not in plain
    out = shown(capsys, "explain", hammering, *options, "--hammer-threshold", "20")
    assert "Rows were hammered" in out
    stream = write(tmp_path / "stream.txt", [f"read {256 * n:#x} 256" for n in range(1500)])
    out = shown(capsys, "run", stream, "--command-errors", "2000", "--json", str(tmp_path / "run.json"))
    assert "retries" in out
    events = json.loads((tmp_path / "run.json").read_text())["accounts"]["events"]
    assert events["retries"] > 4
    assert events["reads"] > 1500 * 8, "accesses are sent again"
    assert "sent again" in shown(capsys, "explain", stream, "--command-errors", "2000")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--hammer-entries", "8"], "--hammer-threshold 5300: too low for 8 entries; give more entries, or a shorter"),
        (["--hammer-entries", "32"], "--hammer-threshold 5300: too low for 32 entries; give at least 20384, or more"),
        (["--hammer-entries", "9"], "hbm.hammer_entries = 9: give one of 0, 8, 32, 64, 128"),
        (["--command-errors", "-1"], "--command-errors -1: give 0 to 10,000"),
        (["--command-errors", "nan"], "--command-errors nan: give 0 to 10,000"),
        (["--hammer-threshold", "0"], "settings.hammer_threshold = 0: give 8 to 32767"),
        (["--timing", "tRC=20"], "timing.tRC = 20: impossible; at least tRAS + tRP"),
        (["--timing", "tRC=\u00b2"], "--timing tRC=\u00b2: give NAME=CLOCKS"),
        (["--device", "HBM9"], "HBM9"),
    ],
)
def test_guards_that_cannot_be_are_named(
    options: list[str], told: str, stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["hbm", "run", stream, *options]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_the_example_of_the_page_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "stride.txt", [f"read {65536 * n:#x} 64" for n in range(1000)])
    example = PAGE.read_text().split("$ openppu hbm explain stride.txt")[1].split("\n", 1)[1].split("```")[0]
    assert shown(capsys, "explain", "stride.txt") == example
