"""Cycles of matrix products beside the bound and beside SCALE-Sim, on the RTL where that takes less than two minutes.

int8 runs on a tile of int8 alone (latency 1), bf16 on one of bf16 alone (latency 4). Larger tiles are predicted by the
model, which equals the RTL wherever both are run.

The bound is max(M', R) cycles for each block of weights. A product whose K is no multiple of the rows R can take less,
since its last blocks load fewer rows. `scalesim_ws` and `scalesim_os` are the compute cycles of SCALE-Sim 3.0.0 for
weight-stationary and output-stationary arrays; the peer is its share of the bound.
"""

from pathlib import Path
from typing import Any

import numpy as np
from openppu.config import ChipConfig, TileConfig
from openppu.formats.spec import FORMATS, Format

from openppu_sim.cycles.scalesim import Comparison, compare
from openppu_sim.errors import SimulationError
from openppu_sim.reference.formats import Bits, encode
from openppu_sim.simulator.tile import run_matmul

COLUMNS = ("source", "cycles", "bound_cycles", "scalesim_ws", "scalesim_os")
GOALS = {(1024, 1024, 1024): 99.5, (128, 768, 768): 97.0}
"""Least share of the bound, in percent, on 16 x 16."""
RTL_ROWS = 16
"""Largest tile whose products are run on the RTL; the longest takes about 40 seconds."""
SEED = 0


def run(build_root: Path) -> list[dict[str, Any]]:
    """Run or predict every product, and give a row for each.

    Raises
    ------
    SimulationError
        If a bit of an RTL run differs from the reference, or its cycles from the model.
    """
    return [_row(one, build_root) for one in compare()]


def _row(one: Comparison, build_root: Path) -> dict[str, Any]:
    size, shape = f"{one.config.rows}x{one.config.columns}", f"{one.m}x{one.k}x{one.n}"
    on_rtl = one.config.rows <= RTL_ROWS
    cycles = _measured(one, build_root) if on_rtl else one.cycles
    row: dict[str, Any] = {
        "name": f"{shape} {one.format} on {size}",
        "value": round(100 * one.bound_cycles / cycles, 3),
        "unit": "% of bound",
        "better": "higher",
        "peer": f"SCALE-Sim ws: {100 * one.bound_cycles / one.scalesim_ws:.1f}",
        "command": "openppu bench gemm",
        "source": "rtl" if on_rtl else "model",
        "cycles": cycles,
        "m": one.m,
        "k": one.k,
        "n": one.n,
        "format": one.format,
        "rows": one.config.rows,
        "columns": one.config.columns,
        "latency": one.config.latency,
        "bound_cycles": one.bound_cycles,
        "scalesim_ws": one.scalesim_ws,
        "scalesim_os": one.scalesim_os,
    }
    if on_rtl and (goal := GOALS.get((one.m, one.k, one.n))):
        row["goal"] = goal
    return row


def _measured(one: Comparison, build_root: Path) -> int:
    """Cycles on the RTL with random operands, once every bit and the prediction are known to be right."""
    rng = np.random.default_rng(SEED)
    a = random_operands((one.m, one.k), FORMATS[one.format], rng)
    b = random_operands((one.k, one.n), FORMATS[one.format], rng)
    name = f"{one.m}x{one.k}x{one.n} {one.format}"
    result = run_matmul(name, a, b, one.format, chip=chip_with(one.config), build_root=build_root)
    if result.failures():
        raise SimulationError(f"{'; '.join(result.failures())}; repeat with `openppu bench gemm` (seed {SEED})")
    return result.cycles


def chip_with(tile: TileConfig) -> ChipConfig:
    """A chip around a tile; cycles do not depend on its clock."""
    return ChipConfig(name="bench", compute_units=1, clock_mhz=1000.0, tile=tile)


def random_operands(shape: tuple[int, int], fmt: Format, rng: np.random.Generator) -> Bits:
    """Patterns of a format: any integers, or floats from a normal distribution."""
    values = rng.standard_normal(shape, np.float32) if fmt.is_float else rng.integers(-128, 128, shape, np.int8)
    return encode(values, fmt)
