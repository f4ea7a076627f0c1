"""The proofs of the DMA, and the defects that must break them."""

from openppu_verif.formal import dma
from openppu_verif.formal.proof import Method, Proof

DMA_PROOFS = (
    Proof(
        name="dma_fetches",
        claim="each word that is asked for holds a byte of the source; no request leaves an aligned block",
        harness=dma.fetches,
        method=Method.INDUCTION,
        depth=2,
        faults={"words are counted wrong": "dut.words", "any number of words": "dut.count"},
        search=6,
    ),
    Proof(
        name="dma_joins",
        claim="joined words leave in each byte of memory what the words left as they came; requests stay whole",
        harness=dma.joins,
        method=Method.INDUCTION,
        depth=2,
        faults={"any words are joined": "dut.joins", "any word follows": "dut.follows"},
        search=6,
    ),
    Proof(
        name="dma_walks",
        claim="each step's addresses are where its turns lead, and no loop goes on beyond its last turn",
        harness=dma.walks,
        method=Method.INDUCTION,
        depth=2,
        faults={"loops end at any turn": "dut.ends", "a step leads anywhere": "dut.memory_onwards_1"},
        search=6,
    ),
    Proof(
        name="dma_row_checks",
        claim="a command that passes names no byte outside of its memories, whatever the turns of its loops",
        harness=dma.row_checks,
        method=Method.BOUNDED,
        depth=8,
        faults={"a product is lost": "dut.memory_widens", "any product": "dut.scratchpad_stride"},
        search=8,
        slow=True,
    ),
    Proof(
        name="dma_picture_checks",
        claim="an im2col that passes names no pixel outside of memory and no row outside of the scratchpad",
        harness=dma.picture_checks,
        method=Method.BOUNDED,
        depth=12,
        faults={"a product is lost": "dut.scratchpad_widens"},
        search=12,
        slow=True,
    ),
)
