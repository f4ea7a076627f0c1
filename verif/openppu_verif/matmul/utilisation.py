"""How near products out of the scratchpad come to the tile's bound: ``python -m openppu_verif.matmul.utilisation``.

Every product runs on the RTL; its bits are compared with the reference, its cycles with the cycle model.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openppu.config import ChipConfig, load
from openppu.formats.spec import FORMATS
from openppu_sim.cli import Parser
from openppu_sim.cycles.matmul_engine import predict
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.matmul import Result, product, row_stride
from openppu_sim.reference.matmul_engine import MatmulEngineReference

from openppu_verif.matmul.native import NativeEngine

SHAPES = {
    "bf16": [
        (8, 8, 8, 0, 0),
        (64, 64, 64, 0, 0),
        (64, 64, 64, 1, 0),
        (64, 64, 64, 0, 1),
        (64, 64, 64, 1, 1),
        (1, 96, 96, 0, 0),
        (1, 96, 96, 0, 1),
        (33, 70, 41, 0, 0),
        (33, 70, 41, 1, 0),
        (128, 128, 128, 0, 0),
        (128, 128, 128, 1, 1),
        (1, 256, 256, 0, 0),
        (128, 384, 128, 0, 0),
    ],
    "int8": [(64, 64, 64, 0, 0), (96, 96, 96, 0, 0), (256, 256, 256, 0, 0), (1, 384, 768, 0, 0)],
}
"""By format: m, k, n, and whether A and B are stored transposed. A chip runs those that its scratchpad holds."""


@dataclass(frozen=True)
class Measured:
    """A product: its shape, its commands, cycles on the RTL, and the tile's bound."""

    fmt: str
    shape: tuple[int, int, int, int, int]
    commands: int
    cycles: int
    bound: int

    @property
    def share(self) -> float:
        """Of the bound."""
        return self.bound / self.cycles


def measure(engine: NativeEngine, chip: ChipConfig, fmt: str, shape: tuple[int, int, int, int, int]) -> Measured | None:
    """Run a product; None if the scratchpad is too small for it.

    Raises
    ------
    SimulationError
        If a byte or a cycle differs from reference and cycle model.
    """
    m, k, n, a_turned, b_turned = shape
    element = FORMATS[fmt].bits // 8
    a_bytes = (k if a_turned else m) * row_stride(m if a_turned else k, element, chip)
    b_bytes = (n if b_turned else k) * row_stride(k if b_turned else n, element, chip)
    d_bytes = m * row_stride(n, element, chip)
    if a_bytes + b_bytes + d_bytes > chip.scratchpad.capacity:
        return None
    commands = product(
        m,
        k,
        n,
        fmt,
        chip,
        a_address=0,
        b_address=a_bytes,
        d_address=a_bytes + b_bytes,
        transpose_a=a_turned,
        transpose_b=b_turned,
        result=Result.CONVERTED,
        result_format=FORMATS[fmt].code,
        scale=int(np.float32(0.01).view(np.uint32)),
    )
    memory = np.random.default_rng(1).integers(0, 256, chip.scratchpad.capacity).astype(np.uint8)
    reference = MatmulEngineReference(chip, memory.copy())
    endings = [reference.run(command) for command in commands]
    run = engine.run(commands, memory)
    predicted = predict([(command, False) for command in commands], chip)
    if list(run.errors) != endings or any(endings) or (run.memory != reference.scratchpad).any():
        raise SimulationError(f"{fmt} {shape}: the results differ from the reference")
    if run.cycles != predicted.cycles:
        raise SimulationError(f"{fmt} {shape}: {run.cycles} cycles, {predicted.cycles} predicted")
    return Measured(fmt, shape, len(commands), run.cycles, predicted.bound)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--build-dir", type=Path, default=Path("build"))
    given = parser.parse_args()
    chip = load(given.config)
    engine = NativeEngine(chip, given.build_dir)
    print("| format | m x k x n | stored transposed | commands | cycles | tile's bound | share |")
    print("|---|---|---|---|---|---|---|")
    for fmt, shapes in SHAPES.items():
        for shape in shapes:
            found = measure(engine, chip, fmt, shape)
            if found is None:
                continue
            m, k, n, a, b = shape
            turned = " and ".join(name for name, is_turned in (("A", a), ("B", b)) if is_turned)
            size = f"{m} x {k} x {n}"
            figures = f"{found.commands} | {found.cycles:,} | {found.bound:,} | {found.share:.1%}"
            print(f"| {fmt} | {size} | {turned} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
