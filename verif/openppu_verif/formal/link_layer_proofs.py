"""The proofs of the link layer, and the defects that must break them."""

from dataclasses import replace
from functools import partial

from openppu_verif.formal import link_layer
from openppu_verif.formal.proof import Method, Proof

GO_BACK = replace(link_layer.CONFIG, retry="go_back_n")

LINK_LAYER_PROOFS = (
    Proof(
        name="link_credits",
        claim="credits are never over- or underdrawn, whatever updates are lost or late; each channel is told in turn",
        harness=link_layer.credits,
        method=Method.INDUCTION,
        depth=2,
        faults={"old credits are taken": "spender.grows_0", "no turns of refreshing": "giver.refreshes"},
        search=8,
    ),
    Proof(
        name="link_window",
        claim="a flit counts only with its own number; each is passed on once, in order, from the slot it came in",
        harness=link_layer.window,
        method=Method.INDUCTION,
        depth=2,
        faults={"any number is near": "dut.high", "flits that came are forgotten": "dut.known"},
        search=5,
    ),
    Proof(
        name="link_window_go_back",
        claim="the same, where early flits are dropped",
        harness=partial(link_layer.window, GO_BACK),
        method=Method.INDUCTION,
        depth=2,
        faults={"early flits are taken": "dut.is_next"},
        search=4,
    ),
    Proof(
        name="link_replay",
        claim="the replay memory never overwrites a flit that is not acknowledged, and sends again only such, its own",
        harness=link_layer.replay,
        method=Method.INDUCTION,
        depth=2,
        slow=True,
        faults={"acknowledged before it was sent": "dut.retry.progress", "anything is due": "dut.retry.due"},
        search=10,
    ),
    Proof(
        name="link_replay_go_back",
        claim="the same with go_back_n",
        harness=partial(link_layer.replay, GO_BACK),
        method=Method.INDUCTION,
        depth=2,
        faults={"anything is due": "dut.retry.due"},
        search=10,
        slow=True,
    ),
    Proof(
        name="link_slots",
        claim="each slot of the receive buffer is in one place at any time: none is lost, or used twice",
        harness=link_layer.slots,
        method=Method.INDUCTION,
        depth=2,
        faults={
            "any flit is accepted": "dut.window.accepted",
            "flits are taken out twice": "dut.buffer.pops",
        },
        search=6,
        slow=True,
    ),
)
