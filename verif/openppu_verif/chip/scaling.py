"""Kernels on one, two and four compute units of a chip: how much sooner they end, and where cycles went."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from openppu.config import ChipConfig, load
from openppu.vector.operation import Operation
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.device.records import read_records, set_records
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, VectorJob, vector_programs
from openppu_sim.progress import step

CHANGES = (
    *("command.semaphores=32", "link.ports=0", "tile.formats=int8,bf16", "dma.outstanding=64", "noc.slots=16"),
    *("noc.writes=8", "hbm.ports=2", "hbm.tags=4", "hbm.reads=16", "hbm.writes=16", "hbm.slots=16"),
)
"""What the chips have else than preset ``tiny``: both pseudo-channels of its channel, more requests on their way."""

UNITS = (1, 2, 4)
FIRST, SECOND, RESULT, CODE = 0x10_0000, 0x20_0000, 0x30_0000, 0x1_0000
BEGUN, ENDED = 4, 5
"""Semaphores: all queues have their commands; all results are in memory."""

LIMIT = 10_000_000

CAUSES = {
    "load": ("move", "memory"),
    "matmul": ("compute", "weights", "activations"),
    "vector": ("compute", "input", "output"),
    "store": ("move", "memory"),
}
"""What is told of an engine's cycles: at work, and waiting for memory or for operands."""


def chip(units: int) -> ChipConfig:
    """A chip of so many units."""
    return load("tiny", [f"chip.compute_units={units}", *CHANGES])


@dataclass(frozen=True)
class Case:
    """A kernel.

    Parameters
    ----------
    job : MatmulJob or VectorJob
    operands : tuple of ndarray
        At `FIRST` and `SECOND`.
    size : int
        Bytes of the result.
    goals : tuple of float, optional
        Times as fast as one unit, with two and with four.
    """

    job: MatmulJob | VectorJob
    operands: tuple[np.ndarray, ...]
    size: int
    goals: tuple[float, ...] = ()


def product(m: int, k: int, n: int, *goals: float) -> Case:
    """Of int8, with sums of 32 bits."""
    rng = np.random.default_rng(m + k + n)
    places = (FIRST, k), (SECOND, n), (RESULT, 4 * n)
    a, b, d = (Operand(address=address, stride=stride) for address, stride in places)
    data = tuple(rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (k, n)))
    return Case(MatmulJob(m=m, n=n, k=k, format="int8", a=a, b=b, d=d), data, 4 * m * n, goals)


def softmax(rows: int, columns: int, *goals: float) -> Case:
    """Of binary32."""
    x, y = (Array(address=address, rows=rows, columns=columns) for address in (FIRST, RESULT))
    data = np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32)
    return Case(jobs.softmax(x, y), (data,), data.nbytes, goals)


def addition(rows: int, columns: int) -> Case:
    """Of binary32."""
    x, y, z = (Array(address=address, rows=rows, columns=columns) for address in (FIRST, SECOND, RESULT))
    rng = np.random.default_rng(rows)
    data = tuple(rng.normal(size=(rows, columns)).astype(np.float32) for _ in range(2))
    return Case(jobs.binary(Operation.ADD, x, y, z), data, data[0].nbytes)


CASES: dict[str, Callable[[], Case]] = {
    "128x128x128 int8": lambda: product(128, 128, 128, 1.9, 3.5),
    "softmax of 128x64": lambda: softmax(128, 64, 1.9, 3.5),
    "addition of 128x64": lambda: addition(128, 64),
}
"""The last one has three words of memory to move for each that its lanes compute."""


@dataclass(frozen=True)
class Ran:
    """Clocks from the first load to the signal that all is in memory; the result; the cycles of all units, by cause."""

    clocks: int
    result: np.ndarray
    causes: Mapping[str, Mapping[str, int]]


def run(device: Device, case: Case, units: int) -> Ran:
    """Run a kernel on the first units of a device."""
    more: dict[str, Any] = {"units": range(units), "wait": (BEGUN, 1), "signal": (ENDED, 1)}
    for address, data in zip((FIRST, SECOND), case.operands, strict=False):
        device.write(address, data)
    if isinstance(case.job, VectorJob):
        made = vector_programs(device.config, case.job, code_at=CODE, **more)
        device.write(CODE, made.code)
        queues = made.queues
    else:
        queues = matmul_programs(device.config, case.job, **more)
    timed = isinstance(device.backend, Driver)
    if timed:
        set_records(device)
    for queue, program in queues.items():
        # Records of the first loads and of the end: those of all commands would hold up memory.
        recorded = {next((number for number, each in enumerate(program) if each.name == "LOAD"), -1)}
        recorded |= {number for number, each in enumerate(program) if each.signal == (ENDED, 1)}
        device.submit(queue, [replace(each, record=number in recorded) for number, each in enumerate(program)])
    device.signal(BEGUN)
    device.wait(LIMIT)
    result = device.read(RESULT, case.size, np.uint8)
    if not timed:
        return Ran(0, result, {})
    records = read_records(device)
    clocks = max(each.ended for each in records) - min(each.begun for each in records)
    return Ran(clocks, result, _causes(device, units))


def _causes(device: Device, units: int) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {engine: dict.fromkeys(causes, 0) for engine, causes in CAUSES.items()}
    for unit in range(units):
        counters = device.counters(unit)
        for engine, causes in found.items():
            for cause in causes:
                causes[cause] += counters[engine][cause]
    return found


def told(ran: Ran, units: int) -> str:
    """What share of the clocks each cause has, on the average of all units."""
    shares = {
        engine: [f"{cause} {100 * count / ran.clocks / units:.0f} %" for cause, count in causes.items()]
        for engine, causes in ran.causes.items()
        if any(100 * count > ran.clocks * units for count in causes.values())
    }
    return "; ".join(f"{engine}: {', '.join(texts)}" for engine, texts in shares.items())


def rows(build_root: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Rows of the benchmark: clocks of one unit, and how many times as fast several are.

    Raises
    ------
    SimulationError
        If a result is not the reference backend's, on one unit.
    """
    config, found = chip(UNITS[-1]), []
    for name, make in CASES.items():
        names = {units: f"{name}, {units} of {UNITS[-1]} units" for units in UNITS}
        if not any(map(wanted, names.values())):
            continue
        case = make()
        with Device(config, "reference") as device:
            true = run(device, case, 1).result
        alone = 0
        for units, label in names.items():
            if units > 1 and not wanted(label):
                continue
            with step(f"running {label}"):
                with Device(config, "rtl", build_root=build_root) as device:
                    ran = run(device, case, units)
            if not (ran.result == true).all():
                raise SimulationError(f"{label}: {int((ran.result != true).sum())} wrong bytes")
            alone = alone or ran.clocks
            if wanted(label):
                found.append({"name": label, "cycles": ran.clocks, "causes": told(ran, units)})
                found[-1] |= _value(case, units, alone, ran.clocks)
    return found


def _value(case: Case, units: int, alone: int, clocks: int) -> dict[str, Any]:
    if units == 1:
        return {"value": clocks, "unit": "cycles"}
    found = {"value": round(alone / clocks, 2), "unit": "times one unit"}
    goals = dict(zip(UNITS[1:], case.goals, strict=False))
    return found | ({"goal": goals[units], "better": "higher"} if units in goals else {})
