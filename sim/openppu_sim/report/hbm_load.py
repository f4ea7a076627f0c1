"""The picture of a read's latency under rising load, from ``build/bench/hbm_load.json``."""

import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from openppu.hbm.config import GRANULE
from openppu.hbm.device import BURST
from openppu.hbm.settings import Settings

from openppu_sim.report.json_report import BENCH_FOLDER

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which stay apart for colour-blind readers.
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")
PANELS = (("value", "mean of the reads"), ("latency_p99", "99 of 100 reads take no longer"))
TICKS = (20, 50, 100, 200, 500, 1000, 2000)


def picture(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the benchmark's rows: latency over the share of the data bus, a line for each share of reads.

    Parameters
    ----------
    rows : sequence of mappings
        Each with ``reads``, ``reached`` (%), ``value`` and ``latency_p99`` (clocks), loads rising.

    Returns
    -------
    str
        An SVG file.
    """
    shares = sorted({row["reads"] for row in rows}, reverse=True)
    # Text stays text, and the same figures give the same file.
    with matplotlib.rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "openppu"}):
        figure = Figure(figsize=(8.4, 3.9), layout="constrained")
        axes = figure.subplots(1, len(PANELS), sharey=True)
        for axis, (key, title) in zip(axes, PANELS, strict=True):
            for place, share in enumerate(shares):
                own = [row for row in rows if row["reads"] == share]
                axis.plot(
                    [row["reached"] for row in own],
                    [row[key] for row in own],
                    color=COLOURS[place % len(COLOURS)],
                    marker="o",
                    markersize=2.5,
                    linewidth=1.3,
                    label=f"{100 * share:g} %",
                )
            _finish(axis, title)
        axes[0].set_ylabel("latency of a read, controller clocks")
        axes[0].legend(title="reads", loc="upper left", frameon=False)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _finish(axis: Axes, title: str) -> None:
    timing = Settings().timing
    least = (timing.tRCDRD + timing.RL + (GRANULE - 1) * timing.tCCDL + BURST) / 2
    axis.axhline(least, color="#8C8C8C", linewidth=1, linestyle="--")
    axis.text(99, least * 0.96, "tRCD + RL + 7 tCCDL + burst", color="#666666", ha="right", va="top", fontsize=8)
    axis.set_title(title, loc="left", fontsize=9.5)
    axis.set(xlim=(0, 100), ylim=(18, 2200), yscale="log", xlabel="share of the data bus, %")
    axis.set_yticks(TICKS, [f"{tick:,}" for tick in TICKS])
    axis.minorticks_off()
    axis.grid(color="#E5E5E5", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Print the picture."""
    path = BENCH_FOLDER / "hbm_load.json"
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"error: {path}: cannot be read ({error}); run `python -m openppu_verif.hbm.load_curve` first")
    print(picture(rows), end="")


if __name__ == "__main__":
    main()
