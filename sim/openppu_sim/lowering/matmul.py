"""Products of matrices in a scratchpad as commands of the matmul engine (``docs/matmul.md``)."""

from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import pairwise

from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS
from openppu.matmul.command import command_layout
from openppu.matmul.sizes import GRAIN

from openppu_sim.lowering.tile import plan


class Ending(IntEnum):
    """How a command ended: the codes of `openppu.command.error.Error`."""

    OKAY = 0
    OPCODE = 1
    FIELD = 2
    ALIGNMENT = 3
    BOUNDS = 4
    MEMORY = 5
    LINK = 6
    TIMEOUT = 7
    FORMAT = 8


class Addend(IntEnum):
    """What the products are added to."""

    ZERO = 0
    ACCUMULATORS = 1
    SCRATCHPAD = 2


class Result(IntEnum):
    """What becomes of the sums."""

    NONE = 0
    SUMS = 1
    CONVERTED = 2
    KEPT = 3


@dataclass(frozen=True, kw_only=True)
class MatmulCommand:
    """One command, field by field as ``docs/matmul.md`` describes them; any integers that fit the fields."""

    m: int
    n: int
    k: int
    format: int
    a_address: int
    a_stride: int
    b_address: int
    b_stride: int
    c_address: int = 0
    c_stride: int = 0
    d_address: int = 0
    d_stride: int = 0
    transpose_a: int = 0
    transpose_b: int = 0
    addend: int = Addend.ZERO
    accumulator: int = 0
    result: int = Result.SUMS
    result_format: int = 0
    relu: int = 0
    saturate: int = 0
    stochastic: int = 0
    after: int = 0
    reserved: int = 0
    zero_point: int = 0
    scale: int = 0

    def encode(self) -> int:
        """The command's bits, as the engine takes them."""
        layout = command_layout()
        bits = 0
        for f in fields(self):
            place = layout[f.name]
            bits |= (int(getattr(self, f.name)) & ((1 << place.width) - 1)) << place.offset
        return bits


def product(
    m: int, k: int, n: int, fmt: str, chip: ChipConfig, *, a_address: int, b_address: int, d_address: int, **fields: int
) -> list[MatmulCommand]:
    """A x B of matrices that lie in the scratchpad, as few commands as the accumulators allow.

    Parameters
    ----------
    m, k, n : int
    fmt : str
    chip : ChipConfig
    a_address, b_address, d_address : int
        Where the matrices lie, row after row; see `row_stride`.
    fields : int
        More fields of every command, such as ``transpose_a``, ``result`` and ``result_format``.

    Raises
    ------
    UserError
        If the format is not built in.
    """
    columns = chip.tile.columns
    element = FORMATS[fmt].bits // 8
    results = Result(fields.get("result", Result.SUMS))
    of_result = next(each for each in FORMATS.values() if each.code == fields.get("result_format", 0)).bits // 8
    d_element = 4 if results == Result.SUMS else of_result
    a_turned, b_turned = fields.get("transpose_a", 0), fields.get("transpose_b", 0)
    a_stride = row_stride(m if a_turned else k, element, chip)
    b_stride = row_stride(k if b_turned else n, element, chip)
    d_stride = row_stride(n, d_element, chip)
    # Pieces begin where alignment allows: rows of a transposed A and columns of B and D at multiples of 8 bytes.
    rows_step = max(chip.tile.rows, GRAIN // element) if a_turned else 1
    blocks_step = max(1, GRAIN // (columns * min(element, d_element)))
    planned = plan(m, k, n, fmt, chip.tile, resident=False)
    most_rows = min(planned.chunks[0][1], chip.tile.accumulators // blocks_step)
    most_rows = max(rows_step, most_rows // rows_step * rows_step)
    most_blocks = max(blocks_step, chip.tile.accumulators // most_rows // blocks_step * blocks_step)
    commands = []
    accumulator = 0
    for row, rows in _pieces(m, most_rows, rows_step):
        for block, blocks in _pieces(-(-n // columns), most_blocks, blocks_step):
            first = block * columns
            commands.append(
                MatmulCommand(
                    m=rows,
                    n=min(blocks * columns, n - first),
                    k=k,
                    format=FORMATS[fmt].code,
                    a_address=a_address + (row * element if a_turned else row * a_stride),
                    a_stride=a_stride,
                    b_address=b_address + (first * b_stride if b_turned else first * element),
                    b_stride=b_stride,
                    d_address=d_address + row * d_stride + first * d_element,
                    d_stride=d_stride,
                    accumulator=accumulator,
                    **fields,
                )
            )
            accumulator = (accumulator + rows * blocks) % chip.tile.accumulators
    return commands


def _pieces(total: int, most: int, step: int) -> list[tuple[int, int]]:
    """Start and size of pieces of at most ``most``, as even as starts at multiples of ``step`` allow."""
    steps, count = -(-total // step), -(-total // most)
    starts = [min(steps * piece // count * step, total) for piece in range(count + 1)]
    return [(start, end - start) for start, end in pairwise(starts)]


def row_stride(elements: int, element: int, chip: ChipConfig) -> int:
    """Bytes of a row, filled up to what every alignment asks for."""
    align = max(8, max(chip.tile.rows, chip.tile.columns) * element)
    return -(-elements * element // align) * align
