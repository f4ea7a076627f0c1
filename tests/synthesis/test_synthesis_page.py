"""The page of figures is made of the reports, and says which one is missing."""

from pathlib import Path

import pytest
from openppu_sim.report.json_report import write_json
from openppu_sim.synthesis import __main__ as job
from openppu_sim.synthesis import page, pnr, synth
from openppu_sim.synthesis.place import Placement


def reports(build: Path) -> None:
    """Made-up reports."""
    area = {"name": "cell bf16", "value": 600, "unit": "LUT4", "goal": 620, "better": "lower", "latency": 4}
    write_json(build / "synth" / "synth.json", {"rows": [area | dict.fromkeys(synth.AREA_KEYS, 1234)]})
    used = {"comb": 1, "ff": 2, "dsp": 3, "ebr": 4}
    placed = Placement(fmax=84.26, start="first", end="second", logic=2.2, routing=9.67, used=used)
    write_json(build / "pnr" / "pnr.json", {"rows": [pnr.row(pnr.DESIGNS[0], {1: placed})]})


def test_page_shows_figures_goals_and_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports(tmp_path)
    assert job.main(["--build-dir", str(tmp_path), "page"]) == 0
    text = capsys.readouterr().out
    assert "| cell bf16 | 4 | 1,234 |" in text
    assert "Goal for `cell bf16`: 620 LUT4, reached." in text
    assert "| tile 4x4 bf16 | 84.26 | 85 | no | 84.3 |" in text
    assert "from `first` to `second`: 2.20 ns in cells, 9.67 ns in wires" in text
    assert "with 1 seed of its random numbers." in text


@pytest.mark.parametrize("missing", ["synth", "pnr"])
def test_missing_report_is_one_line(missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports(tmp_path)
    (tmp_path / missing / f"{missing}.json").unlink()
    assert job.main(["--build-dir", str(tmp_path), "page"]) == 2
    assert f"run make {missing} first" in capsys.readouterr().err


def test_markdown_aligns_numbers_to_the_right() -> None:
    text = page.markdown(["what", "count"], [["a", 1000], ["b", None]])
    assert text == "| what | count |\n| --- | ---: |\n| a | 1,000 |\n| b |  |"
