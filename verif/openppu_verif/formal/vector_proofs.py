"""The proof of the vector unit's checks, and the defects that must break it."""

from openppu_verif.formal import vector
from openppu_verif.formal.proof import Method, Proof

VECTOR_PROOFS = (
    Proof(
        name="vector_checks",
        claim="a command that is admitted names nothing beyond the scratchpad, the accumulators or the program memory",
        harness=vector.checks,
        method=Method.BOUNDED,
        depth=9,
        faults={"a product is lost": "dut.product", "a sum is lost": "dut.reach", "the limit is lost": "dut.limit"},
        search=9,
        slow=True,
    ),
)
