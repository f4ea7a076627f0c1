"""The parts of a chip that are emitted as a file each."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from openppu.config import ChipConfig
from openppu.tile.cell import Cell
from openppu.tile.tile import Tile
from openppu.verilog import Verilog, emit


@dataclass(frozen=True)
class Part:
    """A component that stands by itself: what it is, and how it is made for a chip."""

    description: str
    component: Callable[[ChipConfig], wiring.Component]


PARTS = {
    "tile": Part("the systolic matmul tile", lambda chip: Tile(chip.tile)),
    "pe": Part("one processing element of the tile's array", lambda chip: Cell(chip.tile)),
}


def emit_part(name: str, chip: ChipConfig) -> Verilog:
    """The Verilog of a part of ``PARTS``; its top module bears the part's name."""
    return emit(PARTS[name].component(chip), top=name, config=chip)
