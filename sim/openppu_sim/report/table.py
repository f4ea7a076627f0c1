"""Plain text tables with aligned columns."""

import sys
from collections.abc import Sequence
from typing import TextIO

Cell = str | int | float | None


def cell_text(value: Cell) -> str:
    """Write a cell: integers with thousands separators, floats with two decimals, None as an empty cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}"


def format_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Lay out a table: a header, a rule, a line for each row, columns two spaces apart, no trailing blanks.

    A column is aligned to the right when all its cells are numbers or empty, and to the left otherwise.

    Raises
    ------
    ValueError
        If a row has not as many cells as there are headers.
    """
    for index, row in enumerate(rows):
        if len(row) != len(headers):
            raise ValueError(f"table row {index} has {len(row)} cells, not {len(headers)}")
    columns = [[row[i] for row in rows] for i in range(len(headers))]
    texts = [[header, *map(cell_text, column)] for header, column in zip(headers, columns, strict=True)]
    widths = [max(map(len, column)) for column in texts]
    numeric = [bool(column) and not any(isinstance(cell, str) for cell in column) for column in columns]
    padded = [
        [text.rjust(width) if right else text.ljust(width) for text in column]
        for column, width, right in zip(texts, widths, numeric, strict=True)
    ]
    header, *body = ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]
    return "\n".join([header, "  ".join("-" * width for width in widths), *body])


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, file: TextIO | None = None) -> None:
    """Print `format_table` to ``file`` (standard output when None)."""
    print(format_table(headers, rows), file=file or sys.stdout)
