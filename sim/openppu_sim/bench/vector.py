"""Cycles of the vector unit on whole rows beside its lanes' bound, on the RTL of a unit of eight lanes.

bf16 in and out, all of it in the scratchpad. The bound is the operations that the algorithm does on each element, for
all elements, at one a lane a cycle: softmax 29 (greatest, difference, 25 of e^x, sum, product), RMSNorm 3, LayerNorm 6,
SwiGLU 65. What is done once for a row, and the beginning and end of the run, come on top. Every byte of the scratchpad
equals the reference, and the cycles are those that the model predicts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from openppu.command.error import Error
from openppu.config import load
from openppu.formats.spec import BF16

from openppu_sim.cycles.vector import VectorCycles
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector import elementwise, rowwise
from openppu_sim.kernels.vector.matrix import Layout, Matrix
from openppu_sim.kernels.vector.plan import Plan, Unit
from openppu_sim.progress import step
from openppu_sim.reference.formats import encode
from openppu_sim.reference.vector import VectorReference
from openppu_sim.simulator.vector import build_vector
from openppu_sim.simulator.vector import run as run_vector

COLUMNS = ("cycles", "bound_cycles")
CHIP = load("demo", ["scratchpad.banks=16", "scratchpad.bank_words=16384"])
"""Room for whole matrices; the unit is that of ``demo``."""

ROWS, COLUMNS_OF_X = 1024, 576
PROGRAM_BYTES = 16 * CHIP.vector.program_words
GOAL = 90.0
SEED = 0


def run(build_root: Path) -> list[dict[str, Any]]:
    """A row for each computation.

    Raises
    ------
    SimulationError
        If a byte of an RTL run differs from the reference, or its cycles from the model.
    """
    plans: dict[str, tuple[Callable[..., Plan], int]] = {
        "softmax": (_softmax, ROWS),
        "RMSNorm": (_rms_norm, ROWS),
        "LayerNorm": (_layer_norm, ROWS),
        "SwiGLU": (_swiglu, ROWS // 4),
    }
    return [_row(name, plan, rows, build_root) for name, (plan, rows) in plans.items()]


def _row(name: str, plan_of: Callable[..., Plan], rows: int, build_root: Path) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    layout = Layout(word_bytes=CHIP.scratchpad.word_bytes, start=PROGRAM_BYTES)
    given: list[tuple[Matrix, np.ndarray]] = []

    def place(count: int, columns: int, fmt: str = BF16.name, *, filled: bool = False) -> Matrix:
        matrix = layout.matrix(count, columns, fmt)
        if filled:
            values = rng.normal(size=(count, columns)).astype(np.float32)
            given.append((matrix, encode(values, BF16) if fmt == BF16.name else values.view(np.uint32)))
        return matrix

    plan = plan_of(Unit(chip=CHIP), place, rows)
    memory = np.zeros(layout.end, np.uint8)
    plan.load(memory)
    for matrix, bits in given:
        matrix.write(memory, bits)
    cycles = _measured(name, plan, memory, build_root)
    return {
        "name": f"{name} {rows}x{COLUMNS_OF_X}",
        "value": round(100 * plan.bound / cycles, 2),
        "unit": "% of bound",
        "better": "higher",
        "command": "openppu bench vector",
        "cycles": cycles,
        "bound_cycles": plan.bound,
        **({"goal": GOAL} if name in ("softmax", "RMSNorm") else {}),
    }


def _measured(name: str, plan: Plan, memory: np.ndarray, build_root: Path) -> int:
    """Cycles on the RTL, once all is known to be right: from the first command to the last one's end."""
    executable = build_vector(CHIP, build_root)
    predicted = VectorCycles(CHIP).predict(plan.commands, memory)
    with step(f"running {name} on the RTL, {predicted[-1][1] + 1:,} cycles"):
        outcome = run_vector(executable, CHIP, plan.commands, memory)
    unit = VectorReference(CHIP, memory.copy())
    with step(f"running {name} on the reference"):
        ends = unit.do_all(plan.commands)
    where = f"{name}; repeat with `openppu bench vector` (seed {SEED})"
    if [end.error for end in outcome.ends] != ends or set(ends) != {Error.OKAY}:
        raise SimulationError(f"a command did not end well: {where}")
    if (bad := np.flatnonzero(outcome.memory != unit.memory)).size:
        raise SimulationError(f"{bad.size} bytes differ from the reference: {where}")
    taken = [(end.taken, end.finished) for end in outcome.ends]
    if taken != predicted:
        raise SimulationError(f"{taken[-1][1] + 1} cycles, not {predicted[-1][1] + 1}: {where}")
    return taken[-1][1] + 1


def _softmax(unit: Unit, place: Callable[..., Matrix], rows: int) -> Plan:
    x = place(rows, COLUMNS_OF_X, filled=True)
    powers = place(unit.strip_rows, COLUMNS_OF_X, "binary32")
    return rowwise.softmax(unit, x, powers, place(rows, COLUMNS_OF_X))


def _rms_norm(unit: Unit, place: Callable[..., Matrix], rows: int) -> Plan:
    x = place(rows, COLUMNS_OF_X, filled=True)
    gain = place(1, COLUMNS_OF_X, "binary32", filled=True)
    return rowwise.rms_norm(unit, x, gain, place(rows, COLUMNS_OF_X))


def _layer_norm(unit: Unit, place: Callable[..., Matrix], rows: int) -> Plan:
    x = place(rows, COLUMNS_OF_X, filled=True)
    gain, bias = (place(1, COLUMNS_OF_X, "binary32", filled=True) for _ in range(2))
    return rowwise.layer_norm(unit, x, gain, bias, place(rows, COLUMNS_OF_X))


def _swiglu(unit: Unit, place: Callable[..., Matrix], rows: int) -> Plan:
    gate, x = place(rows, COLUMNS_OF_X, filled=True), place(rows, COLUMNS_OF_X, filled=True)
    return elementwise.swiglu(unit, gate, x, place(rows, COLUMNS_OF_X))
