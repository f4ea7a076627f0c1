"""The proof of the matmul engine's checks, and the defects that must break it."""

from openppu_verif.formal import matmul
from openppu_verif.formal.proof import Method, Proof

MATMUL_PROOFS = (
    Proof(
        name="matmul_checks",
        claim="a command that passes has each row of its matrices in the scratchpad, and accumulators for its sums",
        harness=matmul.checks,
        method=Method.BOUNDED,
        depth=11,
        faults={"a product is lost": "dut.product", "a range does not matter": "dut.compared"},
        search=11,
    ),
)
