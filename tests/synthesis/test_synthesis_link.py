"""Area and clock of a port of the link: the page shows all rows, and what nextpnr has no time for is left out."""

from pathlib import Path

import pytest
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.synthesis import __main__ as job
from openppu_sim.synthesis import link
from openppu_sim.synthesis.area import Ecp5Area, GateArea
from openppu_sim.synthesis.place import Placement
from openppu_sim.synthesis.yowasp import OutOfTimeError

CELLS = Ecp5Area(cells=20_000, lut4=12_345, ccu2c=678, dsp=0, ff=901, dpr16x4=2, ebr=3)


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "mapped", lambda *_, **__: {})
    monkeypatch.setattr(link, "ecp5_area", lambda _: CELLS)
    monkeypatch.setattr(link, "gate_area", lambda _: GateArea(gates=55_555, ff=44))
    monkeypatch.setattr(link, "require_tool", lambda _: None)


def test_the_page_shows_every_port(no_tools: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.main(["--build-dir", str(tmp_path), "synth-link"]) == 0
    assert capsys.readouterr().out.count("12,345") == len(link.PORTS) + len(link.PARTS)
    assert job.main(["--build-dir", str(tmp_path), "page-link"]) == 0
    page = capsys.readouterr().out
    assert "## Clock" not in page
    for name, config in link.PORTS.items():
        assert f"| {name} | 12,345 | 678 | 901 | 2 | 3 | 55,555 | 44 |" in page
        assert f"- `{name}`: {link.described(config)}." in page
    for part in link.PARTS:
        assert f"| {part} | 12,345 | 678 | 901 | 2 | 3 |" in page

    used = {"comb": 1234, "ff": 2, "ebr": 4, "from": "first", "to": "second", "logic_ns": 2.0, "routing_ns": 3.0}
    row = {"name": "port tiny", "value": 31.41, "unit": "MHz", "port": "tiny", **used, "command": link.CLOCK_COMMAND}
    make_folder(tmp_path / "pnr-link")
    benchmark_json("pnr-link", [row], folder=tmp_path / "pnr-link")
    assert job.main(["--build-dir", str(tmp_path), "page-link"]) == 0
    assert "| tiny | 31.41 | 1,234 | 2 | 4 | 2.00 | 3.00 |" in capsys.readouterr().out


def test_without_figures_the_page_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job.main(["--build-dir", str(tmp_path), "page-link"]) == 2
    assert "run make synth-link first" in capsys.readouterr().err


def test_what_takes_too_long_is_left_out(
    no_tools: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def first_alone(top: str, **_: object) -> Placement:
        if "tiny" in top:
            raise OutOfTimeError("nextpnr did not end")
        used = {"comb": 1234, "ff": 2, "dsp": 0, "ebr": 4}
        return Placement(fmax=31.41, start="first", end="second", logic=2.0, routing=3.0, used=used)

    monkeypatch.setattr(link, "place", first_alone)
    assert job.main(["--build-dir", str(tmp_path), "pnr-link"]) == 0
    out = capsys.readouterr().out
    assert "tiny: left out: nextpnr did not end" in out
    assert "one lane  31.41" in out
