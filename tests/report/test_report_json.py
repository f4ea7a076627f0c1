"""The JSON files: whole or absent, and with rows that other programs can rely on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from openppu_sim.errors import UserError
from openppu_sim.report import json_report
from openppu_sim.report.json_report import benchmark_json, commit, machine, writable, write_json

ROW: dict[str, Any] = {"name": "gemm 8x8x8", "value": 12.5, "unit": "%", "goal": 10, "better": "higher"}


def test_write_json_makes_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = write_json(tmp_path / "new" / "folder" / "a.json", {"x": [1, 2.5, None]})
    assert json.loads(path.read_text()) == {"x": [1, 2.5, None]}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_write_json_keeps_the_old_file_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(UserError, match="No space left on device"):
        write_json(path, 2)
    assert path.read_text() == "1\n"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("place", ["file/a.json", "folder"])
def test_an_unwritable_place_is_named_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as caught:
        write_json(tmp_path / place, {})
    assert str(tmp_path / place) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_link_stays_a_link_and_the_file_behind_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    (tmp_path / "new.json").symlink_to("made.json")
    write_json(tmp_path / "link.json", 1)
    write_json(tmp_path / "new.json", 2)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "1\n"
    assert (tmp_path / "made.json").read_text() == "2\n"


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "read-only file"])
def test_what_is_no_file_to_write_is_refused_and_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    if kind == "read-only file":
        path.write_text("kept")
        path.chmod(0o444)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe") if kind == "link to a pipe" else (tmp_path / "pipe").rename(path)
    before = path.lstat()
    for refuse in (lambda: write_json(path, 1), lambda: writable(path)):
        with pytest.raises(UserError, match=r"cannot write .*there: it is (not a regular file|read-only); choose"):
            refuse()
    assert path.lstat() == before


def test_benchmark_json_holds_schema_origin_and_rows(tmp_path: Path) -> None:
    path = benchmark_json("gemm", [ROW, {"name": "b", "value": 1, "unit": "cycles", "m": 8}], folder=tmp_path)
    report = json.loads(path.read_text())
    assert path.name == "gemm.json"
    assert set(report) == {"schema", "commit", "machine", "rows"}
    assert report["schema"] == 1
    assert report["rows"] == [ROW, {"name": "b", "value": 1, "unit": "cycles", "m": 8}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": None}, "value is None"),
        ({"value": float("inf")}, "value is inf"),
        ({"value": True}, "value is True"),
        ({"unit": ""}, "unit is ''"),
        ({"goal": "high"}, "goal is 'high'"),
        ({"better": "more"}, "better is 'more'"),
        ({"peer": ["SCALE-Sim"]}, "peer is"),
        ({"command": 3}, "command is 3"),
        ({"shape": (1, 2)}, "shape is"),
    ],
)
def test_a_bad_benchmark_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        benchmark_json("gemm", [ROW | change], folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_keys_repeated_names_and_empty_benchmarks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 0 .*: unit is missing"):
        benchmark_json("gemm", [{"name": "a", "value": 1}], folder=tmp_path)
    with pytest.raises(ValueError, match="better is missing beside goal"):
        benchmark_json("gemm", [{"name": "a", "value": 1, "unit": "s", "goal": 2}], folder=tmp_path)
    with pytest.raises(ValueError, match=r"row 1 .*stands twice"):
        benchmark_json("gemm", [ROW, ROW], folder=tmp_path)
    with pytest.raises(ValueError, match="has no rows"):
        benchmark_json("gemm", [], folder=tmp_path)


def test_commit_is_unknown_outside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit()
    monkeypatch.setattr(json_report, "CHECKOUT", tmp_path)
    assert commit() == "unknown"


def test_machine_says_what_ran() -> None:
    about = machine()
    assert set(about) == {"processor", "cores", "system", "python"}
    assert all(about.values())


def test_rows_that_were_not_measured_stay(tmp_path):
    def rows(**values):
        return [{"name": name, "value": value, "unit": "%"} for name, value in values.items()]

    benchmark_json("link", rows(a=1, b=1), folder=tmp_path, beside=True)
    path = benchmark_json("link", rows(c=3, b=2), folder=tmp_path, beside=True)
    assert json.loads(path.read_text())["rows"] == rows(a=1, b=2, c=3)
    benchmark_json("link", rows(c=3), folder=tmp_path)
    assert json.loads(path.read_text())["rows"] == rows(c=3)
    path.write_text("[]")
    with pytest.raises(UserError, match="no benchmark's rows; delete it"):
        benchmark_json("link", rows(c=3), folder=tmp_path, beside=True)
