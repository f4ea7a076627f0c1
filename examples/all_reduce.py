"""Adds up the arrays of two linked chips: ``python examples/all_reduce.py`` (``--backend rtl``: on the hardware)."""

import argparse
import sys
from pathlib import Path

import numpy as np
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Cluster
from openppu_sim.kernels.collective import collective_programs

OWN, SUM, SCRATCH = 0x00_0000, 0x10_0000, 0x20_0000
"""Addresses in each chip's memory."""


def all_reduce(arrays: list[np.ndarray], backend: str, build_root: Path) -> list[np.ndarray]:
    """What each chip has in the end: the sum of all arrays (float32)."""
    with Cluster("tiny", backend=backend, build_root=build_root) as cluster:
        link = CollectiveConfig(link=cluster[0].config.link)
        job = Job(
            operation="all_reduce",
            format="binary32",
            elements=arrays[0].size,
            source=OWN,
            target=SUM,
            scratch=SCRATCH,
        )
        programs = collective_programs(job, pair(), link)
        for device, array, program in zip(cluster.devices, arrays, programs, strict=True):
            device.write(OWN, array)
            device.submit("link", program)
        cluster.wait()
        return [device.read(SUM, arrays[0].shape, np.float32) for device in cluster.devices]


def main() -> int:
    """Add up, and compare with numpy."""
    parser = Parser(description=__doc__)
    parser.add_argument("--backend", default="reference", help="reference, model or rtl (default: %(default)s)")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(1000).astype(np.float32) for _ in range(2)]
    sums = all_reduce(arrays, options.backend, options.build_dir)
    right = all(np.array_equal(each, arrays[0] + arrays[1]) for each in sums)
    print(f"two chips, {arrays[0].size} numbers each: {'both have the sum' if right else 'WRONG'}")
    return int(not right)


if __name__ == "__main__":
    sys.exit(guarded(main))
