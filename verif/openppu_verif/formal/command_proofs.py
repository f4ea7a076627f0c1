"""The proofs of the command processor, and the defects that must break them."""

from openppu_verif.formal import command
from openppu_verif.formal.proof import Method, Proof

COMMAND_PROOFS = (
    Proof(
        name="semaphores",
        claim="a semaphore is what was signalled less what was waited for: nothing lost, made, or below zero",
        harness=command.semaphores,
        method=Method.INDUCTION,
        depth=2,
        faults={"waits are taken too soon": "dut.lower.requests", "signals too large": "dut.raise.requests"},
        search=6,
        slow=True,
    ),
    Proof(
        name="command_ends",
        claim="commands end in order, each once, each signals at most once, and none behind an error",
        harness=command.completion,
        method=Method.BOUNDED,
        depth=10,
        faults={"ends are taken at any time": "dut.takes", "signals are forgotten": "dut.signalled"},
        search=10,
    ),
)
