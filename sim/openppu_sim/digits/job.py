"""The main job: classify the test images with every matrix product on the tile, and account for each bit and cycle."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openppu.config import ChipConfig

from openppu_sim.digits.deploy import Deployment, deploy_bf16, deploy_int8
from openppu_sim.digits.network import LAYERS, SEED, TEST_IMAGES, accuracy, load_digits, train
from openppu_sim.errors import UserError
from openppu_sim.lowering.tile import plan
from openppu_sim.progress import step
from openppu_sim.report.json_report import SCHEMA, commit, machine, write_json
from openppu_sim.report.run import MatmulRunner, TileRun
from openppu_sim.report.run_table import cause_table, run_table
from openppu_sim.report.table import print_table
from openppu_sim.report.timeline import plot_utilisation

FORMATS = ("int8", "bf16")
NOTE = (
    "This is the tile alone: it computes the matrix products; bias, ReLU and requantisation between the layers run in "
    "the numpy reference."
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the job found.

    Members
    -------
    runs : list of TileRun
        A run for each layer of each format, in the order in which they ran.
    accuracy : dict of str to float
        Share of the test images classified correctly, by format, with the tile's own results.
    float_accuracy : float
        The same for the trained network in binary32, which never touches the tile.
    images : int
        Test images.
    seed : int
        Seed of the split and of the training.
    """

    runs: list[TileRun]
    accuracy: dict[str, float]
    float_accuracy: float
    images: int
    seed: int

    def failures(self) -> list[str]:
        """One line for each bit or cycle that is not as promised; empty when all is well."""
        return [line for run in self.runs for line in run.failures()]


def classify(deployment: Deployment, runner: MatmulRunner) -> tuple[np.ndarray, list[TileRun]]:
    """Run a deployed network layer by layer; give its scores, shape (images, 10), and a run for each layer."""
    operand, runs = deployment.operand, []
    for layer in deployment.layers:
        runs.append(runner(layer.name, operand, layer.weights, deployment.format))
        operand = layer.finish(runs[-1].result)
    return operand, runs


def formats_of(config: ChipConfig) -> list[str]:
    """The formats in which the job runs on a chip; found out at once, so that no one waits for the training in vain.

    Raises
    ------
    UserError
        If there is none, or a layer does not fit the tile's operand buffers.
    """
    formats = [name for name in FORMATS if name in config.tile.formats]
    if not formats:
        raise UserError(
            f"tile.formats = {', '.join(config.tile.formats)}: the digits need {' or '.join(FORMATS)}; "
            "add one, for example --set tile.formats=int8,bf16"
        )
    for k, n in LAYERS:
        plan(TEST_IMAGES, k, n, formats[0], config.tile)
    return formats


def run(runner: MatmulRunner, config: ChipConfig, *, seed: int = SEED) -> Outcome:
    """Train the network, deploy it in int8 and in bf16, and classify the 360 test images.

    Parameters
    ----------
    runner : MatmulRunner
        Runs each matrix product.
    config : ChipConfig
        The chip that ``runner`` stands for; formats that its tile lacks are left out.
    seed : int
        Seed of the split and of the training.

    Raises
    ------
    UserError
        If the tile has neither int8 nor bf16, or a layer does not fit its operand buffers.
    """
    formats = formats_of(config)
    with step(f"training the network (seed {seed})"):
        digits = load_digits(seed)
        network = train(digits, seed=seed)
    deployments = {
        "int8": deploy_int8(network, digits.train_pixels, digits.test_pixels),
        "bf16": deploy_bf16(network, digits.test_pixels),
    }
    runs: list[TileRun] = []
    accuracies: dict[str, float] = {}
    for name in formats:
        scores, format_runs = classify(deployments[name], runner)
        runs += format_runs
        accuracies[name] = accuracy(scores, digits.test_labels)
    return Outcome(
        runs=runs,
        accuracy=accuracies,
        float_accuracy=accuracy(network.logits(digits.test_pixels), digits.test_labels),
        images=len(digits.test_labels),
        seed=seed,
    )


def print_outcome(outcome: Outcome, config: ChipConfig) -> None:
    """Print the table of runs, where the cycles went, and the accuracies."""
    tile = config.tile
    print(f"\nDigits on {config.name}: a tile of {tile.rows} x {tile.columns}, {outcome.images} test images\n")
    print(run_table(outcome.runs, tile, what="layer"))
    print(f"\nWhere the cycles went\n\n{cause_table(outcome.runs, what='layer')}")
    print("\nTest accuracy\n")
    accuracies = {f"{name} on the tile": value for name, value in outcome.accuracy.items()}
    accuracies["binary32, numpy"] = outcome.float_accuracy
    print_table(
        ["network", "correct", f"of {outcome.images} in %"],
        [[name, round(value * outcome.images), 100 * value] for name, value in accuracies.items()],
    )
    print(f"\n{NOTE}")


def report(outcome: Outcome, config: ChipConfig) -> dict[str, Any]:
    """The outcome as JSON values: the content of ``report.json``."""
    tile = config.tile
    runs = [
        run.record() | {"of_bound": run.of_bound, "utilisation": run.utilisation(tile.rows, tile.columns)}
        for run in outcome.runs
    ]
    return {
        "schema": SCHEMA,
        "commit": commit(),
        "machine": machine(),
        "config": {"name": config.name, "fingerprint": config.fingerprint(), "tile": asdict(tile)},
        "seed": outcome.seed,
        "images": outcome.images,
        "accuracy": {**outcome.accuracy, "float": outcome.float_accuracy},
        "note": NOTE,
        "passed": not outcome.failures(),
        "runs": runs,
    }


def write_outcome(outcome: Outcome, config: ChipConfig, folder: Path) -> tuple[Path, Path]:
    """Write ``report.json`` and ``utilisation.png`` into ``folder`` and return their paths."""
    tile = config.tile
    title = f"Where the cycles of the {tile.rows} x {tile.columns} tile went ({config.name})"
    return (
        write_json(folder / "report.json", report(outcome, config)),
        plot_utilisation(folder / "utilisation.png", outcome.runs, title=title),
    )
