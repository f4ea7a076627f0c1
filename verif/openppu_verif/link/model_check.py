"""The model of collectives beside the RTL: chips of `ppu810e` in a pair, rings, meshes and two groups of four.

Ports train once for each topology. Short all-reduces and barriers begin at four places in the flits that resting links
send; their clocks are the mean. All bits are compared with the reference.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu_sim.cli import Parser, guarded
from openppu_sim.cycles.link.calibration import load_calibration
from openppu_sim.cycles.link.rtl import OPERATIONS, predicted_clocks
from openppu_sim.progress import step
from openppu_sim.report.benchmark_table import table
from openppu_sim.report.json_report import benchmark_json, make_folder
from openppu_sim.report.table import print_table

from openppu_verif.link.collective_runs import RESET_SKEW, Trial, place, run_trials
from openppu_verif.link.mesh_native import About

COMMAND = "python -m openppu_verif.link.model_check"
COLUMNS = ("operation", "algorithm", "bytes", "clocks", "model")
PLACES = (("pair", 2), ("ring", 4), ("ring", 8), ("mesh", 3), ("mesh", 4), ("mesh", 6), ("mesh", 8), ("groups", 8))
SIZES = (32, 256, 1024, 4096, 16_384, 65_536, 262_144)
SHORT = 1024
OTHER_SIZES = (4096, 65_536, 262_144)
NAMES = {planned: name for name, planned in OPERATIONS.items()}
CHIP = load("ppu810e")


def trials(chips: int) -> Iterator[Trial]:
    """What is run on a topology; sizes are multiples of four bytes a chip."""
    for size in SIZES:
        for start in range(CHIP.link.beats if size <= SHORT else 1):
            yield Trial(operation="all_reduce", size=size, pause=64 + start)
    for operation in ("reduce_scatter", "all_gather", "broadcast", "all_to_all"):
        for size in OTHER_SIZES:
            yield Trial(operation=operation, size=size // (4 * chips) * 4 * chips)
    for start in range(CHIP.link.beats):
        yield Trial(operation="barrier", size=0, pause=64 + start)


def measure(build_root: Path) -> list[dict[str, Any]]:
    """A row for each collective: clocks on the RTL, by the model, and by how much the model is off.

    Raises
    ------
    SimulationError
        If a chip's result is not that of the reference.
    """
    config, calibration = CollectiveConfig(link=CHIP.link), load_calibration()
    rows = []
    for name, chips in PLACES:
        with step(f"running collectives on {name} of {chips}"):
            runs = run_trials(config, place(name, chips), list(trials(chips)), About(reset_skew=RESET_SKEW), build_root)
        clocks: dict[tuple[str, str, int], list[int]] = {}
        for run in runs:
            key = (NAMES[run.trial.operation], run.algorithm.replace("_", "-"), run.trial.size)
            clocks.setdefault(key, []).append(run.outcome.clocks)
        for (operation, algorithm, size), took in clocks.items():
            model = predicted_clocks(CHIP, calibration, operation, algorithm, name, chips, size)
            rows.append(
                {
                    "name": f"{name} of {chips}",
                    "operation": operation,
                    "algorithm": algorithm,
                    "bytes": size,
                    "clocks": round(fmean(took), 1),
                    "model": round(model, 1),
                    "value": round(100 * (model / fmean(took) - 1), 2),
                    "unit": "%",
                    "command": COMMAND,
                }
            )
    return rows


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table of Markdown."""
    lines = [
        "| chips | operation | algorithm | bytes | RTL clocks | model | error % |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = (row["name"], row["operation"], row["algorithm"], f"{row['bytes']:,}", f"{row['clocks']:,.1f}")
        lines.append(f"| {' | '.join(cells)} | {row['model']:,.1f} | {row['value']:+.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write ``bench/link_model.json``."""
    parser = Parser(prog=COMMAND, description=__doc__)
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="folder of all that is generated")
    parser.add_argument("--page", action="store_true", help="print the table as docs/cluster.md has it")
    args = parser.parse_args(argv)
    folder = args.build_dir / "bench"
    make_folder(folder)
    rows = measure(args.build_dir)
    path = benchmark_json("link_model", rows, folder=folder)
    if args.page:
        print(page(rows))
        return 0
    print_table(*table(sys.modules[__name__], rows))
    print(f"\nWrote {path}; the model is off by {max(abs(row['value']) for row in rows):.1f} % at most")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
