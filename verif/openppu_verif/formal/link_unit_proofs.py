"""The proof of the link's unit, and the defects that must break it."""

from openppu_verif.formal import link_unit
from openppu_verif.formal.proof import Method, Proof

LINK_UNIT_PROOFS = (
    Proof(
        name="link_sends",
        claim="a SEND of memory that runs ends in memory, and asks for nothing but its own bytes",
        harness=link_unit.sends,
        method=Method.INDUCTION,
        depth=2,
        faults={"any end": "dut.end", "any number of words": "dut.sender.words", "any refusal": "dut.refusal"},
        search=4,
    ),
)
