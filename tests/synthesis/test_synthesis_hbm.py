"""Area and clock of the memory controller: parts are counted with what is in them, and the page shows all rows."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from openppu.hbm.device import organisation
from openppu.hbm.gates import ColumnGate
from openppu_sim.errors import SimulationError
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.synthesis import __main__ as job
from openppu_sim.synthesis import hbm, hbm_page, yowasp
from openppu_sim.synthesis.area import Ecp5Area
from openppu_sim.synthesis.yowasp import OutOfTimeError

CELLS = Ecp5Area(cells=20_000, lut4=12_345, ccu2c=678, dsp=0, ff=901, dpr16x4=2, ebr=3)


def reports(build: Path) -> None:
    """Made-up reports, in which a queue costs 100 LUT4 and 50 an entry."""
    for job_name in ("synth-hbm", "pnr-hbm"):
        make_folder(build / job_name)
    area = []
    for name in hbm.CONFIGS:
        for entries in hbm.ENTRIES:
            for part in (hbm.WHOLE, *hbm_page._PARTS):
                row = {"name": f"channel {name} {entries}: {part}", "config": name, "entries": entries, "part": part}
                area.append(row | asdict(CELLS) | {"value": 1, "unit": "LUT4", "command": hbm.AREA_COMMAND})
                if part == hbm.WHOLE:
                    area[-1] |= {"gates": 55_555, "gate_ff": 44}
                elif part == "entry_queue":
                    area[-1] |= {"lut4": 100 + 50 * entries}
    benchmark_json("synth-hbm", area, folder=build / "synth-hbm")
    used = {"comb": 1234, "ff": 2, "ebr": 4, "from": "first", "to": "second", "logic_ns": 2.0, "routing_ns": 3.0}
    clock = {"name": "channel small 8", "value": 31.41, "unit": "MHz", "part": "channel", **used}
    clock |= {"config": "small", "entries": 8}
    benchmark_json("pnr-hbm", [clock | {"command": hbm.CLOCK_COMMAND}], folder=build / "pnr-hbm")


def test_parts_hold_what_is_in_them() -> None:
    stat = {
        "modules": {
            "\\top": {"num_cells_by_type": {"LUT4": 1, "top_queue": 2}},
            "\\top_queue": {"num_cells_by_type": {"LUT4": 10, "top_bank": 3}},
            "\\top_bank": {"num_cells_by_type": {"TRELLIS_FF": 7}},
        }
    }
    assert hbm.parts(stat, "top", source=Path("stat.json")) == {
        "": Counter({"LUT4": 21, "TRELLIS_FF": 42}),
        "queue": Counter({"LUT4": 10, "TRELLIS_FF": 21}),
        "bank": Counter({"TRELLIS_FF": 7}),
    }


@pytest.mark.parametrize("stat", [{}, [], None, {"modules": {"\\top": {}}}, {"modules": {"\\top": 3}}])
def test_other_statistics_are_refused(stat: object) -> None:
    with pytest.raises(SimulationError, match=r"stat\.json"):
        hbm.parts(stat, "top", source=Path("stat.json"))


def test_page_shows_areas_parts_and_clocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports(tmp_path)
    assert job.main(["--build-dir", str(tmp_path), "page-hbm"]) == 0
    text = capsys.readouterr().out
    for name in hbm.CONFIGS:
        for entries in hbm.ENTRIES:
            assert f"| {name} | {entries} | 12,345 | 678 | 901 | 2 | 3 | 55,555 | 44 |" in text
    assert "| a queue | 500 / 678 / 901 | 900 / 678 / 901 |" in text
    assert "A queue of 64 entries costs 52 LUT4 an entry" in text
    assert "| channel | small | 8 | 31.41 | 1,234 |" in text
    assert "from `first` to `second`" in text
    assert "`small`: 16 banks a pseudo-channel (4-high), 1 port of 1 tag, without ECC." in text


def test_page_names_what_took_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports(tmp_path)
    path = tmp_path / "synth-hbm" / "synth-hbm.json"
    report = json.loads(path.read_text())
    report["rows"] = [row for row in report["rows"] if (row["config"], row["entries"]) != ("small", 64)]
    for row in report["rows"]:
        if (row["config"], row["entries"]) == ("full", 32):
            row.pop("gates", None)
            row.pop("gate_ff", None)
    path.write_text(json.dumps(report))
    assert job.main(["--build-dir", str(tmp_path), "page-hbm"]) == 0
    text = capsys.readouterr().out
    assert (
        "Left out, for it was not run, or not mapped within 40 minutes: `small` with 64 entries; "
        "the scheduler of `full` with 32 entries, to gates." in text
    )
    assert "| full | 32 | 12,345 | 678 | 901 | 2 | 3 |  |  |" in text
    assert "not placed and routed within 60 minutes: the scheduler of `small` with 8 entries." in text


def test_missing_report_of_the_area_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.main(["--build-dir", str(tmp_path), "page-hbm"]) == 2
    assert "run make synth-hbm first" in capsys.readouterr().err


def test_page_without_a_report_of_the_clock_is_of_the_area_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports(tmp_path)
    (tmp_path / "pnr-hbm" / "pnr-hbm.json").unlink()
    assert job.main(["--build-dir", str(tmp_path), "page-hbm"]) == 0
    text = capsys.readouterr().out
    assert "## Area" in text
    assert "## Clock" not in text


def test_what_takes_too_long_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(part: str, name: str, entries: int, folder: Path) -> dict[str, Any]:
        if part == "channel":
            raise OutOfTimeError("nextpnr did not end")
        used = {"comb": 1234, "ff": 2, "ebr": 4, "logic_ns": 2.0, "routing_ns": 3.0}
        where = {"name": part, "unit": "MHz", "part": part, "config": name, "entries": entries}
        return {"value": 31.41, **where, **used, "command": hbm.CLOCK_COMMAND}

    monkeypatch.setattr(hbm, "clock_row", row)
    monkeypatch.setattr(hbm, "require_tool", lambda tool: None)
    report = hbm.run_clock(tmp_path)
    assert [part for part, *_ in hbm.CLOCKS] == ["scheduler", "channel"]
    assert "channel small 8: left out: nextpnr did not end" in capsys.readouterr().out
    assert report.read_text().count("31.41") == 1


def test_a_map_that_takes_too_long_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mapped(component: Any, script: str, kind: str, *, top: str, folder: Path, seconds: float) -> Any:
        if top in ("small_64", "full_32_scheduler"):
            raise OutOfTimeError(f"{top} did not end")
        cells = {"": Counter({"LUT4": 7} if kind == "ecp5" else {"$_AND_": 5})}
        return cells, cells[""]

    monkeypatch.setattr(hbm, "map_modules", mapped)
    report = hbm.run_area(tmp_path)
    printed = capsys.readouterr().out
    assert "channel small 64: left out: small_64 did not end" in printed
    assert "gates of the scheduler full, 32 entries: left out" in printed
    found = [(row["config"], row["entries"], "gates" in row) for row in json.loads(report.read_text())["rows"]]
    every = [(name, entries, True) for entries in hbm.ENTRIES for name in hbm.CONFIGS]
    assert found == [(*row[:2], row[:2] != ("full", 32)) for row in every if row[:2] != ("small", 64)]


def test_only_the_sizes_that_are_asked_for_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(hbm, "area_rows", lambda name, entries, folder: asked.append((name, entries)) or [])
    monkeypatch.setattr(hbm, "benchmark_json", lambda name, rows, folder: folder / name)
    assert job.main(["--build-dir", str(tmp_path), "synth-hbm", "--entries", "16", "8"]) == 0
    assert asked == [(name, entries) for entries in (8, 16) for name in hbm.CONFIGS]
    with pytest.raises(SystemExit):
        job.main(["synth-hbm", "--entries", "9"])


def test_what_was_mapped_before_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def yosys(tool: str, arguments: Any, *, folder: Path, results: Any, seconds: float | None) -> None:
        runs.append((tool, seconds))
        stat = {"modules": {"\\gate": {"num_cells_by_type": {"LUT4": len(runs)}}}}
        for name in results:
            (folder / name).write_text(json.dumps(stat))

    monkeypatch.setattr(yowasp, "run_tool", yosys)

    def mapped(script: str, kind: str) -> int:
        component = ColumnGate(organisation(4))
        return int(hbm.map_modules(component, script, kind, top="gate", folder=tmp_path, seconds=9.0)[1]["LUT4"])

    assert [mapped(hbm.ECP5, "ecp5"), mapped(hbm.GATES, "gates"), mapped(hbm.ECP5, "ecp5")] == [1, 2, 1]
    assert mapped(f"{hbm.ECP5}opt_clean\n", "ecp5") == 3
    assert runs == [("yosys", 9.0)] * 3


def test_every_channel_has_its_entries() -> None:
    for name in hbm.CONFIGS:
        for entries in hbm.ENTRIES:
            config = hbm.with_entries(name, entries)
            assert (config.reads, config.writes, config.slots) == (entries,) * 3
            assert config.height == hbm.CONFIGS[name].height
