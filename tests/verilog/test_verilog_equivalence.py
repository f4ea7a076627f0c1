"""An emitted file is, register by register, the netlist that Amaranth made."""

import re
from dataclasses import replace

import pytest
from components import (
    Division,
    FallingEdge,
    KeywordPort,
    Memories,
    OneOfOne,
    Operators,
    Statements,
    Table,
    Transparent,
    Tree,
)
from openppu.config import load
from openppu.emission.rtlil import read
from openppu.tile.tile import Tile
from openppu.verilog import Emission
from yosys_check import emitted, unproven

SMALL = ["tile.rows=2", "tile.columns=3", "tile.accumulators=8", "tile.count_bits=4", "tile.address_bits=5"]
FORMAT_SETS = {
    "int8": ["tile.formats=int8", "tile.latency=1"],
    "bf16": ["tile.formats=bf16", "tile.latency=5"],
    "every format": [],
    "one row": ["tile.rows=1", "tile.formats=int8,bf16", "tile.latency=2"],
}


@pytest.mark.parametrize("component", [Operators, Statements, Memories, Table, OneOfOne, Tree])
def test_small_components_are_proved(component, tmp_path):
    result = unproven(component(), emitted(component()), tmp_path)
    assert not any(result.values()), result


@pytest.mark.parametrize("overrides", FORMAT_SETS.values(), ids=FORMAT_SETS.keys())
def test_every_module_of_a_tile_is_proved(overrides, tmp_path):
    config = load("tiny", [*SMALL, *overrides]).tile
    verilog = emitted(Tile(config), "tile")
    result = unproven(Tile(config), verilog, tmp_path)
    assert list(result) == list(verilog.modules)
    assert not any(result.values()), result


CHANGES = {
    "a value": (Statements, r"state <= 8'd90", "state <= 8'd91"),
    "an operator": (Operators, r"\} \+ \{", "} - {"),
    "a condition": (Statements, r"if \(i\[13:12\] == 2'd2\)", "if (i[13:12] == 2'd1)"),
    "an extension": (Operators, r"\{4\{b\[4\]\}\}", "4'd0"),
    "a memory's place": (Memories, r"address \^ 3'd1", "address ^ 3'd2"),
    "a connection": (Tree, r"\.i\(leaf_1_o\)", ".i(leaf_1_o ^ i)"),
}


@pytest.mark.parametrize(("component", "before", "after"), CHANGES.values(), ids=CHANGES.keys())
def test_a_wrong_file_is_not_proved(component, before, after, tmp_path):
    verilog = emitted(component())
    changed, count = re.subn(before, after, verilog.text, count=1)
    assert count == 1, verilog.text
    result = unproven(component(), replace(verilog, text=changed), tmp_path)
    assert any(result.values())


def test_an_instance_of_another_module_is_seen(tmp_path):
    verilog = emitted(Tree())
    changed = verilog.text.replace("part_leaf_2 leaf_1", "part_leaf leaf_1")
    with pytest.raises(AssertionError, match="other instances"):
        unproven(Tree(), replace(verilog, text=changed), tmp_path)


def test_what_has_no_verilog_is_refused():
    with pytest.raises(ValueError, match=r"port time of part: a word of Verilog; rename it in the component"):
        emitted(KeywordPort())
    with pytest.raises(ValueError, match=r"only the rising edge of a clock is known"):
        emitted(FallingEdge())
    with pytest.raises(ValueError, match=r"of part: no Verilog is known for \$divfloor"):
        emitted(Division())
    with pytest.raises(ValueError, match=r"of part: a transparent read port cannot be emitted"):
        emitted(Transparent())
    with pytest.raises(ValueError, match=r"module cell: a word of Verilog; choose another name"):
        Emission("cell")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wire width 1 \\a", r"RTLIL outside a module: wire width 1 \\a"),
        ("module \\m\n  sync always\nend", "RTLIL line of an unknown kind: sync always"),
        ("module \\m\n  wire width 1 \\a", r"RTLIL ends within module \\m"),
        ("module \\m\n  process $1\n    switch 1'1\n      case 1'1", "RTLIL ends within a process"),
    ],
)
def test_netlists_of_another_shape_are_refused(text, told):
    with pytest.raises(ValueError, match=told):
        read(text)
