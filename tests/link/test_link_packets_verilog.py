"""The parts that handle packets are emitted as Verilog without warnings."""

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib import wiring
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.config import LinkConfig
from openppu.link.initiator import Initiator
from openppu.link.packer import Packer
from openppu.link.port import Port
from openppu.link.router import Router
from openppu.link.target import Target
from openppu.link.tunnel import Tunnel
from openppu.link.unit.link_unit import LinkUnit
from openppu.link.unpacker import Unpacker
from openppu.verilog import emit
from openppu_sim.simulator.lint import lint

PARTS: dict[str, Callable[[LinkConfig], wiring.Component]] = {
    "packer": Packer,
    "unpacker": Unpacker,
    "initiator": Initiator,
    "target": Target,
    "whole_port": Port,
    "router": Router,
    "tunnel": Tunnel,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("lanes", "lane_bits"), [(1, 16), pytest.param(8, 16, marks=pytest.mark.slow)])
def test_a_part_lints(part: str, lanes: int, lane_bits: int, tmp_path: Path) -> None:
    config = LinkConfig(ports=2, lanes=lanes, lane_bits=lane_bits)
    path = tmp_path / f"{part}.v"
    emit(PARTS[part](config), top=part, config=load("tiny")).write(path)
    assert lint(path, part) == []


@pytest.mark.slow
def test_all_that_a_chip_has_of_the_link_lints(tmp_path: Path) -> None:
    """Registers, commands, collective engine, bridges; a port with a recovered clock."""
    link = LinkConfig(ports=1, lanes=2, lane_bits=16, window=8, credits=2, recovered_clock=True)
    unit = LinkUnit(CollectiveConfig(link=link, window=16, packet=4, reads=8))
    path = tmp_path / "link_unit.v"
    emit(unit, top="link_unit", config=load("tiny")).write(path)
    assert lint(path, "link_unit") == []
