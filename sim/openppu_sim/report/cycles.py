"""Where the cycles of engines went, as a table."""

from collections.abc import Mapping, Sequence

from openppu_sim.report.table import Cell, print_table
from openppu_sim.report.trace import IDLE

LEAST = 0.05
"""Per cent of the cycles that a cause must have to be named."""


def print_cycles(chips: Sequence[Mapping[str, Mapping[str, int]]], cycles: int) -> None:
    """Print of each chip and each of its engines the cycles of each cause, in per cent of those of a run.

    Outside of the run the engines are idle.
    """
    rows: list[list[Cell]] = []
    for number, engines in enumerate(chips):
        for name, counts in engines.items():
            shares = {cause: 100 * count / cycles for cause, count in counts.items() if cause != IDLE}
            named = sorted(((-share, cause) for cause, share in shares.items() if share >= LEAST))
            text = ", ".join(f"{cause} {-share:.1f}" for share, cause in named)
            rows.append([number, name, 100 - sum(shares.values()), text])
    print(f"\nWhere the {cycles:,} cycles of each engine went, in %")
    print_table(("chip", "engine", "idle", "else"), rows)
