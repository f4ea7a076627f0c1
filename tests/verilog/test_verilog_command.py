"""``openppu verilog`` writes a file and its description, says so, and refuses what it cannot do in one line."""

import json
import subprocess
import sys

import pytest
from openppu.parts import PARTS, emit_part
from openppu_sim.cli import main
from openppu_sim.simulator.lint import lint


def test_the_files_are_written_where_they_are_said_to_be(tmp_path, capsys):
    assert main(["verilog", "--config", "tiny", "--build-dir", str(tmp_path)]) == 0
    path = tmp_path / "verilog" / "tiny" / "tile.v"
    text = path.read_text()
    assert f"Wrote {path}: {len(text):,} bytes, " in capsys.readouterr().out
    assert json.loads(path.with_suffix(".json").read_text())["top"] == "tile"
    assert sorted(file.name for file in path.parent.iterdir()) == ["tile.json", "tile.v"]


def test_part_folder_and_configuration_can_be_chosen(tmp_path, capsys):
    arguments = ["verilog", "--part", "pe", "--lint", "-o", str(tmp_path / "mine"), "--set", "tile.formats=bf16"]
    assert main(arguments) == 0
    assert "Verilator has nothing to complain about" in capsys.readouterr().out
    text = (tmp_path / "mine" / "pe.v").read_text()
    assert "//   tile.formats = bf16\n" in text
    assert "\nmodule pe (\n" in text


def test_all_parts_that_a_chip_has_a_use_for_are_written(tmp_path, capsys, monkeypatch):
    # The memory's parts take seconds each; test_verilog_file.py has them.
    quick = {"hbm": "pe", "hbm_axi": "pe", "chip": "pe"}
    monkeypatch.setattr(
        "openppu_sim.commands.verilog.emit_part", lambda part, chip: emit_part(quick.get(part, part), chip)
    )
    arguments = ["verilog", "--config", "tiny", "--part", "all", "-o", str(tmp_path), "--set", "tile.formats=int8"]
    assert main([*arguments, "--set", "tile.latency=1"]) == 0
    assert {path.stem for path in tmp_path.glob("*.v")} == PARTS.keys() - {"narrow", "widen", "link_gearbox"}


def test_lint_warnings_end_with_exit_code_1(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("openppu_sim.commands.verilog.lint", lambda path, top: lint(path, top, waivers=None))
    assert main(["verilog", "--config", "tiny", "--part", "pe", "--lint", "-o", str(tmp_path)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "lint warnings on" in error
    assert "%Warning-" in error


@pytest.mark.parametrize("where", ["a file", "a file below a file"])
def test_a_folder_that_cannot_be_written_is_refused(where, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if where == "a file" else tmp_path / "file" / "folder"
    assert main(["verilog", "--config", "tiny", "-o", str(folder)]) == 2
    error = capsys.readouterr().err
    assert f"cannot write {folder}" in error
    assert "choose another place" in error
    assert "Traceback" not in error


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, capsys):
    (tmp_path / "pe.json").mkdir()
    assert main(["verilog", "--config", "tiny", "--part", "pe", "-o", str(tmp_path)]) == 2
    assert f"cannot write {tmp_path / 'pe.json'}: it is a folder" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["pe.json"]


def test_a_full_disk_leaves_the_files_as_they_were(tmp_path):
    (tmp_path / "pe.v").write_text("old")
    command = [sys.executable, "-m", "openppu_sim.cli", "verilog", "--config", "tiny", "--part", "pe", "-o", tmp_path]
    result = subprocess.run(
        ["bash", "-c", 'ulimit -f 2; exec "$@"', "bash", *command], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    assert f"cannot write {tmp_path / 'pe.v'}: File too large" in result.stderr
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("pe.v", "old")]


def test_an_unknown_part_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["verilog", "--part", "link"])
    assert stop.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_a_converter_for_no_float_is_refused(tmp_path, capsys):
    arguments = ["verilog", "--part", "narrow", "-o", str(tmp_path), "--set", "tile.formats=int8"]
    assert main([*arguments, "--set", "tile.latency=1"]) == 2
    error = capsys.readouterr().err
    assert "openppu: error: tile.formats = int8: this part converts floats; add one, such as bf16\n" in error
    assert "Traceback" not in error
