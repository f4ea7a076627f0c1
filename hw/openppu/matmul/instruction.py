"""The engine's command as the command processor knows it."""

from openppu.command.instruction import Instruction
from openppu.matmul.command import command_layout

MATMUL = Instruction(
    name="MATMUL",
    opcode=16,
    engine="matmul",
    layout=command_layout(),
    addresses=("a_address", "b_address", "c_address", "d_address"),
    meaning="D = A x B + C of matrices in the scratchpad ([the matmul engine](matmul.md)).",
    meanings={
        "m": "rows of A and D",
        "n": "columns of B and D",
        "k": "columns of A, rows of B",
        "accumulator": "the first row of accumulators",
        "format": "of the elements of A and B",
        "addend": "what the products are added to",
        "result": "what becomes of the sums",
        "result_format": "of converted results",
        "transpose_a": "A is stored transposed, k rows of m",
        "transpose_b": "B is stored transposed, n rows of k",
        "relu": "negative sums become 0 before they are converted",
        "saturate": "fp8 results: too large ones become the largest finite number",
        "stochastic": "float results are rounded stochastically; `scale` is the seed",
        "after": "begin when all earlier commands of the engine have ended",
        "reserved": "must be 0",
        "zero_point": "of int8 results",
        "scale": "of int8 results: binary32; the seed of stochastic rounding",
        "a_address": "of A, in the scratchpad",
        "a_stride": "bytes from a row of A, as stored, to the next",
        "b_address": "of B",
        "b_stride": "bytes from a row of B, as stored, to the next",
        "c_address": "of C",
        "c_stride": "bytes from a row of C to the next; 0: one row for all",
        "d_address": "of D",
        "d_stride": "bytes from a row of D to the next",
    },
)
