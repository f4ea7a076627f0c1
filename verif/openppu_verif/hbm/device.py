"""The C++ device model from Python: one channel behind a PHY, a controller clock at a time."""

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from openppu.hbm.device import Organisation
from openppu.hbm.phy import CHECK_BITS, DATA_BITS, PSEUDO_CHANNELS

from openppu_verif.hbm.constraints import COMMANDS
from openppu_verif.hbm.mode_rules import REGISTERS, Driven, obeyed
from openppu_verif.hbm.native_library import TEXT, load

BEATS = 4
DATA_BYTES, CHECK_BYTES = DATA_BITS // 8, CHECK_BITS // 8
WORD_BITS = DATA_BITS + CHECK_BITS
MOST_READS = 1 << 63
_int = ctypes.c_int32


class Word(ctypes.Structure):
    """One access: data, and a check byte a beat of eight."""

    _fields_ = [("data", ctypes.c_uint8 * DATA_BYTES), ("check", ctypes.c_uint8 * CHECK_BYTES)]


class RowSlot(ctypes.Structure):
    """A slot of the row bus; ``command`` counts as `COMMANDS` does."""

    _fields_ = [("command", _int), ("pc", _int), ("bank", _int), ("row", _int)]


class ColumnSlot(ctypes.Structure):
    """A slot of the column bus."""

    _fields_ = [("command", _int), ("bank", _int), ("column", _int), ("operand", _int)]


class Drive(ctypes.Structure):
    """What the controller drives during one clock."""

    _fields_ = [
        ("reset_n", _int),
        ("cke", _int),
        ("init_start", _int),
        ("row", RowSlot * 2),
        ("column", ColumnSlot * PSEUDO_CHANNELS),
        ("write_valid", _int * PSEUDO_CHANNELS),
        ("write_mask", ctypes.c_uint32 * PSEUDO_CHANNELS),
        ("write", Word * PSEUDO_CHANNELS),
    ]


class Sense(ctypes.Structure):
    """What the controller sees during one clock."""

    _fields_ = [
        ("read_valid", _int * PSEUDO_CHANNELS),
        ("read", Word * PSEUDO_CHANNELS),
        ("temperature", _int),
        ("catastrophic", _int),
        ("address_error", _int),
        ("init_complete", _int),
        ("update_request", _int),
    ]


class _Organisation(ctypes.Structure):
    _fields_ = [(name, _int) for name in ("banks", "rows", "training", "address_error", "delay")]


class Device:
    """A channel.

    Parameters
    ----------
    organisation : Organisation
    build_root : Path
        Folder of all that is generated.
    driven : Driven, optional
        It is initialised, for this; by default it waits for reset, training and mode registers.
    training_clocks : int
        Controller clocks from ``init_start`` to ``init_complete``.
    address_error_clocks : int
        Controller clocks from a command with wrong parity to ``address_error``.
    read_delay : int
        Controller clocks that the PHY adds to a read.
    """

    def __init__(
        self,
        organisation: Organisation,
        build_root: Path,
        *,
        driven: Driven | None = None,
        training_clocks: int = 16,
        address_error_clocks: int = 4,
        read_delay: int = 0,
    ):
        self.organisation = organisation
        self._library = load(build_root)
        clocks = (training_clocks, address_error_clocks, read_delay)
        numbers = (organisation.banks, organisation.rows, *clocks)
        modes = obeyed(driven) if driven else None
        self._device = self._library.device_new(ctypes.byref(_Organisation(*numbers)), modes)

    def __del__(self) -> None:
        if getattr(self, "_device", None):
            self._library.device_delete(self._device)

    def clock(self, drive: Drive) -> int:
        """End the clock in which the controller drives this.

        Returns
        -------
        int
            A bit for each command lost to a parity fault: row slot 0, 1, column slot 0, 1.
        """
        return int(self._library.device_clock(self._device, ctypes.byref(drive)))

    @property
    def sense(self) -> Sense:
        """What the controller sees in the present clock."""
        sense = Sense()
        self._library.device_sense(self._device, ctypes.byref(sense))
        return sense

    def load(
        self, pc: int, bank: int, row: int, column: int, data: NDArray[np.uint8], check: NDArray[np.uint8]
    ) -> None:
        """Write memory without the bus.

        Parameters
        ----------
        pc, bank, row, column : int
            Of the first word; columns come first, then rows of the bank.
        data : array of uint8, shape (n, 32)
        check : array of uint8, shape (n, 4)

        Raises
        ------
        ValueError
            If the shapes do not fit each other, the values no byte, or the words not into the bank.
        """
        data, check = _bytes(data), _bytes(check)
        if data.shape[1:] != (DATA_BYTES,) or check.shape != (len(data), CHECK_BYTES):
            raise ValueError(f"data of shape {data.shape}, check of {check.shape}: give (n, 32) and (n, 4)")
        self._fits(pc, bank, row, column, len(data))
        place = (pc, bank, row, column, len(data))
        self._library.device_load(self._device, *place, data.ctypes.data, check.ctypes.data)

    def dump(
        self, pc: int, bank: int, row: int, column: int, count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read memory without the bus: as `load`, data of shape (count, 32) and check bytes of shape (count, 4)."""
        self._fits(pc, bank, row, column, count)
        data, check = np.zeros((count, DATA_BYTES), np.uint8), np.zeros((count, CHECK_BYTES), np.uint8)
        self._library.device_dump(self._device, pc, bank, row, column, count, data.ctypes.data, check.ctypes.data)
        return data, check

    def _fits(self, pc: int, bank: int, row: int, column: int, count: int) -> None:
        of = self.organisation
        first = row * of.columns + column
        here = 0 <= pc < PSEUDO_CHANNELS and 0 <= bank < of.banks and 0 <= row < of.rows and 0 <= column < of.columns
        if not here or not 0 <= count <= of.rows * of.columns - first:
            raise ValueError(
                f"{count} words from PC {pc}, bank {bank}, row {row}, column {column} on: they are not all within "
                f"{PSEUDO_CHANNELS} PCs, {of.banks} banks, {of.rows} rows and {of.columns} columns"
            )

    def erase(self) -> None:
        """Forget all that was written."""
        self._library.device_erase(self._device)

    @property
    def pages(self) -> int:
        """Rows that take up memory."""
        return int(self._library.device_pages(self._device))

    def flip_bit(self, pc: int, bank: int, row: int, column: int, bit: int) -> None:
        """Flip a stored bit: 0 to 255 of the data, 256 to 287 of the check bits."""
        self._fits(pc, bank, row, column, 1)
        _within("bit", bit, WORD_BITS)
        self._library.device_flip_bit(self._device, pc, bank, row, column, bit)

    def stick_bit(self, pc: int, bank: int, row: int, column: int, bit: int, value: bool) -> None:
        """From now on a bit reads as this value, whatever is written."""
        self._fits(pc, bank, row, column, 1)
        _within("bit", bit, WORD_BITS)
        self._library.device_stick_bit(self._device, pc, bank, row, column, bit, value)

    def flip_reads(self, pc: int, bits: set[int], *, skip: int = 0, count: int = 1) -> None:
        """Flip bits on the wires, of ``count`` reads after ``skip``, counted from the end of the PC's last fault."""
        _reads(pc, skip, count)
        mask = Word()
        for bit in bits:
            _within("bit", bit, WORD_BITS)
            if bit < DATA_BITS:
                mask.data[bit // 8] ^= 1 << bit % 8
            else:
                mask.check[(bit - DATA_BITS) // 8] ^= 1 << bit % 8
        self._library.device_flip_reads(self._device, pc, skip, count, ctypes.byref(mask))

    def flip_lane(self, pc: int, lane: int, *, skip: int = 0, count: int = 1) -> None:
        """Flip all that a byte lane carries: 0 to 7 of the data, 8 of the check bits; see `flip_reads`."""
        _within("lane", lane, BEATS * 2 + 1)
        first = [DATA_BITS + 8 * beat if lane == BEATS * 2 else 64 * beat + 8 * lane for beat in range(BEATS)]
        self.flip_reads(pc, {bit + i for bit in first for i in range(8)}, skip=skip, count=count)

    def lose_strobes(self, pc: int, *, skip: int = 0, count: int = 1) -> None:
        """``read_valid`` fails to come for ``count`` reads after the next ``skip``."""
        _reads(pc, skip, count)
        self._library.device_lose_strobes(self._device, pc, skip, count)

    def spoil_command(self, *, column_bus: bool, skip: int = 0) -> None:
        """The bus's next command but ``skip`` has wrong parity: it is ignored, and ``address_error`` comes."""
        _within("skip", skip, MOST_READS)
        self._library.device_spoil_command(self._device, column_bus, skip)

    def clear_faults(self) -> None:
        """End all faults; what was stored wrong stays."""
        self._library.device_clear_faults(self._device)

    def signals(self, *, temperature: int = 3, catastrophic: bool = False, update_request: bool = False) -> None:
        """Set what the device and the PHY tell the controller."""
        _within("temperature", temperature, 8)
        self._library.device_signals(self._device, temperature, catastrophic, update_request)

    def mode_register(self, number: int) -> int:
        """The value that ``MRS`` last wrote there."""
        _within("number", number, REGISTERS)
        return int(self._library.device_mode_register(self._device, number))

    def is_open(self, pc: int, bank: int) -> bool:
        """Whether the bank has an open row."""
        self._fits(pc, bank, 0, 0, 0)
        return bool(self._library.device_open(self._device, pc, bank))

    @property
    def problems(self) -> list[str]:
        """The first few commands that could not be obeyed, in words."""
        texts: list[str] = []
        text = ctypes.create_string_buffer(TEXT)
        while self._library.device_problem(self._device, len(texts), text, TEXT):
            texts.append(text.value.decode())
        return texts


def _bytes(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As an array of bytes; a value that is none is not cut to one."""
    array = np.asarray(values)
    if array.size and (array.dtype.kind not in "ui" or array.min() < 0 or array.max() > 255):
        raise ValueError(f"an array of {array.dtype}: give bytes, integers from 0 to 255")
    return np.ascontiguousarray(array, np.uint8)


def _within(name: str, value: int, end: int) -> None:
    if not 0 <= value < end:
        raise ValueError(f"{name} {value}: give one from 0 to {end - 1}")


def _reads(pc: int, skip: int, count: int) -> None:
    _within("pc", pc, PSEUDO_CHANNELS)
    _within("skip", skip, MOST_READS)
    _within("count", count, MOST_READS)


def row_slot(name: str, pc: int = 0, bank: int = 0, row: int = 0) -> RowSlot:
    """A command of the row bus by its name."""
    return RowSlot(COMMANDS.index(name), pc, bank, row)


def column_slot(name: str, bank: int = 0, column: int = 0, operand: int = 0) -> ColumnSlot:
    """A command of the column bus by its name."""
    return ColumnSlot(COMMANDS.index(name), bank, column, operand)
