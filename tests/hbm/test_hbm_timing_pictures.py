"""The pictures of the command timing show what the RTL does, at the distances of the rules."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from openppu_sim.simulator.toolchain import find_icarus
from openppu_verif.hbm.timing_pictures import FOLDER, PICTURES, PREFIX, draw, play, wave

Scenes = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def scenes(build_root: Path) -> Scenes:
    return play(build_root, sim="icarus" if find_icarus() else "verilator")


@pytest.mark.parametrize("name", PICTURES)
def test_the_page_shows_what_the_rtl_does(name: str, scenes: Scenes, project_root: Path) -> None:
    kept = project_root / FOLDER / f"{PREFIX}{name}"
    source = wave(PICTURES[name], scenes[name])
    assert json.loads(kept.with_suffix(".json").read_text()) == source, "run `make pictures`"
    picture = kept.with_suffix(".svg").read_text()
    for edge in source["edge"]:
        assert edge.split(" ", 1)[1] in picture, "run `make pictures`"
    assert f"({kept.relative_to(project_root / 'docs')}.svg)" in (project_root / "docs" / "hbm-timing.md").read_text()


def test_a_command_a_clock_late_or_early_is_told(scenes: Scenes) -> None:
    for move in (-1, 1):
        clocks = copy.deepcopy(scenes["page-miss"])
        index = next(n for n, each in enumerate(clocks) if any(name == "RD" for _, name, *_ in each["commands"]))
        clocks[index + move]["commands"], clocks[index]["commands"] = clocks[index]["commands"], []
        with pytest.raises(ValueError, match=r"tRCDRD \+ 1 is 24 CK, but 2[37] were seen"):
            wave(PICTURES["page-miss"], clocks)


def test_lanes_are_as_long_as_the_scale_and_say_all_commands(scenes: Scenes) -> None:
    for name, picture in PICTURES.items():
        source = wave(picture, scenes[name])
        scale, *lanes = source["signal"]
        assert {len(lane.get("wave", lane.get("node"))) for lane in lanes} == {len(scale["wave"])}
        for lane in lanes:
            if "wave" in lane:
                assert sum(letter in "35" for letter in lane["wave"]) == len(lane["data"]), f"{name}: {lane}"


def test_wavedrom_draws_every_picture_as_it_is_kept(scenes: Scenes, project_root: Path) -> None:
    pytest.importorskip("wavedrom", reason="pip install -e '.[pictures]'")
    for name, picture in PICTURES.items():
        kept = (project_root / FOLDER / f"{PREFIX}{name}.svg").read_text()
        assert draw(wave(picture, scenes[name])) == kept, "run `make pictures`"
