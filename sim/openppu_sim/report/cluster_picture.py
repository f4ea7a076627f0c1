"""The picture of a job's efficiency over the number of cards."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from openppu_sim.cycles.link.scaling import Point
from openppu_sim.report.json_report import make_parents, whole_file

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/), which stay apart for colour-blind readers.
LINES = (
    ("efficiency", "#0072B2", "all cards and links well"),
    ("links", "#009E73", "with slow and dead links"),
    ("effective", "#D55E00", "with failures, too"),
)


def draw(path: Path, points: Sequence[Point], *, title: str) -> Path:
    """Draw efficiency, that with faults of links, and that with failures of cards, over the cards; SVG or PNG by name.

    Raises
    ------
    UserError
        If the file cannot be written; the message names it.
    """
    cards = [point.step.cards for point in points]
    values = {
        "efficiency": [100 * point.efficiency for point in points],
        "links": [100 * point.efficiency * point.link_factor for point in points],
        "effective": [100 * point.effective for point in points],
    }
    with matplotlib.rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "openppu"}):
        figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        for name, colour, label in LINES:
            axis.plot(cards, values[name], color=colour, marker="o", markersize=3.5, linewidth=1.5, label=label)
        axis.set_xscale("log", base=2)
        axis.set_xticks(cards, [f"{count:,}" for count in cards], rotation=35 if len(cards) > 6 else 0)
        axis.minorticks_off()
        low = min(min(one) for one in values.values())
        axis.set(ylim=(max(0, 10 * math.floor(low / 10) - 5), 103), xlabel="cards")
        axis.set_ylabel("tokens a second and card, % of the smallest")
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(color="#E5E5E5", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, loc="lower left")
        make_parents(path)
        form = path.suffix.lower()[1:]
        with whole_file(path) as temporary:
            figure.savefig(temporary, format=form, metadata={"Date": None} if form == "svg" else None)
    return path
