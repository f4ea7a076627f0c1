"""Two linked chips learn to read digits: ``python examples/train_digits.py`` (``--backend rtl``: on the hardware).

`openppu_sim.digits.chip_training` has the commands of a step; docs/kernels.md says what they are.
"""

import argparse
import sys
from pathlib import Path

from openppu.link.collective.wiring import pair
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Cluster
from openppu_sim.digits.chip_training import Schedule, Trainer
from openppu_sim.digits.network import load_digits


def main() -> int:
    """Train, and let the chips look at images that they have not seen."""
    parser = Parser(description=__doc__)
    parser.add_argument("--backend", default="reference", help="reference, model or rtl (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="17 are enough for 90 %% (default: %(default)s)")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < 1:
        parser.error(f"--steps {options.steps}: give at least 1")
    with Cluster("tiny", backend=options.backend, build_root=options.build_dir) as cluster:
        trainer = Trainer(cluster, load_digits(), Schedule(batch=32, rate=0.4, momentum=0.7), pair())
        losses = [trainer.step() for _ in range(options.steps)]
        for number, loss in enumerate(losses, start=1):
            print(f"step {number:2}: loss {loss:.4f}")
        print(f"The chips recognise {100 * trainer.accuracy():.1f} % of the test images.")
    return int(losses[-1] >= losses[0])


if __name__ == "__main__":
    sys.exit(guarded(main))
