"""SCALE-Sim's cycle counts as closed forms, beside ours.

SCALE-Sim 3.0.0 (``pip install scalesim==3.0.0``, MIT licence; A. Samajdar et al., "A systematic methodology for
characterizing scalability of DNN accelerators using SCALE-Sim", ISPASS 2020) counts compute cycles of a systolic array
by tracing it. These forms equal its counts in 42 runs: three dataflows, arrays of 8 to 128, ragged sizes among them.
It takes a processing element's latency as 1, loads weights and computes in turn, and does not drain an
output-stationary array.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openppu.config import TileConfig

from openppu_sim.cycles.tile_fast import predict
from openppu_sim.lowering.tile import plan
from openppu_sim.report.table import Cell, format_table

GEMM_SHAPES = ((128, 768, 768), (512, 512, 512), (1024, 1024, 1024), (1, 576, 576), (16, 576, 1536), (33, 50, 70))
"""(M, K, N) of the products that the benchmarks run: layers of transformers, squares, one token, a ragged one."""

GEMM_TILES = tuple(
    TileConfig(rows=size, columns=size, formats=(fmt,), latency=latency, accumulators=accumulators)
    for size, accumulators in ((16, 256), (128, 1024))
    for fmt, latency in (("int8", 1), ("bf16", 4))
)
"""The tiles that they run on: 16 x 16 and 128 x 128, each of int8 alone and of bf16 alone."""


def weight_stationary(m: int, k: int, n: int, rows: int, columns: int) -> int:
    """Compute cycles of SCALE-Sim's ``ws`` dataflow for an m x k by k x n product on rows x columns."""
    return -(-k // rows) * -(-n // columns) * (2 * rows + columns + m - 2) - 1


def output_stationary(m: int, k: int, n: int, rows: int, columns: int) -> int:
    """Compute cycles of SCALE-Sim's ``os`` dataflow for an m x k by k x n product on rows x columns."""
    return -(-m // rows) * -(-n // columns) * (rows + columns + k - 2) - 1


def input_stationary(m: int, k: int, n: int, rows: int, columns: int) -> int:
    """Compute cycles of SCALE-Sim's ``is`` dataflow for an m x k by k x n product on rows x columns."""
    return -(-k // rows) * -(-m // columns) * (2 * rows + columns + n - 2) - 1


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One product on one tile: our cycles and SCALE-Sim's.

    Parameters
    ----------
    m, k, n : int
        Shape: A is m x k, B is k x n.
    config : TileConfig
        The tile.
    format : str
        Operand format.
    cycles : int
        Ours, first command taken to last result taken.
    bound_cycles : int
        Sum over the plan's blocks of max(M', R). A ragged K can take less: its last blocks load fewer than R rows.
    scalesim_ws, scalesim_os : int
        SCALE-Sim's compute cycles, weight stationary and output stationary.
    """

    m: int
    k: int
    n: int
    config: TileConfig
    format: str
    cycles: int
    bound_cycles: int
    scalesim_ws: int
    scalesim_os: int

    @property
    def of_bound(self) -> float:
        """``bound_cycles / cycles``: 1.0 is a tile that never waits."""
        return self.bound_cycles / self.cycles

    @property
    def latency_allowance(self) -> int:
        """Cycles that the latency L of our processing elements may add to a product: (R-1)(L-1)."""
        return (self.config.rows - 1) * (self.config.latency - 1)


def compare(
    shapes: Iterable[tuple[int, int, int]] = GEMM_SHAPES, tiles: Sequence[TileConfig] = GEMM_TILES
) -> list[Comparison]:
    """Compare every shape (M, K, N) on every tile, in the first format that is built into it.

    Raises
    ------
    UserError
        If a shape does not fit a tile's operand buffers.
    """
    comparisons = []
    for config in tiles:
        for m, k, n in shapes:
            fmt = config.formats[0]
            planned = plan(m, k, n, fmt, config)
            comparisons.append(
                Comparison(
                    m=m,
                    k=k,
                    n=n,
                    config=config,
                    format=fmt,
                    cycles=predict(planned.commands, config).cycles,
                    bound_cycles=planned.bound_cycles,
                    scalesim_ws=weight_stationary(m, k, n, config.rows, config.columns),
                    scalesim_os=output_stationary(m, k, n, config.rows, config.columns),
                )
            )
    return comparisons


def comparison_table(comparisons: Iterable[Comparison]) -> str:
    """The comparisons as a plain text table; the last columns are ours as a share of the bound and of SCALE-Sim's."""
    headers = ["array", "format", "MxKxN", "cycles", "bound", "% of bound", "SCALE-Sim ws", "SCALE-Sim os", "ws / ours"]
    rows: list[list[Cell]] = [
        [
            f"{one.config.rows}x{one.config.columns}",
            one.format,
            f"{one.m}x{one.k}x{one.n}",
            one.cycles,
            one.bound_cycles,
            100 * one.of_bound,
            one.scalesim_ws,
            one.scalesim_os,
            one.scalesim_ws / one.cycles,
        ]
        for one in comparisons
    ]
    return format_table(headers, rows)
