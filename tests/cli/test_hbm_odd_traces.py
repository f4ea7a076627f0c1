"""``openppu hbm`` with what people try first: packed, from another system, in another simulator's way, or broken."""

import gzip
from pathlib import Path

import pytest
from openppu_sim import cli

LINES = "".join(f"read {256 * n:#x} 256\n" for n in range(40))


def figures(path: Path, content: bytes, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    path.write_bytes(content)
    assert cli.main(["hbm", "run", str(path), *options]) == 0
    return capsys.readouterr().out.split("\n", 1)[1]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(LINES.encode(), mtime=0),
        LINES.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + LINES.encode(),
        LINES.replace("read", "READ").replace("0x", "0X").encode(),
        LINES.replace(" ", "\t").rstrip("\n").encode(),
    ],
    ids=["gzip", "CR LF", "byte order mark", "capitals", "tabs, no last newline"],
)
def test_the_same_trace_in_another_dress(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = figures(tmp_path / "plain", LINES.encode(), capsys)
    assert figures(tmp_path / "trace", content, capsys) == plain
    assert "10,240" in plain


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no request; give one a line: read|write ADDRESS BYTES"),
        (b"# nothing\r\n\r\n", "no request; give one a line"),
        (b"\x80\x81\x82", "not a text file; give a trace with a request a line"),
        (gzip.compress(LINES.encode(), mtime=0)[:40], "a broken gzip file"),
        (
            b"read,0x10,64\n",
            ":1: 'read,0x10,64': words are apart by blanks, not by commas; no known trace format; give",
        ),
        (b"3 20734016\n1 20846400 20734016\n", "numbers alone, as in a processor's trace, say neither read nor write"),
        (b"R 0,0,1,2,30,4\n", "an address vector, which means something for one device only; give LD|ST ADDRESS"),
        (b"move 0x10 64\n", "no known trace format; give read|write ADDRESS BYTES [NANOSECONDS], such as: read 0x1000"),
        (b"read 0xffffffffffffffffffff 64\n", "is no address from 0 to 2**62 - 1"),
        (b"read 0x10 64 nan\n", "'nan' is no time from 0 to 1e15 ns"),
    ],
)
def test_what_is_no_trace_gives_one_line(
    content: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    assert cli.main(["hbm", "explain", str(path)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert told in captured.err


def test_a_pause_of_days_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "2  " in figures(tmp_path / "trace", b"0x0 READ 0\n0x40 READ 999999999999999\n", capsys)


def test_the_chip_s_options_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace"
    path.write_text(LINES)
    for arguments in (["run", str(path), "--config", "ppu810e"], ["--config", "ppu810e", "run", str(path)]):
        assert cli.main(["hbm", *arguments]) == 0
        assert "48 channels of HBM2E_3200" in capsys.readouterr().out


def test_an_unknown_action_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["hbm", "walk", "trace"])
    err = capsys.readouterr().err
    assert "'walk'" in err
    assert "'run', 'explain'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("requests", "told"), [(1, True), (600, False)])
def test_explain_says_when_a_trace_is_too_short(
    requests: int, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace"
    path.write_text("".join(f"read {256 * n} 256\n" for n in range(requests)))
    assert cli.main(["hbm", "explain", str(path)]) == 0
    assert ("a longer one says more" in capsys.readouterr().out) == told
