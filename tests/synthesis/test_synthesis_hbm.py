"""Area and clock of the memory controller: parts are counted with what is in them, and the page shows all rows."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from openppu_sim.errors import SimulationError
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.synthesis import __main__ as job
from openppu_sim.synthesis import hbm, hbm_page
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


def test_every_channel_has_its_entries() -> None:
    for name in hbm.CONFIGS:
        for entries in hbm.ENTRIES:
            config = hbm.with_entries(name, entries)
            assert (config.reads, config.writes, config.slots) == (entries,) * 3
            assert config.height == hbm.CONFIGS[name].height
