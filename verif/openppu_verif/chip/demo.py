"""``python -m openppu_verif.chip.demo``: the chip's section of ``make sim``.

Two chips, linked, classify handwritten digits wholly on the RTL: each has half of the hidden layer, and their parts of
the scores are added up over the link. Then they learn to read them (`openppu_verif.chip.training`). Every bit is
compared with the numpy reference.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from openppu.chip.chip import queues_of
from openppu.config import ChipConfig, load
from openppu.formats.spec import FORMATS
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair
from openppu_sim.cli import Parser, guarded
from openppu_sim.device.device import Cluster
from openppu_sim.device.records import Record, read_records, set_records
from openppu_sim.device.watched import Watched
from openppu_sim.digits.chip_training import Schedule
from openppu_sim.digits.deploy import Bf16Layer, Deployment, Int8Layer, deploy_bf16, deploy_int8
from openppu_sim.digits.network import HIDDEN, accuracy, load_digits, train
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.program.command import Command
from openppu_sim.progress import step
from openppu_sim.reference.collectives import Order, all_reduce
from openppu_sim.reference.formats import from_binary32
from openppu_sim.reference.matmul import matmul as exact
from openppu_sim.reference.quantise import int32_to_int8
from openppu_sim.report.json_report import add_section, make_folder
from openppu_sim.report.queue_timeline import draw_timeline
from openppu_sim.report.table import print_table
from openppu_sim.report.trace import write_trace

from openppu_verif.chip import training

CHIPS = 2
IMAGES, WEIGHTS, BIASES, HIDDEN_OUT, PART, SCORES, SCRATCH = (0x10_0000 * number for number in range(7))
"""Where everything is in each chip's memory; the second layer's weights and biases half way behind the first one's."""

HALF = 0x8_0000
TRACED = 24
"""Images whose classification is written as a trace."""

TRACE = "chips-trace.json"

HIDDEN_DONE, PART_DONE = 4, 5
"""Semaphores."""

CLASSES = 10
INFERRED = 120
"""Images that are classified in each format."""

STEPS = 17
"""After which more than 90 % of the test images are recognised."""


@dataclass(frozen=True, kw_only=True)
class Classified:
    """One format: scores of both chips, uint32 bits (images, classes), the expected ones, clocks, and what ran when."""

    format: str
    scores: tuple[np.ndarray, ...]
    expected: np.ndarray
    correct: float
    cycles: int
    records: tuple[list[Record], ...]

    @property
    def equal(self) -> bool:
        """Both chips have every bit of the reference."""
        return all(bool((each == self.expected).all()) for each in self.scores)


def run(cluster: Cluster, deployment: Deployment, labels: np.ndarray) -> Classified:
    """Classify all images of a deployment."""
    config = cluster[0].config
    first, second = deployment.layers
    count, pixels = deployment.operand.shape
    half, size = HIDDEN // CHIPS, deployment.operand.dtype.itemsize
    link = CollectiveConfig(link=config.link)
    kind = "int32" if deployment.format == "int8" else "binary32"
    job = Job(
        operation="all_reduce", format=kind, elements=count * CLASSES, source=PART, target=SCORES, scratch=SCRATCH
    )
    adds = collective_programs(job, pair(), link)
    for number, device in enumerate(cluster.devices):
        own = slice(half * number, half * (number + 1))
        device.write(IMAGES, deployment.operand)
        device.write(WEIGHTS, np.ascontiguousarray(first.weights[:, own]))
        device.write(WEIGHTS + HALF, np.ascontiguousarray(second.weights[own]))
        device.write(BIASES, _bias(first)[own])
        # The second bias is added once.
        device.write(BIASES + HALF, _bias(second) if number == 0 else np.zeros_like(_bias(second)))
        set_records(device)
    start = cluster.devices[0].cycles
    for number, device in enumerate(cluster.devices):
        hidden = _hidden_job(deployment, first, count, pixels, half, size)
        part = MatmulJob(
            m=count,
            n=CLASSES,
            k=half,
            format=deployment.format,
            a=Operand(address=HIDDEN_OUT, stride=half * size),
            b=Operand(address=WEIGHTS + HALF, stride=CLASSES * size),
            d=Operand(address=PART, stride=4 * CLASSES),
            c=BIASES + HALF,
        )
        for layer, wait, signal in ((hidden, None, (HIDDEN_DONE, 1)), (part, (HIDDEN_DONE, 1), (PART_DONE, 1))):
            for queue, program in matmul_programs(config, layer, wait=wait, signal=signal, record=True).items():
                device.submit(queue, program)
        device.submit("link", _after(adds[number], PART_DONE))
    cluster.wait(5_000_000)
    ends = [read_records(device) for device in cluster.devices]
    scores = tuple(device.read(SCORES, (count, CLASSES), np.uint32) for device in cluster.devices)
    found = scores[0].view(np.int32 if kind == "int32" else np.float32)
    return Classified(
        format=deployment.format,
        scores=scores,
        expected=_expected(deployment, link),
        correct=accuracy(found, labels),
        cycles=max(record.ended for each in ends for record in each) - start,
        records=tuple(ends),
    )


def _bias(layer: Any) -> np.ndarray:
    return np.ascontiguousarray(layer.bias)


def _hidden_job(deployment: Deployment, first: Any, count: int, pixels: int, half: int, size: int) -> MatmulJob:
    scale = 0
    if isinstance(first, Int8Layer):
        assert first.multiplier is not None
        scale = int(np.float32(first.multiplier).view(np.uint32))
    return MatmulJob(
        m=count,
        n=half,
        k=pixels,
        format=deployment.format,
        a=Operand(address=IMAGES, stride=pixels * size),
        b=Operand(address=WEIGHTS, stride=half * size),
        d=Operand(address=HIDDEN_OUT, stride=half * size),
        c=BIASES,
        result_format=deployment.format,
        relu=True,
        scale=scale,
    )


def _after(program: list[Command], semaphore: int) -> list[Command]:
    return [replace(program[0], wait=(semaphore, 1)), *program[1:-1], replace(program[-1], record=True)]


def _expected(deployment: Deployment, link: CollectiveConfig) -> np.ndarray:
    """The scores, from the rules of numbers: bias first, then products in increasing k; parts added in their order."""
    first, second = deployment.layers
    fmt = FORMATS[deployment.format]
    count, half = len(deployment.operand), HIDDEN // CHIPS
    parts = []
    for number in range(CHIPS):
        own = slice(half * number, half * (number + 1))
        sums = exact(deployment.operand, first.weights[:, own], _rows(_bias(first)[own], count), fmt)
        sums = np.where(sums >> 31 != 0, np.uint32(0), sums).astype(np.uint32)
        if isinstance(first, Int8Layer):
            assert first.multiplier is not None
            hidden = int32_to_int8(sums, np.float32(first.multiplier).view(np.uint32))
        else:
            assert isinstance(first, Bf16Layer)
            hidden = from_binary32(sums, fmt)
        bias = _bias(second) if number == 0 else np.zeros_like(_bias(second))
        parts.append(exact(hidden, second.weights[own], _rows(bias, count), fmt).reshape(-1))
    order = Order(algorithm="direct", ranks=CHIPS, beat_bytes=link.beat_bytes, groups=pair().groups, narrow_hops=False)
    kind = "int32" if deployment.format == "int8" else "binary32"
    return all_reduce(parts, kind, order).reshape(count, CLASSES)


def _rows(bias: np.ndarray, count: int) -> np.ndarray:
    return np.tile(bias.view(np.uint32), (count, 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0, 1 if a bit is wrong, 2 for a mistake in the arguments."""
    return guarded(lambda: _run(_parse(arguments)))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m openppu_verif.chip.demo", description=main.__doc__)
    parser.add_argument("--config", default="demo", help="of both chips (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("build/sim"), metavar="FOLDER", help="default: %(default)s")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    config: ChipConfig = load(options.config)
    make_folder(options.output)
    digits = load_digits()
    network = train(digits)
    pixels = digits.test_pixels[:INFERRED]
    deployments = [deploy_int8(network, digits.train_pixels, pixels), deploy_bf16(network, pixels)]
    done = []
    with Cluster(config, build_root=Path("build")) as cluster:
        with step("two chips classify digits"):
            for deployment in deployments:
                done.append(run(cluster, deployment, digits.test_labels[:INFERRED]))
        labels = digits.test_labels[:TRACED]
        few = [deploy_int8(network, digits.train_pixels, pixels[:TRACED]), deploy_bf16(network, pixels[:TRACED])]
        with step("two chips classify a few, for a trace"):
            watched = Watched(cluster.devices)
            traced = [run(cluster, each, labels) for each in few]
            write_trace(options.output / TRACE, watched.finish(), config.clock_mhz, {"config": config.name})
        with step("the cycle model says when two chips classify digits"), Cluster(config, backend="model") as model:
            # From the reset on, as the chips did.
            predicted = [run(model, each, digits.test_labels[:INFERRED]) for each in deployments]
        with step("two chips learn to"):
            trained = training.run(cluster, digits, Schedule(), STEPS)
        problems = cluster.devices[0].backend.hardware.problems  # type: ignore[attr-defined]
    print(f"\nTwo chips ({config.name}), {CHIPS} x half of the hidden layer, scores added up over the link:")
    print_table(
        ("format", "images", "correct", "clocks", "clocks an image", "bits"),
        [
            (
                each.format,
                len(each.expected),
                f"{100 * each.correct:.2f} %",
                each.cycles,
                f"{each.cycles / len(each.expected):.1f}",
                "equal on both" if each.equal else "WRONG",
            )
            for each in done
        ],
    )
    _compare(done, predicted)
    queues = [name for name, _ in queues_of(config)]
    picture = options.output / "chips.png"
    draw_timeline(picture, {f"chip {n}": done[-1].records[n] for n in range(CHIPS)}, queues)
    add_section(
        options.output / "report.json",
        "chips",
        {each.format: {"cycles": each.cycles, "correct": each.correct, "equal": each.equal} for each in done},
    )
    print(f"Wrote {picture} and {options.output / TRACE} (for https://ui.perfetto.dev)")
    failures = [each.format for each in [*done, *traced, *predicted] if not each.equal]
    if not failures:
        print("Every score of both chips equals the numpy reference.")
    training.report(trained, config, options.output)
    failures += trained.differences[:1]
    if failures or problems:
        print(f"FAILED: {', '.join(failures) or 'memory timing'}", file=sys.stderr)
        return 1
    return 0


def _compare(measured: Sequence[Classified], predicted: Sequence[Classified]) -> None:
    """Print what the cycle model says of the same programs."""
    print("\nThe cycle model of the same:")
    print_table(
        ("format", "clocks on the RTL", "predicted", "difference"),
        [
            (rtl.format, rtl.cycles, model.cycles, f"{100 * (model.cycles / rtl.cycles - 1):+.1f} %")
            for rtl, model in zip(measured, predicted, strict=True)
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
