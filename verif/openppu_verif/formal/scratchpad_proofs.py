"""The proofs of the scratchpad, and the defects that must break them."""

from openppu_verif.formal import scratchpad
from openppu_verif.formal.proof import Method, Proof

SCRATCHPAD_PROOFS = (
    Proof(
        name="pad_turns",
        claim="what passes to a bank is one port's request; while a port waits, no other passes twice",
        harness=scratchpad.turns,
        method=Method.REACHABILITY,
        depth=2,
        search=6,
        faults={"turns begin anywhere": "dut.turns.above", "two pass": "dut.turns.pick"},
    ),
    Proof(
        name="pad_answers",
        claim="a result for each read, at its port and cycle, and no other; no port waits longer than is said",
        harness=scratchpad.answers,
        method=Method.REACHABILITY,
        depth=2,
        search=26,
        faults={"a merge has no end": "dut.bank_1.left", "answers go anywhere": "dut.bank_0.done_port"},
    ),
)
