"""Multiplies two numpy arrays on a chip: ``python examples/multiply.py`` (``--backend rtl``: on the hardware)."""

import argparse
import sys
from pathlib import Path

import numpy as np
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Device
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs, plan_matmul

A, B, PRODUCT = 0x00_0000, 0x10_0000, 0x20_0000
"""Addresses in the chip's memory."""


def multiply(a: np.ndarray, b: np.ndarray, backend: str, build_root: Path) -> np.ndarray:
    """The product of two arrays of int8, as int32."""
    (m, k), n = a.shape, b.shape[1]
    job = MatmulJob(
        m=m,
        n=n,
        k=k,
        format="int8",
        a=Operand(address=A, stride=k),  # bytes from one row to the next
        b=Operand(address=B, stride=n),
        d=Operand(address=PRODUCT, stride=4 * n),
    )
    with Device("tiny", backend, build_root=build_root) as device:
        print(plan_matmul(device.config, job))
        device.write(A, a)
        device.write(B, b)
        for queue, program in matmul_programs(device.config, job).items():
            device.submit(queue, program)
        device.wait()
        if device.cycles:
            print(f"{device.cycles} cycles since the reset")
        return device.read(PRODUCT, (m, n), np.int32)


def main() -> int:
    """Multiply, and compare with numpy."""
    parser = Parser(description=__doc__)
    parser.add_argument("--backend", default="reference", help="reference, model or rtl (default: %(default)s)")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((40, 64), (64, 24)))
    product = multiply(a, b, options.backend, options.build_dir)
    right = np.array_equal(product, a.astype(np.int32) @ b.astype(np.int32))
    print(f"a {a.shape} times b {b.shape}: {'as numpy says' if right else 'WRONG'}")
    return int(not right)


if __name__ == "__main__":
    sys.exit(guarded(main))
