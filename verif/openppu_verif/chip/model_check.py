"""The cycle model of a chip beside the RTL: whole programs, from memory to memory, on a chip or on two that are linked.

Each begins at the reset, so that refreshes of memory come at the same times. Results are compared with what they should
be; clocks are those from the first command's beginning to the last one's end.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from openppu.config import ChipConfig, load
from openppu.formats.spec import FORMATS
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.records import read_records, set_records
from openppu_sim.digits.deploy import Deployment, deploy_bf16, deploy_int8
from openppu_sim.digits.network import load_digits, train
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.kernels.vector.memory import vector_programs
from openppu_sim.program.command import Command
from openppu_sim.reference.formats import encode
from openppu_sim.reference.matmul import matmul as exact

from openppu_verif.chip.demo import run
from openppu_verif.chip.scaling import CHANGES
from openppu_verif.vector.job_cases import CODE, SMALL, Memory

COMMAND = "python -m openppu_verif.chip.model_check"
WITHIN = 0.03
"""Of the RTL's clocks."""

LIMIT = 1_000_000
A, B, D = 0x20_0000, 0x30_0000, 0x40_0000
EPOCHS = 3
"""Of the network that reads digits."""

MESH = "noc.columns=2", "noc.writes=8", "noc.slots=16", "hbm.ports=2"
"""What makes a mesh of two routers of `tiny`."""


@dataclass(frozen=True)
class Program:
    """What is run on a chip, or on two, and its clocks.

    Parameters
    ----------
    name : str
    preset : str
    changes : tuple of str
        To the preset.
    runs : function of a Device, or of a Cluster if ``linked``
    linked : bool
    """

    name: str
    preset: str
    changes: tuple[str, ...]
    runs: Callable[[Any], int]
    linked: bool = False

    @property
    def config(self) -> ChipConfig:
        """Of each chip."""
        return load(self.preset, self.changes)

    def clocks(self, backend: str, build_root: Path) -> int:
        """Run it.

        Raises
        ------
        SimulationError
            If a result is wrong.
        """
        if self.linked:
            with Cluster(self.config, backend=backend, build_root=build_root) as cluster:
                return self.runs(cluster)
        with Device(self.config, backend, build_root=build_root) as device:
            return self.runs(device)


def _clocks(device: Device) -> int:
    """From the first beginning to the last end."""
    records = read_records(device)
    return max(record.ended for record in records) - min(record.begun for record in records)


def product(device: Device, m: int, k: int, n: int, fmt: str = "int8") -> int:
    """A product of matrices in memory."""
    rng = np.random.default_rng(m + k + n)
    a, b = (_numbers(rng, shape, fmt) for shape in ((m, k), (k, n)))
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format=fmt,
        a=Operand(address=A, stride=k * a.itemsize),
        b=Operand(address=B, stride=n * b.itemsize),
        d=Operand(address=D, stride=4 * n),
    )
    device.write(A, a)
    device.write(B, b)
    set_records(device)
    for queue, program in matmul_programs(device.config, job, record=True).items():
        device.submit(queue, program)
    device.wait(LIMIT)
    clocks = _clocks(device)
    true = exact(a, b, np.zeros((m, n), np.uint32), FORMATS[fmt])
    _hold(bool((device.read(D, (m, n), np.uint32) == true).all()), f"{m} x {k} x {n} {fmt}")
    return clocks


def _numbers(rng: np.random.Generator, shape: tuple[int, int], fmt: str) -> np.ndarray:
    if fmt == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8).view(np.uint8)
    return encode(rng.normal(size=shape).astype(np.float32), FORMATS[fmt])


def _hold(is_right: bool, what: str) -> None:
    if not is_right:
        raise SimulationError(f"{what}: the result is wrong")


def vector(device: Device, name: str) -> int:
    """A job of the vector unit, of `openppu_verif.vector.job_cases.SMALL`."""
    case = SMALL[name](Memory(device))
    programs = vector_programs(device.config, case.job, code_at=CODE, record=True)
    device.write(CODE, programs.code)
    set_records(device)
    for queue, program in programs.items():
        device.submit(queue, program)
    device.wait(LIMIT)
    clocks = _clocks(device)
    case.check()
    return clocks


def copy(device: Device, name: str, row: int, rows: int, pitch: int = 0) -> int:
    """A load or a store of rows that lie behind each other, or ``pitch`` bytes apart in memory."""
    fields = {"memory": 0x10_0000, "row": row, "memory_stride_0": pitch or row, "scratchpad_stride_0": row}
    counts = {"count_0": rows, "count_1": 1, "count_2": 1, "count_3": 1}
    set_records(device)
    device.submit(name.lower(), [Command(name=name, fields=fields | counts, record=True)])
    device.wait(LIMIT)
    return _clocks(device)


@cache
def _deployment(fmt: str, images: int) -> tuple[Deployment, np.ndarray]:
    digits = load_digits()
    network = train(digits, epochs=EPOCHS)
    pixels = digits.test_pixels[:images]
    found = deploy_int8(network, digits.train_pixels, pixels) if fmt == "int8" else deploy_bf16(network, pixels)
    return found, digits.test_labels[:images]


def classify(cluster: Cluster, fmt: str, images: int) -> int:
    """Two chips classify digits: half of the hidden layer each, and an all-reduce of the scores over the link."""
    outcome = run(cluster, *_deployment(fmt, images))
    _hold(outcome.equal, f"{images} digits")
    return outcome.cycles


PRODUCTS = (
    *((m, k, n, "int8") for m, k, n in ((16, 16, 16), (21, 37, 11), (1, 96, 96), (200, 16, 10), (90, 64, 32))),
    *((m, k, n, "bf16") for m, k, n in ((18, 40, 13), (128, 32, 48))),
    *((64, 64, 64, fmt) for fmt in ("int8", "bf16")),
)
SEVERAL = (2, (64, 64, 64)), (2, (21, 37, 11)), (4, (64, 64, 64)), (4, (21, 37, 11))
MESH_PRODUCTS = (21, 37, 11), (1, 96, 96), (64, 64, 64)
COPIES = (
    *(("tiny", (), *each) for each in (("STORE", 16, 24), ("STORE", 16, 120), ("LOAD", 16, 120))),
    *(("tiny", (), *each) for each in (("STORE", 40, 48), ("LOAD", 40, 48), ("STORE", 16, 120, 48))),
    *(("tiny", MESH, name, row, 120) for name in ("STORE", "LOAD") for row in (16, 40)),
    ("tiny", MESH, "STORE", 16, 120, 48),
    *(("demo", (), *each) for each in (("STORE", 16, 120), ("STORE", 16, 360, 48), ("STORE", 40, 360))),
    *(("demo", (), "LOAD", row, 360) for row in (32, 40)),
)
DIGITS = (
    *(("tiny", "int8", images) for images in (12, 24)),
    *(("demo", fmt, images) for images in (120, 360) for fmt in ("int8", "bf16")),
)


def programs() -> list[Program]:
    """All."""
    found = [
        Program(f"{m} x {k} x {n} {fmt}", "tiny", (), partial(product, m=m, k=k, n=n, fmt=fmt))
        for m, k, n, fmt in PRODUCTS
    ]
    found += [Program(name, "tiny", (), partial(vector, name=name)) for name in SMALL]
    found += [
        Program(f"a mesh: {m} x {k} x {n} int8", "tiny", MESH, partial(product, m=m, k=k, n=n))
        for m, k, n in MESH_PRODUCTS
    ]
    found += [
        Program(f"{count} units: {m} x {k} x {n} int8", "tiny", _several(count), partial(product, m=m, k=k, n=n))
        for count, (m, k, n) in SEVERAL
    ]
    found += [
        Program(f"{count} units: softmax", "tiny", _several(count), partial(vector, name="softmax")) for count in (2, 4)
    ]
    found += [_copy(*each) for each in COPIES]
    for preset, fmt, images in DIGITS:
        name = f"two chips classify {images} digits, {fmt}"
        found.append(Program(name, preset, (), partial(classify, fmt=fmt, images=images), linked=True))
    return found


def _several(units: int) -> tuple[str, ...]:
    return (f"chip.compute_units={units}", *CHANGES)


def _copy(preset: str, changes: tuple[str, ...], name: str, row: int, rows: int, pitch: int = 0) -> Program:
    where, apart = "a mesh: " if changes else "", f", {pitch} apart" if pitch else ""
    label = f"{where}{name.lower()} of {rows} rows of {row} bytes{apart}"
    return Program(label, preset, changes, partial(copy, name=name, row=row, rows=rows, pitch=pitch))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all programs on both, and print how far off the model is, as a table; 0, 1 if a program is too far off."""
    return guarded(lambda: _run(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> Any:
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="programs whose preset and name have this in them")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: %(default)s")
    return parser.parse_args(arguments)


def _run(options: Any) -> int:
    chosen = [each for each in programs() if options.only in f"{each.preset} {each.name}"]
    if not chosen:
        raise UserError(f"--only {options.only}: no preset and name of a program have this in them")
    off = []
    print("| preset | program | RTL | model | difference |\n|---|---|---|---|---|")
    for each in chosen:
        rtl, model = (each.clocks(backend, options.build_dir) for backend in ("rtl", "model"))
        print(f"| {each.preset} | {each.name} | {rtl:,} | {model:,} | {100 * (model / rtl - 1):+.2f} % |", flush=True)
        off += [each.name] * (abs(model / rtl - 1) > WITHIN)
    if off:
        print(f"FAILED: more than {100 * WITHIN:.0f} % off: {'; '.join(off)}", file=sys.stderr)
    return int(bool(off))


if __name__ == "__main__":
    sys.exit(main())
