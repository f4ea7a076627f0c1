"""The proofs of the router, and the defects that must break them."""

from openppu_verif.formal import link_router
from openppu_verif.formal.proof import Method, Proof

LINK_ROUTER_PROOFS = (
    Proof(
        name="link_headings",
        claim="a packet's way is what the table says of its chip, whenever that was written; all its words have it",
        harness=link_router.headings,
        method=Method.INDUCTION,
        depth=2,
        faults={"lines count that were never written": "dut.exists", "packets turn back": "dut.goes_back"},
        search=6,
    ),
    Proof(
        name="link_merges",
        claim="what comes out went in a cycle before, each word once; from first to last of a packet, of one stream",
        harness=link_router.merges,
        method=Method.INDUCTION,
        depth=2,
        faults={"another stream comes between": "dut.chosen", "words are taken without room": "dut.free"},
        search=8,
    ),
    Proof(
        name="link_ports",
        claim="the router gives no word to another port, channel or place on the chip than its heading names",
        harness=link_router.ports,
        method=Method.INDUCTION,
        depth=2,
        faults={
            "words come out that nobody offered": "dut.merge_port_0_0_0.takes",
            "a packet for the chip goes on": "dut.merge_port_1_2_1.takes",
        },
        search=4,
    ),
)
