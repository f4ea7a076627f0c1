"""``openppu predict``: the cycles of a matrix product from the cycle model alone, without a simulator."""

import argparse

from openppu.config import FORMATS, TileConfig

from openppu_sim.cycles.tile_fast import predict
from openppu_sim.lowering.tile import MOST_PIECES, plan
from openppu_sim.report.table import print_table


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``predict``."""
    parser = subparsers.add_parser(
        "predict",
        help="predict the cycles of a matrix product, without a simulator",
        description="Predict the cycles of an m x k by k x n product on one tile with the cycle model, which equals "
        "the RTL exactly when no stream stalls. Operand buffers are taken as large enough. "
        f"A product may be cut into {MOST_PIECES:,} pieces, about half a minute's work.",
    )
    for name in "mkn":
        parser.add_argument(name, type=int, metavar=name.upper(), help=f"{name}, at least 1")
    parser.add_argument("--format", choices=FORMATS, help="operand format (default: the first that is built in)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the prediction."""
    tile: TileConfig = args.chip.tile
    fmt = args.format or tile.formats[0]
    planned = plan(args.m, args.k, args.n, fmt, tile, resident=False)
    report = predict(planned.commands, tile)
    of_bound = 100 * planned.bound_cycles / report.cycles
    utilisation = 100 * args.m * args.k * args.n / (report.cycles * tile.rows * tile.columns)
    milliseconds = report.cycles / (args.chip.clock_mhz * 1e3)
    print(f"{args.chip.name}: one tile of {tile.rows} x {tile.columns} at {args.chip.clock_mhz:g} MHz\n")
    headers = ["M x K x N", "format", "predicted cycles", "bound", "of bound %", "utilisation %", "ms"]
    shape = f"{args.m}x{args.k}x{args.n}"
    print_table(headers, [[shape, fmt, report.cycles, planned.bound_cycles, of_bound, utilisation, milliseconds]])
    causes = {cause: cycles for cause, cycles in report.by_cause().items() if cycles}
    print("\nWhere the cycles go\n")
    print_table(list(causes), [list(causes.values())])
    return 0
