"""Commands of the DMA that kernels make: rows of a matrix between memory and a scratchpad."""

from typing import Any

from openppu_sim.program.command import Command


def copy_command(
    name: str, *, memory: int, scratchpad: int, row: int, rows: int = 1, strides: tuple[int, int] = (0, 0), **more: Any
) -> Command:
    """A ``LOAD`` or ``STORE`` of rows.

    Parameters
    ----------
    name : str
    memory, scratchpad : int
        Addresses of the first row.
    row : int
        Bytes of a row.
    rows : int
    strides : tuple of int
        Bytes from a row to the next, in memory and in the scratchpad; of no matter for a single row.
    more
        Of the command: what it waits for, and signals.
    """
    fields = {
        "memory": memory,
        "scratchpad": scratchpad,
        "row": row,
        "count_0": rows,
        "memory_stride_0": strides[0] if rows > 1 else 0,
        "scratchpad_stride_0": strides[1] if rows > 1 else 0,
        **{f"count_{dimension}": 1 for dimension in (1, 2, 3)},
    }
    return Command(name=name, fields=fields, **more)
