"""Runs a matrix product on the emitted tile through the project's cocotb testbench, whose checkers watch every cycle.

``openppu_sim.simulator.tile`` does the same at the model's own speed, with a bench in C++.
"""

import tempfile
from dataclasses import asdict, astuple, fields
from pathlib import Path

import numpy as np
from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS

from openppu_sim.cycles.tile_fast import predict
from openppu_sim.errors import UserError
from openppu_sim.lowering.tile import Addend, TileCommand, plan
from openppu_sim.reference.matmul import matmul
from openppu_sim.report.run import TileRun
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_sim.simulator.tile import TOP, emit_tile, tile_run

TESTBENCH = "openppu_verif.tile.matmul"
"""By name, since nothing here may depend on the testbenches; they are there in every checkout."""
PATIENCE = 2
"""A run ends without a result after this many times the predicted cycles, and a thousand."""


def run_matmul(
    name: str,
    a_bits: np.ndarray,
    b_bits: np.ndarray,
    fmt_name: str,
    *,
    config: ChipConfig,
    waves: bool,
    folder: Path,
    c_bits: np.ndarray | None = None,
    sim: str = "verilator",
) -> TileRun:
    """D = A x B (+ C) on the tile's Verilog, compared with the reference and the cycle model.

    Parameters
    ----------
    name : str
        What the reports call it.
    a_bits, b_bits : ndarray of uint8 or uint16, shapes (m, k) and (k, n)
        Encoded operands.
    fmt_name : str
        Their format.
    config : ChipConfig
        The chip whose tile runs it.
    waves : bool
        Keep a wave file, and say where.
    folder : Path
        Folder for models and runs.
    c_bits : ndarray of uint32, shape (m, n), optional
        Accumulators to add to.
    sim : {"verilator", "icarus"}
        The simulator.

    Raises
    ------
    UserError
        If the product does not fit the tile's address or count widths, or a tool is missing.
    SimulationError
        If the tile does not finish, or breaks the rules of a stream.
    """
    (m, k), n = a_bits.shape, b_bits.shape[1]
    addend = Addend.ZERO if c_bits is None else Addend.STREAM
    product_plan = plan(m, k, n, fmt_name, config.tile, addend=addend)
    predicted = predict(product_plan.commands, config.tile).cycles
    no_addends = np.zeros((0, config.tile.columns), np.uint32)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"folder {folder}: cannot be made: {error.strerror}") from None
    with tempfile.TemporaryDirectory() as exchange:
        work, outcome = Path(exchange) / "work.npz", Path(exchange) / "outcome.npz"
        np.savez(
            work,
            fields=[field.name for field in fields(TileCommand)],
            commands=np.array([astuple(command) for command in product_plan.commands], np.int64),
            activations=product_plan.activation_image(a_bits),
            weights=product_plan.weight_image(b_bits),
            addends=no_addends if c_bits is None else product_plan.addend_rows(c_bits),
        )
        simulate(
            emit_tile(config, Path(exchange)),
            top=TOP,
            test_module=TESTBENCH,
            build_root=folder,
            sim=sim,
            waves=waves,
            parameters={
                "tile": asdict(config.tile),
                "work": str(work),
                "outcome": str(outcome),
                "most_cycles": PATIENCE * predicted + 1000,
            },
        )
        with np.load(outcome) as seen:
            result = product_plan.assemble(seen["results"])
            cycles = int(seen["cycles"])
            timeline = seen["timeline"][:cycles]
    return tile_run(
        name,
        product_plan,
        cycles=cycles,
        predicted=predicted,
        result=result,
        expected=matmul(a_bits, b_bits, c_bits, FORMATS[fmt_name]),
        timeline=timeline,
    )
