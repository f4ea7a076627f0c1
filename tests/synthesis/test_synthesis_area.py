"""Counting cells: what Yosys writes is read right, and nothing but whole and known results is."""

import json
from pathlib import Path

import pytest
from openppu.config import load
from openppu.tile.cell import Cell
from openppu_sim.errors import SimulationError
from openppu_sim.synthesis import synth
from openppu_sim.synthesis.area import Ecp5Area, GateArea, cells_by_type, ecp5_area, gate_area, map_ecp5

STAT = {"modules": {"\\top": {}}, "design": {"num_cells_by_type": {"LUT4": 3, "TRELLIS_FF": 2}}}


def test_ecp5_cells_are_sorted_by_kind() -> None:
    counts = {"LUT4": 5, "CCU2C": 4, "MULT18X18D": 3, "TRELLIS_FF": 2, "TRELLIS_DPR16X4": 7, "DP16KD": 1, "PFUMX": 9}
    assert ecp5_area(counts) == Ecp5Area(cells=31, lut4=5, ccu2c=4, dsp=3, ff=2, dpr16x4=7, ebr=1)


def test_gates_are_told_from_flip_flops() -> None:
    assert gate_area({"$_AND_": 5, "$_MUX_": 2, "$_SDFFE_PP0P_": 3, "$_DFF_P_": 4}) == GateArea(gates=7, ff=7)


@pytest.mark.parametrize("name", ["$mul", "tile_cell", "$_DLATCH_P_"])
def test_unknown_cells_are_refused(name: str) -> None:
    with pytest.raises(SimulationError, match="unexpected type"):
        gate_area({name: 1})
    with pytest.raises(SimulationError, match="unexpected type"):
        ecp5_area({name: 1})


def test_statistics_are_read() -> None:
    assert cells_by_type(STAT, source=Path("stat.json")) == {"LUT4": 3, "TRELLIS_FF": 2}


@pytest.mark.parametrize(
    "stat",
    [
        {},
        [],
        None,
        {"modules": {}, "design": {}},
        {"modules": {"\\top": {}}, "design": {"num_cells_by_type": {}}},
        {"modules": {"\\top": {}}, "design": {"num_cells_by_type": {"LUT4": "many"}}},
        {"modules": {"\\top": {}, "\\cell": {}}, "design": {"num_cells_by_type": {"LUT4": 1}}},
    ],
)
def test_other_statistics_are_refused(stat: object) -> None:
    with pytest.raises(SimulationError, match=r"stat\.json"):
        cells_by_type(stat, source=Path("stat.json"))


def test_int8_cell_is_one_multiplier_one_adder_and_its_registers(tmp_path: Path) -> None:
    chip = synth.with_formats(("int8",))
    area = map_ecp5(Cell(chip.tile), top="tile_cell", config=chip, folder=tmp_path)
    # A 32-bit adder is 16 carry cells; registers: two weights, a shifted weight, an activation, the sum, swap, load.
    assert (area.dsp, area.ccu2c, area.lut4, area.ff) == (1, 16, 0, 4 * 8 + 16 + 32 + 2), area
    netlist = json.loads((tmp_path / "tile_cell.netlist.json").read_text(encoding="utf-8"))
    assert "tile_cell" in netlist["modules"]


def test_every_row_of_the_report_stands_in_the_table() -> None:
    row = {"name": "cell int8", "latency": 1, **dict.fromkeys(synth.AREA_KEYS, 7)}
    headers, lines = synth.table([row])
    assert lines == [["cell int8", 1, *[7] * len(synth.AREA_KEYS)]]
    assert len(headers) == len(lines[0])


@pytest.mark.parametrize("formats", synth.FORMAT_SETS)
def test_every_format_set_is_a_legal_tile(formats: tuple[str, ...]) -> None:
    tile = synth.with_formats(formats).tile
    assert tile.formats == formats
    assert tile.latency == (1 if formats == ("int8",) else synth.FLOAT_LATENCY)
    assert tile.rows == load("ecp5").tile.rows
