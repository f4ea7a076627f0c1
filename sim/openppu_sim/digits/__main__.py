"""``python -m openppu_sim.digits``: what ``make sim`` runs."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from openppu.config import ChipConfig, load

from openppu_sim.cli import Parser, chip_options, guarded
from openppu_sim.digits import job
from openppu_sim.report.json_report import make_folder
from openppu_sim.report.run import MatmulRunner

Connect = Callable[[ChipConfig, bool, Path], MatmulRunner]
"""From the chip, whether to write waves, and the output folder: what runs a product on that chip."""


def connect_rtl(config: ChipConfig, waves: bool, folder: Path) -> MatmulRunner:
    """The chip's Verilog in a simulator."""
    # Imported here: it needs the simulator's tools, which a mistake in the arguments should not wait for.
    from openppu_sim.simulator.tile_cocotb import run_matmul

    return partial(run_matmul, config=config, waves=waves, folder=folder)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        prog="python -m openppu_sim.digits",
        description="Classify 360 handwritten digits with every matrix product on the simulated tile, in int8 and in "
        "bf16. Each result is compared with the numpy reference and each cycle count with the cycle model; exit code "
        "1 if any differs.",
    )
    chip_options(parser)
    parser.add_argument("--waves", action="store_true", help="write a wave file of each product, too")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("build/sim"),
        metavar="FOLDER",
        help="where report.json and utilisation.png go (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, *, connect: Connect = connect_rtl) -> int:
    """Run the job and return the exit code: 0, 1 if a bit or a cycle is wrong, 2 for a mistake in the arguments."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return guarded(lambda: _run(arguments, connect))


def _run(arguments: Sequence[str], connect: Connect) -> int:
    options = parse(arguments)
    config = load(options.config, options.overrides)
    make_folder(options.output)
    outcome = job.run(connect(config, options.waves, options.output), config)
    job.print_outcome(outcome, config)
    report, picture = job.write_outcome(outcome, config, options.output)
    print(f"\nWrote {report} and {picture}")
    failures = outcome.failures()
    for line in failures:
        print(f"FAILED: {line}", file=sys.stderr)
    if failures:
        command = shlex.join(["python", "-m", "openppu_sim.digits", *arguments])
        print(f"Repeat with: {command} (seed {outcome.seed})", file=sys.stderr)
        return 1
    print("Every bit equals the numpy reference, and every cycle count equals the cycle model.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
