"""``openppu matmul``: the user's own matrices on the tile's RTL, every bit and cycle checked."""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from openppu.config import FORMATS as FORMAT_NAMES
from openppu.config import ChipConfig, TileConfig
from openppu.formats.spec import FORMATS, Format

from openppu_sim.arrays import read_array, write_array
from openppu_sim.errors import UserError
from openppu_sim.reference.formats import accumulator_dtype, encode
from openppu_sim.report.json_report import SCHEMA, commit, make_folder, writable, write_json
from openppu_sim.report.run import TileRun
from openppu_sim.report.run_table import cause_table, run_table
from openppu_sim.simulator.model_cache import check_root
from openppu_sim.simulator.tile import run_matmul

WRAPS_FROM = 131_072
"""This many products of two -128 add up to 2**31, which an int32 does not hold."""

DESCRIPTION = """\
Multiply two matrices on the Verilated tile, D = A x B (+ C), and compare every bit with the numpy reference and the
cycle count with the cycle model.

A and B are .npy files of shape (m, k) and (k, n): float32 for a float format, int8 for int8. float32 values are
rounded to the format, to nearest even; what is too large for an fp8 format becomes its largest number, and for fp16
and bf16 infinity. D, and C if given, have shape (m, n) and hold the accumulators: float32, or int32 for int8."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Add the parser of ``matmul``."""
    parser = subparsers.add_parser(
        "matmul",
        help="multiply your own matrices on the RTL",
        description=DESCRIPTION,
        epilog="exit codes: 0 done, 1 a bit or the cycle count is not as promised, 2 bad input or a missing tool",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", type=Path, metavar="A.npy", help="left operand, m x k")
    parser.add_argument("b", type=Path, metavar="B.npy", help="right operand, k x n")
    parser.add_argument("--addend", type=Path, metavar="C.npy", help="accumulators to start from, m x n (default: 0)")
    parser.add_argument("--format", choices=FORMAT_NAMES, required=True, help="operand format")
    parser.add_argument("-o", "--output", type=Path, metavar="D.npy", help="where the accumulators go")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--timeline", type=Path, metavar="FILE.png", help="where a picture of the cycles' causes goes")
    parser.add_argument(
        "--allow-wrap",
        action="store_true",
        help=f"allow an int8 k of {WRAPS_FROM:,} or more, whose sums may wrap around modulo 2**32",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the product, print its figures and write what was asked for."""
    chip: ChipConfig = args.chip
    fmt = FORMATS[args.format]
    if fmt.name not in chip.tile.formats:
        raise UserError(
            f"--format {fmt.name}: not built into {chip.name} (tile.formats = {', '.join(chip.tile.formats)}); use one "
            f"of these, or add --set tile.formats={','.join((*chip.tile.formats, fmt.name))}"
        )
    _check_outputs(args)
    a, b, c = read_operands(args.a, args.b, args.addend, fmt)
    (m, k), n = a.shape, b.shape[1]
    if not fmt.is_float and k >= WRAPS_FROM and not args.allow_wrap:
        raise UserError(
            f"{args.a}: k = {k}: int8 sums of {WRAPS_FROM} products or more may not fit an int32; cut k, "
            "or say --allow-wrap to have them modulo 2**32"
        )
    check_addresses(m, k, n, chip.tile)
    check_root(args.build_dir)
    make_folder(args.build_dir)

    result = run_matmul(
        f"{args.a.stem} x {args.b.stem}",
        encode(a, fmt),
        encode(b, fmt),
        fmt.name,
        chip=chip,
        build_root=args.build_dir,
        c_bits=None if c is None else c.view(np.uint32),
    )
    print(f"{chip.name}: a tile of {chip.tile.rows} x {chip.tile.columns}\n")
    print(run_table([result], chip.tile, what="product"))
    causes = cause_table([result], what="product")
    print(f"\nWhere the cycles went\n\n{causes}")
    _write(result, fmt, args)
    for line in result.failures():
        print(f"FAILED: {line}; please report it with A, B and the configuration", file=sys.stderr)
    return 1 if result.failures() else 0


def read_operands(
    a_path: Path, b_path: Path, c_path: Path | None, fmt: Format
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read A, B and C, shapes (m, k), (k, n) and (m, n).

    Raises
    ------
    UserError
        If a file is not an array of the right type and shape; the message names the file.
    """
    operand = np.dtype(np.float32 if fmt.is_float else np.int8)
    arrays = []
    for path in (a_path, b_path):
        array = read_array(path, operand, f"operands of {fmt.name}")
        if array.ndim != 2 or 0 in array.shape:
            raise UserError(f"{path}: shape {array.shape}: give a matrix, of at least 1 x 1")
        arrays.append(array)
    a, b = arrays
    if a.shape[1] != b.shape[0]:
        raise UserError(
            f"{a_path} of shape {a.shape} and {b_path} of shape {b.shape} do not multiply: "
            f"give A as (m, k) and B as (k, n) with one k"
        )
    if c_path is None:
        return a, b, None
    c = read_array(c_path, np.dtype(accumulator_dtype(fmt)), f"accumulators of {fmt.name}")
    if c.shape != (a.shape[0], b.shape[1]):
        raise UserError(f"{c_path}: shape {c.shape}: to be added to A x B it must be {(a.shape[0], b.shape[1])}")
    return a, b, c


def check_addresses(m: int, k: int, n: int, tile: TileConfig) -> None:
    """Raise UserError, with the setting that helps, unless both operands fit the operand buffers' addresses."""
    beats = max(m * -(-k // tile.rows), k * -(-n // tile.columns))
    bits = (beats - 1).bit_length()
    if bits > 32:
        raise UserError(
            f"a {m} x {k} x {n} product takes {beats:,} operand rows, at most {1 << 32:,} can be addressed; cut it"
        )
    if bits > tile.address_bits:
        raise UserError(
            f"a {m} x {k} x {n} product takes {beats:,} operand rows, but tile.address_bits = {tile.address_bits} "
            f"addresses {1 << tile.address_bits:,}: add --set tile.address_bits={bits}"
        )


def _check_outputs(args: argparse.Namespace) -> None:
    """Raise UserError, before any work, if an output is an input, another output, or cannot be written."""
    taken = {"A": args.a, "B": args.b, "--addend": args.addend}
    for name in ("output", "json", "timeline"):
        path = getattr(args, name)
        if path is None:
            continue
        for other, given in taken.items():
            if given is not None and os.path.realpath(path) == os.path.realpath(given):
                raise UserError(f"--{name} {path}: the same file as {other}; choose another")
        taken[f"--{name}"] = path
        writable(path)
    if args.timeline is not None and args.timeline.suffix.lower() != ".png":
        raise UserError(f"--timeline {args.timeline}: the picture is a PNG; give a name that ends in .png")


def _write(result: TileRun, fmt: Format, args: argparse.Namespace) -> None:
    """Write the files that were asked for; no result that is known to be wrong."""
    chip: ChipConfig = args.chip
    written = []
    if args.output is not None and not result.mismatches:
        written.append(write_array(args.output, result.result.view(accumulator_dtype(fmt))))
    if args.json is not None:
        written.append(write_json(args.json, _record(result, chip)))
    if args.timeline is not None:
        from openppu_sim.report.timeline import plot_utilisation  # here, since matplotlib takes a while to import

        title = f"{chip.name}: where the cycles of the {chip.tile.rows} x {chip.tile.columns} tile went"
        written.append(plot_utilisation(args.timeline, [result], title=title))
    if written:
        print(f"\nWrote {', '.join(map(str, written))}")


def _record(result: TileRun, chip: ChipConfig) -> dict[str, Any]:
    config = {"name": chip.name, "fingerprint": chip.fingerprint(), "tile": asdict(chip.tile)}
    return {"schema": SCHEMA, "commit": commit(), "config": config, **result.record(), "of_bound": result.of_bound}
