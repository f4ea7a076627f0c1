"""The main job from the command line to its files, with the reference in the tile's place."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from openppu.config import ChipConfig, load
from openppu_sim.digits import job
from openppu_sim.digits.__main__ import Connect, main
from openppu_sim.digits.job import NOTE, run
from openppu_sim.digits.network import LAYERS, TEST_IMAGES
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.report.run import MatmulRunner, TileRun

RUN_KEYS = {"name", "format", "m", "k", "n", "cycles", "predicted_cycles", "bound_cycles", "mismatches"}


def connect_to(runner: MatmulRunner) -> Connect:
    def connect(config: ChipConfig, waves: bool, folder: Path) -> MatmulRunner:
        return runner

    return connect


def changed(runner: MatmulRunner, **changes: int) -> MatmulRunner:
    """The runner with other figures in the int8 output layer."""

    def run_changed(name: str, a_bits: np.ndarray, b_bits: np.ndarray, fmt_name: str) -> TileRun:
        result = runner(name, a_bits, b_bits, fmt_name)
        return replace(result, **changes) if (name, fmt_name) == ("output", "int8") else result

    return run_changed


def test_the_job_prints_its_table_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], reference_runner: MatmulRunner
) -> None:
    folder = tmp_path / "build" / "sim"
    assert main(["--output", str(folder)], connect=connect_to(reference_runner)) == 0

    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["hidden", "360x64x32", "int8", "11,552", "11,552", "11,520", "99.72", "99.72", "0"] in lines
    assert ["output", "360x32x10", "bf16", "2,912", "2,912", "2,880", "98.90", "61.81", "0"] in lines
    assert ["output", "bf16", "2,880", "2", "30"] in lines
    assert NOTE in out
    assert "Every bit equals the numpy reference" in out

    report = json.loads((folder / "report.json").read_text())
    assert report["schema"] == 1
    assert report["passed"] is True
    assert (report["seed"], report["images"]) == (0, 360)
    assert report["config"]["fingerprint"] == load("demo").fingerprint()
    assert set(report["accuracy"]) == {"int8", "bf16", "float"}
    assert all(0.95 < value < 1 for value in report["accuracy"].values())
    assert [(entry["name"], entry["format"]) for entry in report["runs"]] == [
        ("hidden", "int8"),
        ("output", "int8"),
        ("hidden", "bf16"),
        ("output", "bf16"),
    ]
    for entry in report["runs"]:
        assert set(entry) >= RUN_KEYS
        assert sum(entry["causes"].values()) == entry["cycles"]
    assert report["commit"]
    assert report["machine"]["cores"] >= 1
    assert (folder / "utilisation.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == ["report.json", "utilisation.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mismatches": 1}, "FAILED: output (int8, 360x32x10): 1 of 3600 elements differ from the numpy reference"),
        ({"predicted_cycles": 2911}, "FAILED: output (int8, 360x32x10): the RTL took 2912 cycles, the cycle model"),
    ],
)
def test_a_wrong_bit_or_cycle_fails_with_its_name_and_how_to_repeat_it(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reference_runner: MatmulRunner,
    changes: dict[str, int],
    message: str,
) -> None:
    assert main(["--output", str(tmp_path)], connect=connect_to(changed(reference_runner, **changes))) == 1
    error = capsys.readouterr().err
    assert message in error
    assert f"python -m openppu_sim.digits --output {tmp_path} (seed 0)" in error
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] is False


def test_the_next_layer_takes_what_the_tile_gave(reference_runner: MatmulRunner) -> None:
    """Zeros from the tile must reach the scores: the accuracy is the tile's, not the reference's."""

    def zeros(name: str, a_bits: np.ndarray, b_bits: np.ndarray, fmt_name: str) -> TileRun:
        result = reference_runner(name, a_bits, b_bits, fmt_name)
        return replace(result, result=np.zeros_like(result.result))

    outcome = run(zeros, load("demo"))
    assert max(outcome.accuracy.values()) < 0.2
    assert outcome.float_accuracy > 0.95


def test_only_the_formats_that_are_built_in_are_run(reference_runner: MatmulRunner) -> None:
    outcome = run(reference_runner, load("demo", ["tile.formats=bf16,fp16"]))
    assert [entry.format for entry in outcome.runs] == ["bf16", "bf16"]
    assert list(outcome.accuracy) == ["bf16"]
    with pytest.raises(UserError, match=r"tile\.formats = fp16: the digits need int8 or bf16"):
        run(reference_runner, load("demo", ["tile.formats=fp16"]))


def test_a_layer_that_does_not_fit_is_said_before_the_training(
    reference_runner: MatmulRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "train", None)
    with pytest.raises(UserError, match=r"A \(360 x 64\) needs 5760 beats .*: set tile\.address_bits to 13"):
        run(reference_runner, load("ecp5"))


def test_the_shapes_that_are_tried_beforehand_are_those_that_run(reference_runner: MatmulRunner) -> None:
    ran = run(reference_runner, load("ecp5", ["tile.address_bits=13"])).runs
    assert [(one.m, one.k, one.n) for one in ran] == [(TEST_IMAGES, k, n) for k, n in LAYERS]


def never(config: ChipConfig, waves: bool, folder: Path) -> MatmulRunner:
    raise AssertionError("a mistake in the arguments must be found before anything is built")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere"], "'nowhere': no such file or preset"),
        (["--set", "tile.rows=0"], "tile.rows = 0"),
        (["--output", "{tmp}/file/sim"], "cannot write"),
    ],
)
def test_mistakes_give_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("")
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    output = [] if "--output" in arguments else ["--output", str(tmp_path / "sim")]
    assert main([*arguments, *output], connect=never) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("openppu: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_simulation_that_breaks_off_gives_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> TileRun:
        raise SimulationError("no result after 1000 cycles; repeat with X")

    assert main(["--output", str(tmp_path)], connect=connect_to(broken)) == 1
    assert "simulation failed: no result after 1000 cycles; repeat with X" in capsys.readouterr().err


def test_help_reads_without_a_simulator() -> None:
    command = [sys.executable, "-m", "openppu_sim.digits", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in ("--config", "--set", "--waves", "--output"):
        assert option in text
