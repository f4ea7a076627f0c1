"""Traces of other simulators and our own mean what their lines say."""

from pathlib import Path

import pytest
from openppu_sim.cycles.hbm.requests import Requests
from openppu_sim.cycles.hbm.traces import read_trace
from openppu_sim.errors import UserError


def read(tmp_path: Path, text: str, **options) -> Requests:
    path = tmp_path / "trace"
    path.write_text(text, encoding="utf-8")
    return read_trace(path, **{"clock_ns": 0.625, "capacity": 1 << 31} | options)


def rows(requests: Requests) -> list[tuple[int, int, bool]]:
    return list(zip(requests.address.tolist(), requests.size.tolist(), requests.write.tolist(), strict=True))


def test_plain(tmp_path: Path) -> None:
    requests = read(tmp_path, "# a comment\n\nread 0x100 256\nwrite 33 1 # another\n")
    assert rows(requests) == [(256, 256, False), (33, 1, True)]
    assert requests.arrival is None
    assert read(tmp_path, "read 0 32 1.5\nread 0 32 7").arrival.tolist() == [1.5, 7.0]


@pytest.mark.parametrize(
    "text",
    ["LD 0x1047\nST 128", "R 0x1047\nW 128", "0x1047 R\n128 W"],
    ids=["load and store", "read and write", "address first"],
)
def test_ramulator_s_lines_are_cache_lines(text: str, tmp_path: Path) -> None:
    assert rows(read(tmp_path, text)) == [(0x1040, 64, False), (128, 64, True)]
    assert rows(read(tmp_path, text, line_bytes=32)) == [(0x1040, 32, False), (128, 32, True)]


def test_dramsim3_s_addresses_are_hexadecimal_and_its_times_memory_clocks(tmp_path: Path) -> None:
    requests = read(tmp_path, "0x1047 READ 0\n80 WRITE 8\n80 P_MEM_RD 16")
    assert rows(requests) == [(0x1040, 64, False), (0x80, 64, True), (0x80, 64, False)]
    assert requests.arrival.tolist() == [0.0, 5.0, 10.0]


def test_addresses_wrap_when_told_to(tmp_path: Path) -> None:
    requests = read(tmp_path, "read 0x80000020 64\nread 0x7FFFFFF0 64", wrap=True)
    assert rows(requests) == [(0x20, 64, False), ((1 << 31) - 64, 64, False)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello world", "trace:1: 'hello world': no known trace format; give read|write ADDRESS"),
        ("LD 0x10\nLD", "trace:2: 'LD': give LD|ST ADDRESS"),
        ("LD 0x10\nXX 0x20", "trace:2: 'XX 0x20': give LD|ST ADDRESS"),
        ("R 0,0,1,2,3,4", "trace:1: 'R 0,0,1,2,3,4': an address vector, which means something for one device only"),
        ("LD -5", "'-5' is no address from 0 to 2\\*\\*62 - 1"),
        ("LD 0xG", "'0xG' is no address; give LD|ST"),
        ("0x10 READ 5\n0x20 READ 4", "its time 4 is before that of the line above, 5; sort the trace"),
        ("0x10 READ x", "'x' is no cycle; give ADDRESS READ|WRITE CYCLE"),
        ("0x10 READ 5\n0x10 READ 1000000000000000", "trace:2: .*'1000000000000000' is no cycle from 0 to 1e15"),
        ("0x10 FETCH 3", "no known trace format"),
        ("read 0 64 nan", "'nan' is no time from 0 to 1e15 ns"),
        ("read 0 64 soon", "'soon' is no time"),
        ("read 0 0", "0 bytes; give a size from 1 to 4096"),
        ("# nothing\n", "trace: no request; give one a line: read|write"),
    ],
)
def test_bad_lines_are_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told.replace("|", "\\|")) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, told in (
        ("binary", "not a text file"),
        ("missing", "cannot be read: No such file"),
        (".", "cannot be read"),
    ):
        with pytest.raises(UserError, match=told):
            read_trace(tmp_path / name, clock_ns=1, capacity=1 << 31)
