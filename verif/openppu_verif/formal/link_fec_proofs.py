"""The proofs of the forward error correction, and the defects that must break them.

All that is proved of depends on the inputs of two cycles at most, so a search of so many cycles from the start has met
all there is.
"""

from functools import partial

from openppu.link.fec import CODES

from openppu_verif.formal import link_fec
from openppu_verif.formal.proof import Method, Proof

LINK_FEC_PROOFS = tuple(
    Proof(
        name=f"link_fec_{code}",
        claim=f"a wrong byte in code word {code} of a flit, any by any value, is found, and no other",
        harness=partial(link_fec.location, code),
        method=Method.BOUNDED,
        depth=2,
        search=2,
        faults={"any place is found": f"dut.place_{code}"},
        slow=True,
    )
    for code in range(CODES)
)
