"""A chip of many units and channels: its Verilog has each kind of part once, and is clean."""

import re
from collections import Counter

import pytest
from openppu.chip.chip import queues_of
from openppu.config import ConfigError, load
from openppu.parts import emit_part, parts_of
from openppu_sim.simulator.lint import lint_apart

LARGE = load(
    "tiny",
    [
        *("chip.compute_units=20", "hbm.stacks=3", "hbm.channels=2", "clocks.domains=separate"),
        *("noc.columns=4", "noc.rows=2", "noc.planes=2"),
    ],
)

REPEATED = ("chip_compute_unit", "chip_controller")


def test_every_preset_is_a_chip_that_can_be_written():
    for name in ("tiny", "demo", "ecp5", "ppu810e"):
        assert {"chip", "command_processor"} <= set(parts_of(load(name)))
    assert len(queues_of(load("ppu810e"))) == 257


def test_more_queues_than_registers_have_room_for_are_refused():
    chip = load("tiny", ["chip.compute_units=127"])
    assert "chip" not in parts_of(chip)
    with pytest.raises(ConfigError, match=r"compute_units = 127: 509 queues; the command processor has 508 at most"):
        emit_part("chip", chip)


@pytest.mark.slow
def test_a_chip_of_twenty_units_and_six_channels_has_each_part_once(tmp_path):
    verilog = emit_part("chip", LARGE)
    verilog.write(tmp_path / "chip.v")
    assert lint_apart(tmp_path / "chip.v", "chip", REPEATED) == []
    modules = Counter(re.findall(r"^module (\w+) ", verilog.text, re.MULTILINE))
    assert max(modules.values()) == 1
    uses = Counter(re.findall(r"^  (\w+) \w+ \($", verilog.text, re.MULTILINE))
    assert uses["chip_compute_unit"] == 20
    assert uses["chip_controller"] == 6
    crossings = sum(count for name, count in uses.items() if name.startswith("chip_memory_crossing"))
    assert crossings == 6 + 3, "of each channel, and of the link"
    assert {"hbm_clk", "hbm_rst", "link_clk", "link_rst"} <= set(
        re.findall(r"^  input +wire +(\w+),$", verilog.text.partition(");")[0], re.MULTILINE)
    )


@pytest.mark.slow
def test_the_largest_preset_is_written_and_clean(tmp_path):
    """Takes a quarter of an hour, and 13 GB."""
    verilog = emit_part("chip", load("ppu810e"))
    verilog.write(tmp_path / "chip.v")
    assert lint_apart(tmp_path / "chip.v", "chip", REPEATED) == []
    uses = Counter(re.findall(r"^  (\w+) \w+ \($", verilog.text, re.MULTILINE))
    assert uses["chip_compute_unit"] == 64
    assert uses["chip_controller"] == 48
