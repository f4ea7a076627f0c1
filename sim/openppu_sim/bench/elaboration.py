"""Emission of tiles of 4 to 128 rows and columns: time, size of the file, distinct modules, and what is wired in it.

The time is the processor's, from the configuration to the text. It should grow no faster than the wiring that is
written: the bits at the ports of the module uses in the file, which is far less than the array's area.
"""

import time
from pathlib import Path
from typing import Any

from openppu.config import ChipConfig, TileConfig
from openppu.parts import emit_part

from openppu_sim.progress import step

COLUMNS = ("bytes", "modules", "instances", "wiring", "elements", "us_per_wire")
SIZES = (4, 8, 16, 32, 64, 128)
SECONDS_GOAL = 20
"""Most seconds for a tile of 128 x 128,"""
BYTES_GOAL = 3_000_000
"""and most bytes of its file."""


def run(build_root: Path) -> list[dict[str, Any]]:
    """Emit a tile of every size, with int8 and with bf16, and give a row for each."""
    measure(SIZES[0], "bf16")  # imports and caches
    rows = []
    for fmt in ("int8", "bf16"):
        for size in SIZES:
            with step(f"writing the Verilog of {size} x {size} {fmt}"):
                rows.append(measure(size, fmt))
    return rows


def tile_of(size: int, fmt: str) -> ChipConfig:
    """A chip with a tile of ``size`` x ``size`` and one format."""
    latency = 1 if fmt == "int8" else 4
    tile = TileConfig(rows=size, columns=size, formats=(fmt,), latency=latency, accumulators=512)
    return ChipConfig(name="bench", compute_units=1, clock_mhz=1000.0, tile=tile)


def measure(size: int, fmt: str) -> dict[str, Any]:
    """Emit one tile and return its row."""
    start = time.process_time()
    verilog = emit_part("tile", tile_of(size, fmt))
    seconds = time.process_time() - start
    row: dict[str, Any] = {
        "name": f"{size}x{size} {fmt}",
        "value": round(seconds, 3),
        "unit": "s",
        "command": "openppu bench elaboration",
        "bytes": len(verilog.text),
        "modules": len(verilog.modules),
        "instances": verilog.instances,
        "wiring": verilog.wiring,
        "elements": size * size,
        "us_per_wire": round(1e6 * seconds / verilog.wiring, 2),
    }
    if size == SIZES[-1]:
        row |= {"goal": SECONDS_GOAL, "better": "lower"}
    return row
