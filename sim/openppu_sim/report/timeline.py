"""The picture of where a tile's cycles went: shares of the causes over time, a panel a run."""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from openppu_sim.report.json_report import make_parents, whole_file
from openppu_sim.report.run import CAUSES, TileRun

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which stay apart for colour-blind readers, and two greys.
COLOURS = {
    "compute": "#0072B2",
    "weights": "#E69F00",
    "addends": "#CC79A7",
    "output": "#009E73",
    "dependence": "#F0E442",
    "activations": "#D55E00",
    "fill": "#56B4E9",
    "drain": "#8C8C8C",
    "idle": "#DDDDDD",
}
STEPS = 180
"""Most steps in time that a panel shows."""


def cause_shares(run: TileRun, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Divide a run into at most ``steps`` equal spans and give each cause's share of each span.

    A run without a timeline counts as one span with its totals; one without causes as no span.

    Returns
    -------
    edges : ndarray of float64, shape (spans + 1,)
        Cycles at which the spans begin and end.
    shares : ndarray of float64, shape (len(CAUSES), spans)
        Shares, 0 to 1; each span's add up to 1.
    """
    if run.timeline.size:
        spans = min(steps, run.cycles)
        edges = np.linspace(0, run.cycles, spans + 1).round()
        span = np.searchsorted(edges, np.arange(run.cycles), side="right") - 1
        counts = np.bincount(run.timeline.astype(np.int64) * spans + span, minlength=len(CAUSES) * spans)
        return edges, counts.reshape(len(CAUSES), spans) / np.diff(edges)
    if run.causes:
        totals = np.array([[run.causes.get(cause, 0)] for cause in CAUSES])
        return np.array([0.0, run.cycles]), totals / run.cycles
    return np.zeros(1), np.zeros((len(CAUSES), 0))


def plot_utilisation(path: str | os.PathLike[str], runs: Sequence[TileRun], *, title: str) -> Path:
    """Draw utilisation over time by cause, a panel a run, as a PNG file, and return its path.

    Raises
    ------
    UserError
        If the file cannot be written; the message names it.
    """
    path = Path(path)
    columns = 1 if len(runs) == 1 else 2
    lines = -(-len(runs) // columns)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(5.6 * columns, 0.9 + 2.4 * lines), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=12, fontweight="bold")
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for axis, run in zip(axes, runs, strict=False):
            _draw_panel(axis, run)
        for axis in axes[len(runs) :]:
            axis.set_axis_off()
        used = [cause for cause in CAUSES if any(run.causes.get(cause) for run in runs)]
        handles = [Patch(facecolor=COLOURS[cause], label=cause) for cause in used]
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
        make_parents(path)
        with whole_file(path) as temporary:
            figure.savefig(temporary, format="png")
    return path


def _draw_panel(axis: Axes, run: TileRun) -> None:
    """Draw one run: a heading, its figures, and the stacked shares."""
    figures = f"{run.cycles:,} cycles, {100 * run.of_bound:.1f} % of bound"
    axis.set_title(f"{run.name}, {run.format}, {run.m} \u00d7 {run.k} \u00d7 {run.n}", loc="left", fontsize=9.5)
    axis.set_title(figures, loc="right", fontsize=9.5, color="#444444")
    axis.set(xlim=(0, run.cycles), ylim=(0, 100), xlabel="clock cycle", ylabel="share of cycles, %")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.spines[["top", "right"]].set_visible(False)
    edges, shares = cause_shares(run)
    if not shares.size:
        axis.text(0.5, 0.5, "causes not recorded", transform=axis.transAxes, ha="center", color="#444444")
        return
    steps = np.column_stack([shares, shares[:, -1]]) * 100
    axis.stackplot(edges, steps, colors=[COLOURS[cause] for cause in CAUSES], step="post", linewidth=0)
    if not run.timeline.size:
        axis.text(0.5, 0.5, "totals only", transform=axis.transAxes, ha="center", color="white")
