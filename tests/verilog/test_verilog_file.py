"""An emitted file is what its description says, lints clean, reads well, and holds each module once."""

import json
import re
import time
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
from components import Memories, Operators, Statements, Tree
from openppu.config import ChipConfig, load, presets
from openppu.emission.names import KEYWORDS
from openppu.parts import PARTS, emit_part
from openppu_sim.bench.elaboration import BYTES_GOAL, SECONDS_GOAL, measure, tile_of
from openppu_sim.simulator.lint import WAIVERS, lint
from yosys_check import emitted, read_back

PRESETS = [load(name, ["tile.rows=8", "tile.columns=8"] if name == "ppu810e" else []) for name in presets()]
EDGES = [
    load("tiny", ["tile.rows=1", "tile.columns=1"]),
    load("tiny", ["tile.rows=7", "tile.columns=3", "tile.formats=int8", "tile.latency=1", "tile.accumulators=8"]),
    load("tiny", ["tile.rows=2", "tile.columns=5", "tile.formats=fp8_e5m2", "tile.latency=2", "tile.outstanding=2"]),
]
CHIPS = [*PRESETS, *EDGES]
IDS = [f"{chip.name}-{chip.tile.rows}x{chip.tile.columns}" for chip in CHIPS]
ARRAY = ("tile", "pe")
TINY = load("tiny")
GEARED = load("tiny", ["link.serdes_bits=20"])
WAIVED = ("hbm_axi", "dma_load", "dma_store", "vector")
FILES = [pytest.param(chip, part, id=f"{part}-{name}") for part in ARRAY for chip, name in zip(CHIPS, IDS, strict=True)]
# All of hbm is in hbm_axi, and nearly all of dma_store in dma_load.
SLOW = {part: [pytest.mark.slow] for part in ("hbm", "chip", "dma_store")}
FILES += [
    pytest.param(GEARED if part == "link_gearbox" else TINY, part, id=part, marks=SLOW.get(part, ()))
    for part in PARTS
    if part not in ARRAY
]


of_chip = cache(emit_part)


def bodies(text: str) -> dict[str, str]:
    """The text of each module after its name."""
    return dict(re.findall(r"(?ms)^module (\w+) (.*?)^endmodule$", text))


@pytest.mark.parametrize(("chip", "part"), FILES)
def test_the_file_is_what_its_description_says(chip: ChipConfig, part: str, tmp_path: Path):
    verilog = of_chip(part, chip)
    modules = read_back(verilog, tmp_path)
    sidecar = json.loads((tmp_path / f"{part}.json").read_text())
    expected = {name: (port["direction"], port["bits"]) for name, port in sidecar["ports"].items()}
    clocks = ("clk", "rst", "serdes_clk", "serdes_rst") if part == "link_gearbox" else ("clk", "rst")
    assert modules[part] == expected | dict.fromkeys(clocks, ("input", 1))
    assert set(sidecar["modules"]) == set(modules) == set(bodies(verilog.text))
    assert sidecar["fingerprint"] == chip.fingerprint()
    for port in sidecar["ports"].values():
        fields = sorted(port.get("fields", {}).values(), key=lambda field: field["offset"])
        assert not fields or sum(field["bits"] for field in fields) == port["bits"]
    assert lint(tmp_path / f"{part}.v", part) == []
    body = list(bodies(verilog.text).values())
    assert len(body) == len(set(body)), "two modules are the same"


@pytest.mark.parametrize(("depth", "asked"), [(64, 1), (128, 0)])
def test_a_small_accumulator_asks_for_look_up_tables(depth: int, asked: int):
    text = emit_part("tile", load("tiny", [f"tile.accumulators={depth}"])).text
    asks = re.findall(r'\(\* ram_style = "distributed" \*\)\n +reg \[31:0\] memory \[0:63\];', text)
    assert len(asks) == text.count("ram_style") == asked


def test_every_waiver_is_needed_and_hides_no_unused_signal(tmp_path: Path):
    complaints = []
    for part, chip in [(part, EDGES[1]) for part in ARRAY] + [(part, TINY) for part in WAIVED]:
        of_chip(part, chip).write(tmp_path / f"{part}.v")
        complaints += lint(tmp_path / f"{part}.v", part, waivers=None)
    waivers = re.findall(r'(?m)^lint_off -rule (\w+)(?: -file "\*" -match "(.*)")?$', WAIVERS.read_text())
    assert len(waivers) == WAIVERS.read_text().count("\nlint_off")
    for rule, match in waivers:
        assert any(f"-{rule}:" in line and fnmatch(line, f"*{match}*") for line in complaints), (rule, match)

    broken = (tmp_path / "tile.v").read_text().replace("endmodule", "wire loose = clk;\nendmodule", 1)
    (tmp_path / "tile.v").write_text(broken)
    (complaint,) = lint(tmp_path / "tile.v", "tile")
    assert "Signal is not used: 'loose'" in complaint


@pytest.mark.parametrize("component", [Operators, Statements, Memories, Tree])
def test_small_components_lint_clean(component, tmp_path: Path):
    emitted(component()).write(tmp_path / "part.v")
    assert lint(tmp_path / "part.v", "part") == []


@pytest.mark.parametrize("chip", CHIPS, ids=IDS)
def test_the_text_reads_well(chip: ChipConfig):
    text = emit_part("tile", chip).text
    code = re.sub(r"//.*", "", text)
    assert max(map(len, text.splitlines())) <= 120
    assert "\\" not in code, "an escaped name"
    assert set(re.findall(r"\$\w+", code)) <= {"$signed", "$unsigned"}
    assert "always @*" not in code, "a simulator need not run it at time 0"
    declared = re.findall(r"^ *(?:wire|reg|input +wire|output +wire|output +reg) +(?:\[\S+\] )?(\w+)", code, re.M)
    assert len(declared) > 300
    assert not KEYWORDS.intersection(declared)
    unnamed = [name for name in declared if re.search(r"(^|_)(term|net)(_\d+)?$", name)]
    assert len(unnamed) < len(declared) / 50, unnamed


def test_the_header_holds_every_parameter():
    chip = load("tiny", ["tile.accumulators=128"])
    header = emit_part("tile", chip).text.partition("module")[0]
    assert f"({chip.fingerprint()})" in header
    for line in ("tile.rows = 4", "tile.formats = int8 fp8_e4m3 fp8_e5m2 fp16 bf16", "tile.accumulators = 128"):
        assert f"//   {line}\n" in header


def test_power_up_values_are_written():
    text = emitted(Statements()).text
    assert "  initial begin\n    count = 4'd0;\n    state = 8'd90;\n" in text
    words = re.findall(r"store\[(\d)\] = 8'd(\d);", emitted(Memories()).text)
    assert words == [(f"{place}", value) for place, value in enumerate("31415000")]


def test_the_same_chip_gives_the_same_file():
    assert emit_part("tile", CHIPS[0]).text == emit_part("tile", CHIPS[0]).text


@pytest.mark.parametrize("fmt", ["int8", "bf16"])
def test_a_larger_array_has_the_same_modules(fmt: str):
    small, large = (emit_part("tile", tile_of(size, fmt)) for size in (4, 32))
    assert len(small.modules) == len(large.modules)
    # What is written grows with the sides of the array, not with its area.
    assert large.instances < 8 * small.instances
    assert large.wiring < 32 * small.wiring
    assert len(large.text) < 4 * len(small.text)


def test_many_accumulators_are_emitted_in_a_time_that_grows_with_their_number():
    seconds = []
    for accumulators in (256, 4096):
        start = time.process_time()
        text = emit_part("tile", load("tiny", [f"tile.accumulators={accumulators}"])).text
        seconds.append(time.process_time() - start)
    assert seconds[1] < 8 * seconds[0]  # 16 times the accumulators; with a look at all pairs of them 40 times
    assert len(text) < 100_000


@pytest.mark.slow
def test_the_full_scale_tile_lints_clean(tmp_path: Path):
    emit_part("tile", load("ppu810e")).write(tmp_path / "tile.v")
    assert lint(tmp_path / "tile.v", "tile") == []


@pytest.mark.slow
@pytest.mark.parametrize("fmt", ["int8", "bf16"])
def test_the_largest_tiles_are_quick_and_small(fmt: str):
    row = measure(128, fmt)
    assert row["value"] < SECONDS_GOAL
    assert row["bytes"] < BYTES_GOAL
    assert row["modules"] == measure(4, fmt)["modules"]
