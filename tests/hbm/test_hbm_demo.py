"""The HBM2e section of ``make sim``: figures that add up, near the predictions, in the report beside the digits'."""

import json
from pathlib import Path

import pytest
from openppu_sim.errors import UserError
from openppu_sim.report.json_report import add_section
from openppu_verif.hbm.demo import CONFIG, TRAFFIC, Result, main, measure, print_results, record


@pytest.fixture(scope="module")
def results(build_root: Path) -> list[Result]:
    return measure(build_root, clocks=6000)


def test_every_clock_has_its_cause_and_the_model_is_near(results: list[Result]) -> None:
    assert [each.name for each in results] == list(TRAFFIC)
    for each in results:
        causes = each.causes()
        assert sum(causes.values()) == 2 * 6000
        assert (causes["reads"] + causes["writes"]) / (2 * 6000) == pytest.approx(
            each.measured.bus_efficiency, abs=0.001
        )
        assert each.predicted == pytest.approx(each.measured.bus_efficiency, rel=0.05), each.name
        assert each.predicted_latency == pytest.approx(each.measured.latency(0.5), rel=0.15), each.name


def test_the_tables_name_all_traffic(results: list[Result], capsys: pytest.CaptureFixture[str]) -> None:
    print_results(results, CONFIG)
    out = capsys.readouterr().out
    assert "a channel of a 4-high stack, queues of 8 reads and 8 writes" in out
    assert all(out.count(f"\n{name}  ") == 2 for name in TRAFFIC)


def test_the_report_keeps_what_is_in_it(results: list[Result], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"schema": 1, "runs": [{"name": "hidden"}], "hbm": "old"}))
    report = json.loads(add_section(path, "hbm", record(results, CONFIG)).read_text())
    assert report["runs"] == [{"name": "hidden"}]
    assert [run["name"] for run in report["hbm"]["runs"]] == list(TRAFFIC)
    assert {run["violations"] + run["wrong"] for run in report["hbm"]["runs"]} == {0}
    path.unlink()
    assert json.loads(add_section(path, "hbm", record(results, CONFIG)).read_text())["hbm"] == report["hbm"]
    path.write_text("[1, 2]")
    with pytest.raises(UserError, match=r"report\.json: no report of `make sim`; delete it"):
        add_section(path, "hbm", record(results, CONFIG))


def test_a_wrong_option_gives_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--clocks", "3"])
    assert capsys.readouterr().err.count("\n") == 1
