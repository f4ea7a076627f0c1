"""The model's figures of collective engines are what the RTL takes, to a clock; and how they get where they are."""

from pathlib import Path

import pytest
from openppu_sim.cycles.link import calibrate
from openppu_sim.cycles.link.calibration import PACKAGED, load_calibration
from openppu_sim.errors import UserError
from openppu_verif.link import engine_figures


def test_the_packaged_figures_of_engines_are_those_of_the_rtl(build_root: Path, tmp_path: Path) -> None:
    packaged = load_calibration().figures
    for row in engine_figures.measure(build_root):
        figure = packaged[row["name"].removeprefix("calibration ")]
        assert (figure.value, figure.unit, figure.kind) == (row["value"], row["unit"], "measured"), row["name"]
        assert engine_figures.COMMAND in figure.source


def test_a_benchmark_s_figures_replace_those_of_the_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench, out = tmp_path / "bench.json", tmp_path / "calibration.toml"
    bench.write_text('{"commit": "x", "rows": [{"name": "calibration lead_beats", "value": 2, "unit": "beats"}]}')
    assert calibrate.main([str(bench), "--output", str(out)]) == 0
    assert capsys.readouterr().out == "lead_beats: 1 -> 2 beats\n"
    changed = load_calibration(out).figures
    assert (changed["lead_beats"].value, changed["lead_beats"].kind) == (2, "measured")
    same = {name: figure for name, figure in changed.items() if name != "lead_beats"}
    assert same == {name: figure for name, figure in load_calibration().figures.items() if name != "lead_beats"}
    with pytest.raises(UserError, match="add_clocks: no entry"):
        calibrate.replaced(PACKAGED.read_text().replace("[add_clocks]", "[other]"), load_calibration().figures)
