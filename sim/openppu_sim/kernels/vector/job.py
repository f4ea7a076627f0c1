"""What a computation of the vector unit on matrices in memory is of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from openppu.formats.spec import BINARY32

from openppu_sim.checks import set_whole
from openppu_sim.kernels.memory_range import MemoryRange
from openppu_sim.kernels.vector.commands import format_named
from openppu_sim.kernels.vector.matrix import Matrix
from openppu_sim.kernels.vector.plan import Plan, Unit


@dataclass(frozen=True, kw_only=True)
class Array:
    """A matrix in memory; int32 has the format ``binary32``, as all 32-bit words.

    Parameters
    ----------
    address : int
        Of its first element.
    rows, columns : int
    format : str
    stride : int
        Bytes from a row to the next; 0: they lie one behind the other.

    Raises
    ------
    UserError
        If there is no such matrix.
    """

    address: int
    rows: int
    columns: int
    format: str = BINARY32.name
    stride: int = 0

    def __post_init__(self) -> None:
        for name, least in (("address", 0), ("rows", 1), ("columns", 1), ("stride", 0)):
            set_whole(self, name, f"array {name}", least)
        format_named(self.format)

    def in_memory(self, name: str) -> MemoryRange:
        """Where it lies."""
        row = self.columns * self.element_bytes
        return MemoryRange(name=name, address=self.address, rows=self.rows, row_bytes=row, stride=self.pitch)

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return format_named(self.format).bits // 8

    @property
    def pitch(self) -> int:
        """Bytes from a row to the next."""
        return self.stride or self.columns * self.element_bytes


class Shape(Enum):
    """What an operand has of a computation's rows and columns."""

    MATRIX = auto()
    ROW = auto()
    """One row, for all rows."""
    COLUMN = auto()
    """One column, for all columns."""
    LIST = auto()
    """One row, with an element for each row."""
    TOTAL = auto()
    """One row, which stays in the scratchpad until all rows have been seen."""
    ROOM = auto()
    """Room for a strip of rows, in the scratchpad alone."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """What a computation reads, writes, or both.

    Parameters
    ----------
    shape : Shape
    reads : Array, optional
    writes : Array, optional
        May be elsewhere than what is read.
    format : str
        Of a ROOM.
    """

    shape: Shape = Shape.MATRIX
    reads: Array | None = None
    writes: Array | None = None
    format: str = BINARY32.name

    @property
    def array(self) -> Array | None:
        """What it is in memory; None for a ROOM."""
        return self.reads or self.writes


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows and columns of a computation."""

    row: int
    rows: int
    column: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class VectorJob:
    """A computation on matrices in memory; `openppu_sim.kernels.vector.jobs` makes them.

    Parameters
    ----------
    name : str
    rows, columns : int
    operands : tuple of Operand
    plan : callable
        From the unit, the operands of a piece in the scratchpad, and the piece, to the vector unit's plan.
    whole_rows : bool
        A row must be in one piece.
    own_pieces : bool
        Results depend on how it is cut: several units take the pieces of one.
    """

    name: str
    rows: int
    columns: int
    operands: tuple[Operand, ...]
    plan: Callable[[Unit, Sequence[Matrix], Piece], Plan]
    whole_rows: bool = True
    own_pieces: bool = False
