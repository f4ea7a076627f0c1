"""The figures that the link's model takes as given: read, replaced, refused."""

import json
import tomllib
from pathlib import Path

import pytest
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu_sim.cycles.link.calibration import KINDS, PACKAGED, load_calibration
from openppu_sim.cycles.link.ports import ports_of
from openppu_sim.errors import UserError
from openppu_sim.report.json_report import benchmark_json


def test_every_packaged_figure_says_where_it_is_from(project_root: Path) -> None:
    figures = load_calibration().figures
    assert set(figures) == set(tomllib.loads(PACKAGED.read_text()))
    for figure in figures.values():
        assert figure.kind in KINDS
        assert figure.source
    measured = [figure for figure in figures.values() if figure.kind == "measured"]
    assumed = {"flit_wait", "channel_ns", "lead_beats", "memory_read_clocks", "memory_write_clocks", "packet_beats"}
    assert set(figures) - {figure.name for figure in measured} == assumed | {"tunnel_share"}
    for figure in measured:
        test = figure.source.rpartition(": ")[2]
        assert (project_root / test).is_file(), "the test that holds it"


def test_the_hop_follows_from_clocks_and_the_configuration() -> None:
    """At 875 MHz: 12 clocks, 1 for FEC, 2.5 for the recovered clock, a flit of 4, half of 3, 10 ns of channel."""
    calibration = load_calibration()
    ports = ports_of(load("ppu810e"), calibration)
    assert ports.hop_ns == pytest.approx(21 / 0.875 + 10)
    plain = ports_of(load("ppu810e", ["link.fec=false", "link.recovered_clock=false"]), calibration)
    assert plain.hop_ns == pytest.approx(17.5 / 0.875 + 10)
    with pytest.raises(UserError, match="ecp5 has no link ports"):
        ports_of(load("ecp5"), calibration)


def test_packets_are_as_long_as_the_engine_s() -> None:
    link = load("ppu810e").link
    calibration = load_calibration()
    assert calibration.packet_beats == CollectiveConfig(link=link).packet
    assert ports_of(load("ppu810e"), calibration).endpoint.packet_bytes == 32 * link.beat_bytes == 2048


def test_a_benchmark_s_rows_become_measured_figures(tmp_path: Path) -> None:
    rows = [
        {"name": "calibration port_clocks", "value": 11, "unit": "link clocks", "command": "openppu link bench"},
        {"name": "goodput", "value": 0.93, "unit": "of raw"},
    ]
    path = benchmark_json("link", rows, folder=tmp_path)
    figure = load_calibration(path).figures["port_clocks"]
    assert (figure.value, figure.kind) == (11, "measured")
    assert figure.source.startswith("openppu link bench, commit ")
    assert load_calibration(path).add_clocks == load_calibration().add_clocks


def test_another_file_replaces_single_figures(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[channel_ns]\nvalue = 3.5\nunit = "ns"\nkind = "measured"\nsource = "my board"\n')
    assert load_calibration(path).channel_ns == 3.5
    assert load_calibration(path) != load_calibration()
    assert hash(load_calibration()) == hash(load_calibration())
    with pytest.raises(AttributeError):
        _ = load_calibration().nothing


GOOD = {"value": 1, "unit": "ns", "kind": "assumed", "source": "x"}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"channel": GOOD}, "channel: not a figure of the model; known: port_clocks,"),
        ({"channel_ns": GOOD | {"unit": "us"}}, "channel_ns: unit 'us': give it in ns"),
        ({"channel_ns": GOOD | {"value": -1}}, "channel_ns.value = -1: give 0 to 1,000,000,000"),
        ({"channel_ns": GOOD | {"value": 1e308}}, "channel_ns.value = 1e+308: give 0 to 1,000,000,000"),
        ({"packet_beats": GOOD | {"unit": "beats", "value": 0}}, "packet_beats.value = 0: give 1 to 4,096"),
        ({"lead_beats": GOOD | {"unit": "beats", "value": 1e300}}, "lead_beats.value = 1e+300: give 0 to 4,096"),
        ({"channel_ns": GOOD | {"value": "3"}}, "channel_ns.value = '3'"),
        ({"channel_ns": GOOD | {"kind": "guessed"}}, "give one of measured, reported, assumed"),
        ({"channel_ns": {"value": 1, "unit": "ns"}}, "give value, unit, kind and source"),
        ({"channel_ns": 3}, "give value, unit, kind and source"),
    ],
)
def test_bad_entries_are_refused(entries: dict, told: str, tmp_path: Path) -> None:
    lines = []
    for name, entry in entries.items():
        if isinstance(entry, dict):
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
        else:
            lines.append(f"{name} = {entry}")
    path = tmp_path / "bad.toml"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        load_calibration(path)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("none.toml", None, "none.toml: cannot be read"),
        ("none.json", None, "none.json: cannot be read"),
        ("empty.toml", "", "empty.toml: has no figure, which the model could use"),
        ("broken.toml", "a = ", "broken.toml: not valid TOML"),
        ("broken.json", "{", "broken.json: not a file of a benchmark"),
        ("list.json", "[]", "list.json: not a file of a benchmark"),
        ("empty.json", '{"rows": [], "commit": "x"}', "has no row named calibration NAME"),
    ],
)
def test_bad_files_are_refused(name: str, text: str | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_calibration(path)
    assert told in str(caught.value)
