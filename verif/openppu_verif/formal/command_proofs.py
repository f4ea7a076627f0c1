"""The proofs of the command processor, and the defects that must break them."""

from openppu_verif.formal import command, command_order
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
    Proof(
        name="command_order",
        claim="without loops a queue begins its commands in order, each once, none before it has come",
        harness=command_order.order,
        method=Method.INDUCTION,
        depth=2,
        faults={"commands that are not there are read": "dut.nothing", "places are skipped": "dut.place"},
        search=8,
        slow=True,
    ),
    Proof(
        name="kept_turns",
        claim="a pick stays until it is served; while a request waits, every other one is picked once at most",
        harness=command_order.kept_turns,
        method=Method.REACHABILITY,
        depth=1,
        faults={"picks are forgotten": "dut.held", "anybody is picked": "dut.turns.pick"},
        search=10,
    ),
)
