"""Every proof, and the defects that must break it."""

from collections.abc import Collection
from functools import partial

from openppu.config import TileConfig

from openppu_verif.formal import fetch, parts, tile, whole_tile
from openppu_verif.formal.command_proofs import COMMAND_PROOFS
from openppu_verif.formal.dma_proofs import DMA_PROOFS
from openppu_verif.formal.hbm_proofs import HBM_PROOFS
from openppu_verif.formal.link_fec_proofs import LINK_FEC_PROOFS
from openppu_verif.formal.link_layer_proofs import LINK_LAYER_PROOFS
from openppu_verif.formal.link_router_proofs import LINK_ROUTER_PROOFS
from openppu_verif.formal.link_unit_proofs import LINK_UNIT_PROOFS
from openppu_verif.formal.matmul_proofs import MATMUL_PROOFS
from openppu_verif.formal.noc_proofs import NOC_PROOFS
from openppu_verif.formal.proof import Method, Proof
from openppu_verif.formal.scratchpad_proofs import SCRATCHPAD_PROOFS
from openppu_verif.formal.vector_proofs import VECTOR_PROOFS


def _of_fetchers(size: str, config: TileConfig) -> tuple[Proof, ...]:
    """The proofs of both fetchers."""
    return (
        Proof(
            name=f"weight_fetch_{size}",
            claim=f"weight requests, tags: in order, each once, waiting until taken, at most {config.outstanding}",
            harness=partial(fetch.weight_fetch, config),
            method=Method.INDUCTION,
            depth=2,
            faults={
                "more requests than tags": "dut.pending.i__ready",
                "commands lost and repeated": "dut.queue.several",
            },
        ),
        Proof(
            name=f"activation_fetch_{size}",
            claim="activation requests, tags: the same; each tag is announced in the cycle before",
            harness=partial(fetch.activation_fetch, config),
            method=Method.INDUCTION,
            depth=2,
            faults={
                "any next tag": "dut.pending.several",
                "tags lost": "dut.pending.put",
            },
        ),
    )


def _on_tile(size: str, config: TileConfig, *, frames: int, slow: Collection[str] = ()) -> tuple[Proof, ...]:
    """The proofs that depend on the tile's size and latency; ``frames``: more than an operand is on its way."""
    of_size = f"({config.rows}x{config.columns}, latency {config.latency})"
    return (
        Proof(
            name=f"weights_{size}",
            claim=f"each cell multiplies by its own block's weight, which was written before {of_size}",
            harness=partial(tile.weights, config),
            method=Method.INDUCTION,
            depth=frames,
            faults={
                "blocks start without weights": "tile.issue.needs_weights",
                "the next block loads at any time": "tile.may_load",
                "rows swap at any time": "tile.array.band_0.row_0.swap_0",
            },
            search=16,
            slow="weights" in slow,
        ),
        Proof(
            name=f"sums_{size}",
            claim=f"each row is injected, with its addend, and collected in its own cycles alone {of_size}",
            harness=partial(tile.sums, config),
            method=Method.INDUCTION,
            depth=frames,
            faults={"any row and source": "tile.inject_2", "any addend": "tile.addend_line_1.o"},
            slow="sums" in slow,
        ),
        Proof(
            name=f"scoreboard_{size}",
            claim=f"no row is issued before its accumulator's last sum is back or read {of_size}",
            harness=partial(tile.scoreboard, config),
            method=Method.INDUCTION,
            depth=2,
            faults={"busy rows are issued": "tile.issue.row_busy"},
            slow="scoreboard" in slow,
        ),
    )


PROOFS = (
    Proof(
        name="delay_line",
        claim="a delay line's output is its input of so many cycles before, for each delay",
        harness=parts.delay_line,
        method=Method.REACHABILITY,
        depth=10,
        faults={"any delay": "dut.age"},
    ),
    Proof(
        name="loop_nest",
        claim="each step is that of three nested loops, and waits until taken; no nest is lost",
        harness=parts.loop_nest,
        method=Method.INDUCTION,
        depth=2,
        faults={
            "the middle loop ends at any time": "dut.middle_last",
            "the middle loop starts anywhere": "dut.next_middle",
        },
    ),
    *_of_fetchers("small", parts.SMALL),
    *_of_fetchers("wide", tile.WIDE),
    Proof(
        name="issue",
        claim="a row is issued exactly when it may, and an accumulator is busy exactly from issue to return",
        harness=parts.issue,
        method=Method.INDUCTION,
        depth=2,
        faults={
            "busy rows are issued": "dut.row_busy",
            "blocks start without weights": "dut.needs_weights",
            "anything returns": "dut.freed",
        },
    ),
    Proof(
        name="drain",
        claim="results are read in order of issue, each once, when complete and not before, and wait until taken",
        harness=parts.drain,
        method=Method.INDUCTION,
        depth=2,
        faults={
            "results are lost": "dut.valid",
            "results in any order": "dut.queue.consume",
        },
    ),
    Proof(
        name="accumulator",
        claim="an accumulator injects zero, the addend or the row's last sum, and drains and reads that sum",
        harness=parts.accumulator,
        method=Method.INDUCTION,
        depth=3,
        faults={"any row and source": "dut.inject_next"},
    ),
    *_on_tile("small", parts.SMALL, frames=10),
    *_on_tile("deep", tile.DEEP, frames=18, slow=("scoreboard",)),
    *_on_tile("wide", tile.WIDE, frames=26, slow=("weights", "sums", "scoreboard")),
    Proof(
        name="handshakes",
        claim="what enters the tile goes at once where it is needed, and nothing else enters",
        harness=whole_tile.handshakes,
        method=Method.INDUCTION,
        depth=2,
        faults={
            "commands are taken without room": "tile.room",
            "weights are taken at any time": "tile.load",
            "rows are issued at any time": "tile.issued",
        },
    ),
    Proof(
        name="streams",
        claim="what the tile offers on a stream waits, unchanged, until it is taken",
        harness=whole_tile.streams,
        method=Method.INDUCTION,
        depth=2,
        search=18,
        faults={"a request disappears": "tile.weight_fetch.pending.i__ready"},
    ),
    Proof(
        name="counters",
        claim="from any state, each of the twelve counters counts what the ports show; each cycle has one cause",
        harness=whole_tile.counters,
        method=Method.INDUCTION,
        depth=2,
        faults={"anything counts as refused": "tile.counting.refused"},
    ),
    *DMA_PROOFS,
    *MATMUL_PROOFS,
    *VECTOR_PROOFS,
    *HBM_PROOFS,
    *LINK_FEC_PROOFS,
    *LINK_LAYER_PROOFS,
    *LINK_ROUTER_PROOFS,
    *LINK_UNIT_PROOFS,
    *COMMAND_PROOFS,
    *SCRATCHPAD_PROOFS,
    *NOC_PROOFS,
)
