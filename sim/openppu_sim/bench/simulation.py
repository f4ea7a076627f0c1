"""Speed of the simulated tile: cycles and multiply-accumulates a second, with random operands in every cycle; time to
build its model; memory.

The simulator has one thread. Its speed is taken from the processor time of the best of a few runs, so that what else
the machine does matters little. A build starts from nothing, with Verilator's own library to compile, too; it is timed
by the clock, which on a busy machine shows more than its processor time.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from openppu.config import TileConfig
from openppu.formats.spec import FORMATS

from openppu_sim.bench.gemm import chip_with, random_operands
from openppu_sim.errors import UserError
from openppu_sim.lowering.tile import plan
from openppu_sim.progress import step
from openppu_sim.simulator.tile import NativeRun, Workload, build_tile
from openppu_sim.simulator.tile import run as run_tile
from openppu_sim.simulator.toolchain import JOBS

CYCLES = {8: 400_000, 16: 200_000, 32: 50_000}
"""About how many cycles are simulated, by the tile's rows and columns."""
RUNS = 3
SEED = 0
SPEED_GOALS = {(16, "bf16"): 110_000, (32, "int8"): 150_000, (32, "bf16"): 25_000}
BUILD_GOALS = {(16, "bf16"): 30, (32, "bf16"): 60}


def run(build_root: Path) -> list[dict[str, Any]]:
    """Build and run six tiles, and give five rows for each."""
    rows = []
    for size, cycles in CYCLES.items():
        for fmt in ("int8", "bf16"):
            rows += measure(busy_tile(size, fmt), cycles, build_root)
    return rows


def busy_tile(size: int, fmt: str) -> TileConfig:
    """A tile that is measured: size x size, one format, int8 with latency 1 and bf16 with latency 4."""
    latency = 1 if fmt == "int8" else 4
    return TileConfig(rows=size, columns=size, formats=(fmt,), latency=latency, accumulators=256, address_bits=24)


def measure(tile: TileConfig, cycles: int, build_root: Path) -> list[dict[str, Any]]:
    """Build a model afresh, run it for about so many cycles, and give its rows."""
    fmt = tile.formats[0]
    workload = busy_workload(tile, cycles)
    with fresh_folder(build_root) as folder, without_compiler_cache():
        began, processor_began = time.monotonic(), processor_seconds()
        executable = build_tile(chip_with(tile), folder)
        build_seconds, work_seconds = time.monotonic() - began, processor_seconds() - processor_began
        with step(f"running {tile.rows} x {tile.columns} {fmt}"):
            runs = [run_tile(executable, tile, workload) for _ in range(RUNS)]
    best = min(runs, key=lambda one: one.seconds)
    speed = best.simulated / best.seconds
    figures: list[tuple[str, float, str, dict[str, Any]]] = [
        ("speed", round(speed), "cycles/s", _goal(SPEED_GOALS.get((tile.rows, fmt)), "higher")),
        ("work", round(speed * _macs_per_cycle(best, tile)), "multiply-accumulates/s", {"better": "higher"}),
        (f"build, {JOBS} jobs", round(build_seconds, 1), "s", _goal(BUILD_GOALS.get((tile.rows, fmt)), "lower")),
        ("build, processor time", round(work_seconds, 1), "s", {"better": "lower"}),
        ("memory", round(best.memory / 2**20, 1), "MiB", {"better": "lower"}),
    ]
    same = {"command": "openppu bench simulation", "rows": tile.rows, "columns": tile.columns, "format": fmt}
    return [
        {"name": f"{tile.rows}x{tile.columns} {fmt} {name}", "value": value, "unit": unit} | more | same
        for name, value, unit, more in figures
    ]


def busy_workload(tile: TileConfig, cycles: int) -> Workload:
    """A product that issues a row in all of about so many cycles but the first and last few."""
    fmt = tile.formats[0]
    n_blocks = 4
    m = tile.accumulators // n_blocks
    k = tile.rows * max(1, cycles // (m * n_blocks))
    rng = np.random.default_rng(SEED)
    a = random_operands((m, k), FORMATS[fmt], rng)
    b = random_operands((k, n_blocks * tile.columns), FORMATS[fmt], rng)
    planned = plan(m, k, n_blocks * tile.columns, fmt, tile)
    return Workload(commands=planned.commands, activations=planned.activation_image(a), weights=planned.weight_image(b))


@contextmanager
def fresh_folder(build_root: Path) -> Iterator[Path]:
    """A folder below ``build_root`` that holds no earlier build, and is deleted afterwards."""
    try:
        build_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=build_root) as folder:
            yield Path(folder)
    except OSError as error:
        raise UserError(f"build folder {build_root}: cannot be written: {error.strerror}; choose another") from None


@contextmanager
def without_compiler_cache() -> Iterator[None]:
    """Let ccache, where there is one, compile everything."""
    before = os.environ.get("CCACHE_DISABLE")
    os.environ["CCACHE_DISABLE"] = "1"
    try:
        yield
    finally:
        del os.environ["CCACHE_DISABLE"]
        if before is not None:
            os.environ["CCACHE_DISABLE"] = before


def processor_seconds() -> float:
    """Processor time of this process and of all that it has started and waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _macs_per_cycle(one: NativeRun, tile: TileConfig) -> float:
    return one.counters["compute"] * tile.rows * tile.columns / one.simulated


def _goal(goal: float | None, better: str) -> dict[str, Any]:
    return {"better": better} | ({} if goal is None else {"goal": goal})
