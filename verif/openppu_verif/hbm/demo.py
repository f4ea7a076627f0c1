"""``python -m openppu_verif.hbm.demo``: the HBM2e section of ``make sim``.

Traffic on the RTL of a small channel, against the device model; what came of it beside what the model of the
controller predicts.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openppu.hbm.accounts import IDLE_CAUSES
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.settings import Settings
from openppu_sim.cli import Parser, guarded
from openppu_sim.cycles.hbm.channel import run_channel
from openppu_sim.cycles.hbm.requests import ACCESS, Requests
from openppu_sim.progress import step
from openppu_sim.report.json_report import add_section, make_folder
from openppu_sim.report.table import Cell, print_table

from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run

CONFIG = ChannelConfig(height=4, reads=8, writes=8, slots=8)
"""Small, so that it is soon built: eight entries a queue reach less than the 64 that docs/hbm.md measures."""
SETTINGS = Settings(write_high=6, write_low=1)
TRAFFIC = {
    "stream, all reads": ("sequential", 1.0),
    "stream, half reads": ("sequential", 0.5),
    "random, all reads": ("random", 1.0),
    "random, two thirds reads": ("random", 2 / 3),
}
"""Order and share of reads; requests of 256 bytes."""
WARMUP, CLOCKS = 3_000, 12_000
SEED = 1
SHARE = "% of the data bus"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A pattern's run on the RTL, and what the model gives: share of the data bus, and a read's clocks (median)."""

    name: str
    measured: Measurement
    predicted: float
    predicted_latency: float

    def record(self) -> dict[str, Any]:
        """For a JSON file."""
        measured = self.measured
        return {
            "name": self.name,
            "clocks": measured.clocks,
            "efficiency": measured.bus_efficiency,
            "predicted_efficiency": self.predicted,
            "read_latency_p50": measured.latency(0.5),
            "predicted_read_latency_p50": self.predicted_latency,
            "violations": measured.violations,
            "wrong": measured.wrong,
            "clocks_by_cause": self.causes(),
        }

    def causes(self) -> dict[str, int]:
        """Where the clocks of both data buses went; they add up."""
        names = ("reads", "writes", *IDLE_CAUSES)
        return {name: sum(each[name] for each in self.measured.counters) for name in names}


def measure(build_root: Path, *, config: ChannelConfig = CONFIG, clocks: int = CLOCKS) -> list[Result]:
    """Run all traffic on the RTL and on the model.

    Raises
    ------
    SimulationError
        If a rule of the device is broken, or an answer is wrong.
    """
    executable = build_channel(config, build_root)
    results = []
    for name, (order, reads) in TRAFFIC.items():
        with step(f"running {name}"):
            pattern = Pattern(order=order, reads=reads, tags=config.tags)
            measured = run(
                executable,
                config,
                [pattern] * config.ports,
                settings=SETTINGS,
                warmup=WARMUP,
                clocks=clocks,
                seed=SEED,
            )
            measured.check()
            results.append(Result(name=name, measured=measured, **_predict(order, reads, config, clocks)))
    return results


def _predict(order: str, reads: float, config: ChannelConfig, clocks: int) -> dict[str, float]:
    size, count = GRANULE * ACCESS, 2 * (WARMUP + clocks) // GRANULE + 100  # more than can be done
    chance = np.random.default_rng(SEED)
    of = config.organisation
    places = of.pseudo_channels * of.pseudo_channel_bytes // size
    place = np.arange(count) if order == "sequential" else chance.integers(0, places, count)
    requests = Requests(place * size, np.full(count, size), chance.random(count) >= reads)
    modelled = run_channel(requests, config, SETTINGS, warm_up=WARMUP, clocks=WARMUP + clocks)
    done = ~requests.write & (modelled.finished >= WARMUP)
    return {
        "predicted": sum(account.accesses for account in modelled.accounts) / (2 * clocks),
        "predicted_latency": float(np.median((modelled.finished - modelled.offered)[done])),
    }


def print_results(results: Sequence[Result], config: ChannelConfig) -> None:
    """Print bandwidth and latency beside the predictions, and where the clocks went."""
    print(
        f"\nHBM2e: a channel of a {config.height}-high stack, queues of {config.reads} reads and {config.writes} "
        "writes, refresh and ECC on\n"
    )
    lines: list[list[Cell]] = [
        [
            each.name,
            100 * each.measured.bus_efficiency,
            100 * each.predicted,
            each.measured.latency(0.5),
            round(each.predicted_latency),
            each.measured.wrong,
            each.measured.violations,
        ]
        for each in results
    ]
    print_table(
        ["256-byte requests", SHARE, "predicted", "clocks of a read", "predicted", "wrong words", "broken rules"], lines
    )
    print(f"\nWhere the clocks of the data bus went, {SHARE.removesuffix(' of the data bus')}\n")
    causes = {each.name: each.causes() for each in results}
    used = [name for name in results[0].causes() if any(counts[name] for counts in causes.values())]
    print_table(
        ["256-byte requests", *(name.replace("_", " ") for name in used)],
        [[name, *(100 * counts[key] / sum(counts.values()) for key in used)] for name, counts in causes.items()],
    )


def record(results: Sequence[Result], config: ChannelConfig) -> dict[str, Any]:
    """The results for the report of ``make sim``."""
    size = {"height": config.height, "ports": config.ports, "reads": config.reads, "writes": config.writes}
    return {**size, "ecc": config.ecc, "seed": SEED, "runs": [each.record() for each in results]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the section and return the exit code: 0, 1 if a word is wrong or a rule broken, 2 for bad arguments."""
    parser = Parser(prog="python -m openppu_verif.hbm.demo", description=measure.__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder for models (default: build)")
    parser.add_argument(
        "--output", type=Path, default=Path("build/sim"), help="folder of report.json (default: build/sim)"
    )
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    make_folder(options.output)
    results = measure(options.build_dir)
    print_results(results, CONFIG)
    print(f"\nAdded to {add_section(options.output / 'report.json', 'hbm', record(results, CONFIG))}")
    print("Every word read is the one written, and no rule of the memory was broken.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
