"""A picture of what each queue of each chip did when."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

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

    figure, axes = pyplot.subplots(len(chips), 1, sharex=True, figsize=(10, 1.8 * len(chips)), squeeze=False)
    _draw_chips(axes[:, 0], chips, queues)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw_training(
    path: Path, losses: Sequence[float], chips: Mapping[str, Sequence[Span]], queues: Sequence[str]
) -> None:
    """Draw the loss of each step, and what the chips' queues did in one of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1 + len(chips), 1, figsize=(10, 2.2 + 1.8 * len(chips)))
    axes[0].plot(range(1, len(losses) + 1), losses, marker="o", markersize=3, color=COLOURS[0])
    axes[0].set_ylim(bottom=0)
    axes[0].set_title("loss of each step", loc="left", fontsize=10)
    axes[0].set_xlabel("step")
    _draw_chips(axes[1:], chips, queues)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_chips(axes: Any, chips: Mapping[str, Sequence[Span]], queues: Sequence[str]) -> None:
    start = min(span.begun for spans in chips.values() for span in spans)
    end = max(span.ended for spans in chips.values() for span in spans)
    for axis, (name, spans) in zip(axes, chips.items(), strict=True):
        for row, queue in enumerate(queues):
            bars = [(span.begun - start, span.ended - span.begun) for span in spans if span.queue == queue]
            axis.broken_barh(
                bars, (row - 0.4, 0.8), color=COLOURS[row % len(COLOURS)], edgecolor="white", linewidth=0.3
            )
        axis.set_xlim(0, end - start)
        axis.set_yticks(range(len(queues)), queues)
        axis.invert_yaxis()
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel("cycles")
