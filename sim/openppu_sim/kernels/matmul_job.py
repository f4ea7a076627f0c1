"""What a product of matrices in memory is of."""

from dataclasses import dataclass

from openppu.formats.spec import FORMATS

from openppu_sim.errors import UserError

SUM_BYTES = 4
"""Of a sum."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A matrix in memory: address of its first element, and bytes from a row to the next."""

    address: int
    stride: int


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
    seed : int, optional
        Round results of a float format stochastically; each product of the plan has its own seed, made of this one.

    Raises
    ------
    UserError
        If there is a seed, and no float format of results.
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
    seed: int | None = None

    def __post_init__(self) -> None:
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
