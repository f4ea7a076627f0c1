"""The tables of runs: what each cost beside the prediction and the bound, and where its cycles went."""

from collections.abc import Sequence

from openppu.config import TileConfig

from openppu_sim.report.run import CAUSES, TileRun
from openppu_sim.report.table import Cell, format_table

FIGURES = ("RTL cycles", "predicted", "bound", "of bound %", "utilisation %", "mismatches")


def run_table(runs: Sequence[TileRun], config: TileConfig, *, what: str) -> str:
    """Lay out the figures of runs on a tile, a line a run; ``what`` heads the column of their names."""
    lines: list[list[Cell]] = []
    for run in runs:
        shares = [100 * run.of_bound, 100 * run.utilisation(config.rows, config.columns)]
        figures = [run.cycles, run.predicted_cycles, run.bound_cycles, *shares, run.mismatches]
        lines.append([run.name, run.shape, run.format, *figures])
    return format_table([what, "M x K x N", "format", *FIGURES], lines)


def cause_table(runs: Sequence[TileRun], *, what: str) -> str:
    """Lay out the cycles of runs by cause, for the causes that occur."""
    used = [cause for cause in CAUSES if any(run.causes.get(cause) for run in runs)]
    lines: list[list[Cell]] = [[run.name, run.format, *(run.causes.get(cause, 0) for cause in used)] for run in runs]
    return format_table([what, "format", *used], lines)
