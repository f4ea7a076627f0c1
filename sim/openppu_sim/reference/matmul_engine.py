"""What the matmul engine makes of a scratchpad, command by command, from ``docs/matmul.md``."""

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS, INT8, Format

from openppu_sim.lowering.matmul import Addend, Ending, MatmulCommand, Result
from openppu_sim.reference.formats import Bits32, bits_dtype, from_binary32
from openppu_sim.reference.matmul import matmul
from openppu_sim.reference.quantise import binary32_to_int8, int32_to_int8
from openppu_sim.reference.stochastic import narrow_stochastically, position_random

GRAIN = 8
"""Bytes: what every address and stride is a multiple of, and what rows of D are filled up to."""

STORES = (Result.SUMS, Result.CONVERTED)
"""Results that are written to D."""


class MatmulEngineReference:
    """An engine with its accumulators, beside a scratchpad.

    Columns of an accumulator row that no command computed hold zeros here; in hardware they hold anything.

    Parameters
    ----------
    chip : ChipConfig
    scratchpad : ndarray of uint8
        Changed by the commands.
    """

    def __init__(self, chip: ChipConfig, scratchpad: NDArray[np.uint8]) -> None:
        self.tile = chip.tile
        self.can_be_stochastic = chip.matmul.stochastic and chip.tile.has_float
        self.scratchpad = scratchpad
        self.accumulators = np.zeros((chip.tile.accumulators, chip.tile.columns), np.uint32)

    def run(self, command: MatmulCommand) -> Ending:
        """Run a command, or refuse it, which changes nothing."""
        error = self.refusal(command)
        if error is Ending.OKAY:
            self._run(command)
        return error

    def refusal(self, command: MatmulCommand) -> Ending:
        """Why a command is refused; ``Ending.OKAY``: it is not."""
        formats = {FORMATS[name].code: FORMATS[name] for name in self.tile.formats}
        good_fields = (
            min(command.m, command.n, command.k) > 0
            and command.addend in tuple(Addend)
            and command.result in tuple(Result)
            and not command.reserved
            and (not command.stochastic or self.can_be_stochastic)
        )
        if not good_fields:
            return Ending.FIELD
        fmt = formats.get(command.format)
        converted = formats.get(command.result_format) if command.result == Result.CONVERTED else INT8
        if fmt is None or converted is None or (converted.is_float and not fmt.is_float):
            return Ending.FORMAT
        ranges = self.ranges(command)
        if any((address | stride) % align for address, stride, _, _, align in ranges.values()):
            return Ending.ALIGNMENT
        beyond = any(
            address + (rows - 1) * stride + row_bytes > self.scratchpad.size
            for address, stride, rows, row_bytes, _ in ranges.values()
        )
        return Ending.BOUNDS if beyond or not self._fits(command) else Ending.OKAY

    def _fits(self, command: MatmulCommand) -> bool:
        """Whether there are accumulators enough."""
        most = self.tile.accumulators
        n_blocks = -(-command.n // self.tile.columns)
        if max(command.m, n_blocks) > most or command.accumulator >= most:
            return False
        passes = command.k <= self.tile.rows and command.result in STORES and command.addend != Addend.ACCUMULATORS
        return passes or command.m * n_blocks <= most

    def ranges(self, command: MatmulCommand) -> dict[str, tuple[int, int, int, int, int]]:
        """Of each matrix that the command names: address, stride, rows, bytes of a row, alignment."""
        rows, columns = self.tile.rows, self.tile.columns
        element = bits_dtype(_format(command.format))(0).nbytes
        m, n, k = command.m, command.n, command.k
        a_shape = (k, m * element) if command.transpose_a else (m, k * element)
        b_shape = (n, k * element) if command.transpose_b else (k, n * element)
        b_lanes = rows if command.transpose_b else columns
        found = {
            "a": (command.a_address, command.a_stride, *a_shape, max(GRAIN, rows * element)),
            "b": (command.b_address, command.b_stride, *b_shape, max(GRAIN, b_lanes * element)),
        }
        if command.addend == Addend.SCRATCHPAD:
            found["c"] = (command.c_address, command.c_stride, m, 4 * n, max(GRAIN, 4 * columns))
        if command.result in STORES:
            size = 4 if command.result == Result.SUMS else _format(command.result_format).bits // 8
            grain = min(GRAIN, columns * size)
            row_bytes = -(-n * size // grain) * grain
            found["d"] = (command.d_address, command.d_stride, m, row_bytes, max(GRAIN, columns * size))
        return found

    def _rows(self, address: int, stride: int, rows: int, row_bytes: int) -> NDArray[np.intp]:
        """Where the bytes of a matrix are, shape (rows, row_bytes)."""
        return address + stride * np.arange(rows)[:, None] + np.arange(row_bytes)

    def _run(self, command: MatmulCommand) -> None:
        fmt = _format(command.format)
        where = {name: self._rows(*values[:4]) for name, values in self.ranges(command).items()}

        def read(name: str, dtype: type) -> NDArray:
            return np.ascontiguousarray(self.scratchpad[where[name]]).view(dtype)

        a, b = read("a", bits_dtype(fmt)), read("b", bits_dtype(fmt))
        a = a.T if command.transpose_a else a
        b = b.T if command.transpose_b else b
        places = self._places(command)
        start = None
        if command.addend == Addend.SCRATCHPAD:
            start = read("c", np.uint32)
        elif command.addend == Addend.ACCUMULATORS:
            start = self._joined(self.accumulators[places], command)
        total = matmul(np.ascontiguousarray(a), np.ascontiguousarray(b), start, fmt)
        self.accumulators[places] = self._cut(total, command)
        if command.result in STORES:
            row = convert(total, command).view(np.uint8).reshape(command.m, -1)
            padded = np.zeros(where["d"].shape, np.uint8)
            padded[:, : row.shape[1]] = row
            # Row after row, as the engine writes: later ones win where rows overlap.
            for place, data in zip(where["d"], padded, strict=True):
                self.scratchpad[place] = data

    def _places(self, command: MatmulCommand) -> NDArray[np.intp]:
        """The accumulator row of each N block and row."""
        n_blocks = -(-command.n // self.tile.columns)
        return (command.accumulator + np.arange(n_blocks * command.m)) % self.tile.accumulators

    def _cut(self, matrix: Bits32, command: MatmulCommand) -> Bits32:
        """A matrix as accumulator rows: N block by N block, and in each row by row."""
        columns = self.tile.columns
        padded = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % columns)))
        return padded.reshape(command.m, -1, columns).swapaxes(0, 1).reshape(-1, columns)

    def _joined(self, rows: Bits32, command: MatmulCommand) -> Bits32:
        """The reverse of `_cut`."""
        columns = self.tile.columns
        return rows.reshape(-1, command.m, columns).swapaxes(0, 1).reshape(command.m, -1)[:, : command.n].copy()


def _format(code: int) -> Format:
    return next(fmt for fmt in FORMATS.values() if fmt.code == code)


def convert(total: Bits32, command: MatmulCommand) -> NDArray:
    """The sums as the command wants them written.

    Parameters
    ----------
    total : array of uint32
        Patterns of int32 or binary32, as the command's format has them.
    command : MatmulCommand

    Returns
    -------
    array of uint8, uint16 or uint32
        Patterns of the same shape.
    """
    if command.relu:
        total = np.where(total >> 31, np.uint32(0), total)
    if command.result == Result.SUMS:
        return total
    fmt = _format(command.result_format)
    if fmt.is_float and command.stochastic:
        rows, columns = np.indices(total.shape)
        random = position_random(rows, columns, command.scale)
        return narrow_stochastically(total, fmt, random, saturate=bool(command.saturate))
    if fmt.is_float:
        return from_binary32(total, fmt, saturate=bool(command.saturate))
    requantise = binary32_to_int8 if _format(command.format).is_float else int32_to_int8
    return requantise(total, np.uint32(command.scale), command.zero_point)
