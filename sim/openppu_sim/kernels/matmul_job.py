"""What a product of matrices in memory is of."""

from dataclasses import dataclass

from openppu.config import ChipConfig, TileConfig
from openppu.formats.spec import FORMATS

from openppu_sim.checks import set_whole
from openppu_sim.errors import UserError
from openppu_sim.kernels.memory_range import MemoryRange

SUM_BYTES = 4
"""Of a sum."""
MOST_K = (1 << 17) - 1
"""Of int8: so many products of -128 x -128 are less than 2**31."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A matrix in memory: address of its first element, and bytes from a row to the next."""

    address: int
    stride: int

    def __post_init__(self) -> None:
        set_whole(self, "address", "matmul address", 0)
        set_whole(self, "stride", "matmul stride")


@dataclass(frozen=True, kw_only=True)
class MatmulJob:
    """D = A x B (+ a row C), of m x k and k x n elements.

    Parameters
    ----------
    m, n, k : int
    format : str
        Of A and B.
    a, b, d : Operand
        D has 32-bit sums, or elements of ``result_format``.
    transpose_a, transpose_b : bool
        A is stored as its transpose, k rows of m elements; B as n rows of k elements.
    c : int, optional
        Address of a row of n 32-bit numbers that is added to each row.
    result_format : str, optional
    relu : bool
    scale : int
        Bits of the binary32 that int8 results are multiplied with.
    zero_point : int
    saturate : bool
        To fp8: what is too large becomes the largest finite number.
    allow_wrap : bool
        Take an int8 product of so large a k that its sums may wrap around.
    seed : int, optional
        Round results of a float format stochastically; each product of the plan has its own seed, made of this one;
        several units take the products of one unit's plan.

    Raises
    ------
    UserError
        If a value is none of those that are said here, or there is a seed, and no float format of results.
    """

    m: int
    n: int
    k: int
    format: str
    a: Operand
    b: Operand
    d: Operand
    transpose_a: bool = False
    transpose_b: bool = False
    c: int | None = None
    result_format: str | None = None
    relu: bool = False
    scale: int = 0x3F80_0000
    zero_point: int = 0
    saturate: bool = False
    allow_wrap: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("m", "n", "k"):
            set_whole(self, name, f"matmul {name}", 1)
        for name, value in (("format", self.format), ("result_format", self.result_format or self.format)):
            if value not in FORMATS:
                raise UserError(f"matmul {name} = {value!r}: give one of {', '.join(FORMATS)}")
        if self.c is not None:
            set_whole(self, "c", "matmul c", 0)
        if self.format == "int8" and self.k > MOST_K and not self.allow_wrap:
            raise UserError(
                f"matmul k = {self.k}: sums of int8 may wrap beyond {MOST_K}; give less, or allow_wrap=True"
            )
        if self.seed is not None:
            set_whole(self, "seed", "matmul seed")
        if self.seed is not None and not (self.result_format and FORMATS[self.result_format].is_float):
            raise UserError(f"matmul seed = {self.seed}: only results of a float format are rounded stochastically")

    @property
    def element_bytes(self) -> int:
        """Of A and B."""
        return FORMATS[self.format].bits // 8

    @property
    def result_bytes(self) -> int:
        """Of an element of D."""
        return FORMATS[self.result_format].bits // 8 if self.result_format else SUM_BYTES

    def result_row(self, tile: TileConfig, columns: int) -> int:
        """Bytes from a row of so many columns of D to the next in the scratchpad."""
        step = max(8, tile.columns * self.result_bytes)
        return -(-columns * self.result_bytes // step) * step

    def vector_cycles(self, tile: TileConfig) -> int:
        """What the vector unit takes for the sums, at least."""
        return 0

    @property
    def kind(self) -> tuple:
        """What a plan depends on beside rows and columns, and where they lie."""
        kept = self.k, self.format, self.result_format, self.transpose_a, self.transpose_b
        return (*kept, self.c is None, self.seed is None)

    def check(self, chip: ChipConfig, *read_too: MemoryRange) -> None:
        """Raise UserError if a chip lacks a format, or its memory what is read, or the result lies on that."""
        self._check_result()
        for value in (self.format, self.result_format or self.format):
            if value not in chip.tile.formats:
                raise UserError(f"matmul format {value}: this chip has {', '.join(chip.tile.formats)}")
        if self.seed is not None and not chip.matmul.stochastic:
            raise UserError("matmul seed: this chip rounds to the nearest number alone; set matmul.stochastic=true")
        read = [
            self._range("a", self.a, *((self.k, self.m) if self.transpose_a else (self.m, self.k)), self.element_bytes),
            self._range("b", self.b, *((self.n, self.k) if self.transpose_b else (self.k, self.n)), self.element_bytes),
            *read_too,
        ]
        if self.c is not None:
            read.append(self._range("c", Operand(address=self.c, stride=0), 1, self.n, SUM_BYTES))
        result = self._range("d", self.d, self.m, self.n, self.result_bytes)
        result.check(chip, written=True)
        for each in read:
            each.check(chip)
            result.apart_from(each)

    def _check_result(self) -> None:
        """Of the matmul engine's own results."""
        if self.format == "int8" and self.result_format not in (None, "int8"):
            raise UserError(
                f"matmul result_format = {self.result_format!r}: sums of int8 become int8, or stay as they are"
            )

    @staticmethod
    def _range(name: str, place: Operand, rows: int, columns: int, size: int) -> MemoryRange:
        return MemoryRange(
            name=f"matmul {name}", address=place.address, rows=rows, row_bytes=columns * size, stride=place.stride
        )


@dataclass(frozen=True, kw_only=True)
class TakenJob(MatmulJob):
    """A product whose sums the vector unit takes from the accumulators, and leaves results of in the scratchpad.

    Parameters
    ----------
    lanes : int
        Of the vector unit: places that it leaves for each row of the tile's columns.
    row_cycles : int
        That it takes for such a row.
    """

    lanes: int
    row_cycles: int

    def result_row(self, tile: TileConfig, columns: int) -> int:
        return -(-columns // tile.columns) * self.lanes * self.result_bytes

    def vector_cycles(self, tile: TileConfig) -> int:
        return self.m * -(-self.n // tile.columns) * self.row_cycles

    def _check_result(self) -> None:
        """The vector unit makes results of all formats of all sums."""
