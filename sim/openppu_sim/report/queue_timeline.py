"""A picture of what each queue of each chip did when."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

COLOURS = ("#4878d0", "#ee854a", "#6acc64", "#d65f5f", "#956cb4")


class Span(Protocol):
    """A command."""

    @property
    def queue(self) -> str: ...
    @property
    def begun(self) -> int: ...
    @property
    def ended(self) -> int: ...


def draw_timeline(path: Path, chips: Mapping[str, Sequence[Span]], queues: Sequence[str]) -> None:
    """Draw a row a queue, a bar a command; chips below each other, time in cycles."""
    # Imported here: it takes a second, which every other command would pay for.
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    start = min(span.begun for spans in chips.values() for span in spans)
    figure, axes = pyplot.subplots(len(chips), 1, sharex=True, figsize=(10, 1.8 * len(chips)), squeeze=False)
    for axis, (name, spans) in zip(axes[:, 0], chips.items(), strict=True):
        for row, queue in enumerate(queues):
            bars = [(span.begun - start, span.ended - span.begun) for span in spans if span.queue == queue]
            axis.broken_barh(
                bars, (row - 0.4, 0.8), color=COLOURS[row % len(COLOURS)], edgecolor="white", linewidth=0.3
            )
        axis.set_yticks(range(len(queues)), queues)
        axis.invert_yaxis()
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1, 0].set_xlabel("cycles")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
