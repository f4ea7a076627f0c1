"""The proofs of the network, and the defects that must break them."""

from openppu_verif.formal import noc
from openppu_verif.formal.proof import Method, Proof

NOC_PROOFS = (
    Proof(
        name="noc_whole",
        claim="at an output, packets pass whole, each flit once; whoever waits is passed by a packet of each other",
        harness=noc.whole_packets,
        method=Method.REACHABILITY,
        depth=2,
        search=8,
        faults={"another comes between": "dut.goes_on", "turns begin anywhere": "dut.turns.above"},
    ),
    Proof(
        name="noc_flits",
        claim="at an output of answers, each flit passes once; a packet goes on while it has a next one",
        harness=noc.single_flits,
        method=Method.REACHABILITY,
        depth=2,
        search=8,
        faults={"turns come at any time": "dut.chosen", "no packet goes on": "dut.under_way"},
    ),
    Proof(
        name="noc_slots",
        claim="a slot is given again when its words are out; no more answers than were asked for (9 cycles)",
        harness=noc.slots,
        method=Method.BOUNDED,
        depth=9,
        search=9,
        faults={"a slot is given too early": "dut.taken", "words of others count": "dut.here_0"},
    ),
)
