"""``python -m openppu_verif.chip.training``: two linked chips learn to read digits, on the RTL.

Data-parallel in bf16: each chip takes its half of a batch through the network and back, the gradients are added up over
the link, and each chip moves the weights. All of it are commands of the chips' queues. After each step both chips'
weights, gradients and loss must have the bits that the reference backend has.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from openppu.chip.chip import queues_of
from openppu.config import ChipConfig, load
from openppu.link.collective.wiring import pair
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Cluster
from openppu_sim.device.records import Record, read_records, set_records
from openppu_sim.device.watched import Cycles, cycles_of
from openppu_sim.digits.chip_training import Schedule, Trainer
from openppu_sim.digits.network import Digits, load_digits
from openppu_sim.errors import UserError
from openppu_sim.progress import step as told
from openppu_sim.report.cycles import print_cycles
from openppu_sim.report.json_report import add_section, make_folder
from openppu_sim.report.queue_timeline import draw_training
from openppu_sim.report.table import print_table

GOAL = 0.9
"""Share of the test images, which is passed."""

MOST_STEPS = 200
LINES = 12
"""Of a printed curve, about."""

LIMIT = 400_000
"""Clocks that a step takes at most."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of it: the loss of each step, clocks, test accuracy, whether all bits are equal, what ran when.

    ``records`` are those of the first step; ``engines`` says what the cycles of the first chip's engines went to
    since the reset, ``elapsed`` how many that are; ``predicted`` is what the cycle model says that the first step
    takes, if it can.
    """

    schedule: Schedule
    losses: tuple[float, ...]
    cycles: int
    accuracy: float
    differences: tuple[str, ...]
    records: tuple[list[Record], ...]
    elapsed: int
    engines: Cycles
    predicted: int | None

    @property
    def first_cycles(self) -> int:
        """Clocks of the first step, from its first command's beginning to its last one's end."""
        return _clocks(self.records)

    @property
    def step_cycles(self) -> float:
        """Clocks of a step."""
        return self.cycles / len(self.losses)


def steps_needed(config: ChipConfig, digits: Digits, schedule: Schedule) -> int:
    """Steps on the reference backend until more than `GOAL` of the test images are recognised.

    Raises
    ------
    UserError
        If that does not happen.
    """
    with Cluster(config, backend="reference") as cluster:
        trainer = Trainer(cluster, digits, schedule, pair())
        for count in range(1, MOST_STEPS + 1):
            trainer.step()
            if trainer.accuracy() > GOAL:
                return count
    raise UserError(f"after {MOST_STEPS} steps less than {GOAL:.0%} of the test images are recognised")


def run(cluster: Cluster, digits: Digits, schedule: Schedule, steps: int) -> Trained:
    """Train on a cluster, and beside it on the reference backend; then let the chips look at the test images."""
    config = cluster[0].config
    trainer = Trainer(cluster, digits, schedule, pair())
    with Cluster(config, backend="reference") as other, ThreadPoolExecutor(1) as pool:
        expected = Trainer(other, digits, schedule, pair())
        answers = pool.submit(_finish, expected, steps)
        prediction = pool.submit(_predict, config, digits, schedule)
        for device in cluster.devices:
            set_records(device)
        start = cluster[0].cycles
        trainer.submit(steps, record=True)
        cluster.wait(LIMIT * steps)
        cycles = cluster[0].cycles - start
        elapsed, engines = cluster[0].cycles, cycles_of(cluster[0])
        records = tuple(read_records(device) for device in cluster.devices)
        found = trainer.answers()
        differences = [] if (found == answers.result()).all() else ["answers to test images"]
        for step in range(steps):
            for chip in range(len(cluster)):
                if (trainer.weights(step + 1, chip) != expected.weights(step + 1, chip)).any():
                    differences.append(f"weights after step {step + 1} of chip {chip}")
                if (trainer.sums(step, chip) != expected.sums(step, chip)).any():
                    differences.append(f"gradients or loss of step {step + 1} of chip {chip}")
        predicted = prediction.result()
    return Trained(
        schedule=schedule,
        losses=tuple(trainer.loss(step) for step in range(steps)),
        cycles=cycles,
        accuracy=float((found == digits.test_labels).mean()),
        differences=tuple(differences),
        records=records,
        elapsed=elapsed,
        engines=engines,
        predicted=predicted,
    )


def _finish(trainer: Trainer, steps: int) -> np.ndarray:
    """Do all steps, and answer."""
    trainer.submit(steps)
    trainer.cluster.wait()
    return trainer.answers()


def _predict(config: ChipConfig, digits: Digits, schedule: Schedule) -> int | None:
    """Clocks of the first step, by the cycle model, which has one clock alone."""
    if config.clocks.separate:
        return None
    with Cluster(config, backend="model") as cluster:
        trainer = Trainer(cluster, digits, schedule, pair())
        for device in cluster.devices:
            set_records(device)
        trainer.submit(1, record=True)
        cluster.wait(LIMIT)
        return _clocks([read_records(device) for device in cluster.devices])


def _clocks(records: Sequence[Sequence[Record]]) -> int:
    """From the first command's beginning to the last one's end."""
    every = [each for chip in records for each in chip]
    return max(each.ended for each in every) - min(each.begun for each in every)


def report(done: Trained, config: ChipConfig, output: Path) -> None:
    """Print the loss curve, write the picture, and add a section to the report."""
    batch, losses = done.schedule.batch, done.losses
    print(
        f"\nTwo chips ({config.name}) learn, {batch} images a step on each, gradients added up over the link, in bf16:"
    )
    shown = sorted({*range(0, len(losses), -(-len(losses) // LINES)), len(losses) - 1})
    most = max(losses)
    print_table(("step", "loss", ""), [(n + 1, f"{losses[n]:.4f}", "#" * round(40 * losses[n] / most)) for n in shown])
    print(
        f"{len(losses)} steps of {done.step_cycles:,.0f} clocks; "
        f"then the chips recognise {100 * done.accuracy:.2f} % of the test images."
    )
    print_cycles([done.engines], done.elapsed)  # of the first chip: the other's are nearly the same
    if done.predicted is not None:
        off = 100 * (done.predicted / done.first_cycles - 1)
        print(f"The first step takes {done.first_cycles:,} clocks, of the model {done.predicted:,} ({off:+.2f} %).")
    queues = [name for name, _ in queues_of(config)]
    picture = output / "training.png"
    draw_training(picture, losses, {f"chip {n}": each for n, each in enumerate(done.records)}, queues)
    add_section(
        output / "report.json",
        "training",
        {
            "steps": len(losses),
            "losses": list(losses),
            "cycles": done.cycles,
            "first_step": done.first_cycles,
            "predicted": done.predicted,
            "accuracy": done.accuracy,
            "equal": not done.differences,
        },
    )
    print(f"Wrote {picture}")
    if not done.differences:
        print("Weights, gradients and loss of every step on both chips equal the numpy reference.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train two chips; 0, 1 if a bit is wrong, 2 for a mistake in the arguments."""
    return guarded(lambda: _run(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    schedule = Schedule()
    parser = Parser(prog="python -m openppu_verif.chip.training", description=main.__doc__)
    parser.add_argument("--config", default="demo", help="of both chips (default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, help="how many (default: as many as the reference needs to recognise more than 90 %%)"
    )
    parser.add_argument("--batch", type=int, default=schedule.batch, help="images of a step on each chip (%(default)s)")
    parser.add_argument("--rate", type=float, default=schedule.rate, help="of learning (%(default)s)")
    parser.add_argument("--momentum", type=float, default=schedule.momentum, help="(%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("build/sim"), metavar="FOLDER", help="default: %(default)s")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    if options.steps is not None and not 1 <= options.steps <= MOST_STEPS:
        raise UserError(f"--steps {options.steps}: give 1 to {MOST_STEPS}")
    config: ChipConfig = load(options.config)
    make_folder(options.output)
    digits = load_digits()
    schedule = Schedule(batch=options.batch, rate=options.rate, momentum=options.momentum)
    schedule.images(digits, pair().ranks)
    steps = options.steps or steps_needed(config, digits, schedule)
    with told(f"two chips learn, {steps} steps"), Cluster(config, build_root=Path("build")) as cluster:
        done = run(cluster, digits, schedule, steps)
        problems = cluster.devices[0].backend.hardware.problems  # type: ignore[attr-defined]
    report(done, config, options.output)
    if done.differences or problems:
        wrong = f"{len(done.differences)} differ, the first: {done.differences[0]}" if done.differences else ""
        print(f"FAILED: {wrong or 'memory timing'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
