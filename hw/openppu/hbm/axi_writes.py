"""Writes of an AXI4 port."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import PAGE_BITS, BurstStep, Response
from openppu.hbm.config import GRANULE
from openppu.hbm.layouts import Addressed, acknowledge_layout, write_word_layout
from openppu.hbm.phy import DATA_BITS

BYTE_BITS = 5
"""Bits of a byte's address within an access."""

GRANULE_BITS = (GRANULE - 1).bit_length()

BURSTS = 4
"""Bursts that wait for their data, or for requests to be taken."""

PIECES = 4
WORDS = PIECES * GRANULE
"""Pieces and their words that wait to be requested."""

UNANSWERED = 32
"""Pieces whose acknowledges are awaited."""


def burst_layout(config: Addressed, id_bits: int) -> data.StructLayout:
    """An AXI burst, with ``size`` at most 5; ``address`` counts bytes."""
    return data.StructLayout(
        {"id": id_bits, "address": config.address_bits + BYTE_BITS, "length": 8, "size": 3, "burst": 2}
    )


def piece_layout(config: Addressed) -> data.StructLayout:
    """``last + 1`` accesses from an address on, in one granule."""
    return data.StructLayout({"address": config.address_bits, "last": range(GRANULE)})


class AxiWrites(wiring.Component):
    """Gathers the beats of bursts into whole words, and requests a piece once all its words are there.

    So a manager that is slow with its data never keeps reads from the channel. A burst is answered when its last piece
    is acknowledged, the bursts in their order.

    Throughput: one beat a cycle.

    Members
    -------
    bursts : In(stream of burst_layout(config, id_bits))
    beats : In(stream of write_word_layout())
        The mask is the strobe.
    answers : Out(stream of id, response)
    pieces : Out(stream of piece_layout(config))
    words : Out(stream of write_word_layout())
        Of the pieces, in order.
    acknowledges : In(stream of acknowledge_layout(config))
    """

    def __init__(self, config: Addressed, *, id_bits: int):
        self.config = config
        self.id_bits = id_bits
        word = stream.Signature(write_word_layout())
        super().__init__(
            {
                "bursts": In(stream.Signature(burst_layout(config, id_bits))),
                "beats": In(word),
                "answers": Out(stream.Signature(data.StructLayout({"id": id_bits, "response": Response}))),
                "pieces": Out(stream.Signature(piece_layout(config))),
                "words": Out(word),
                "acknowledges": In(stream.Signature(acknowledge_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        burst_shape = self.bursts.payload.shape()
        answer_shape = data.StructLayout({"id": self.id_bits, "end": 1})
        m.submodules.bursts = bursts = fifo.SyncFIFO(width=burst_shape.size, depth=BURSTS)
        m.submodules.pieces = pieces = fifo.SyncFIFO(width=self.pieces.payload.shape().size, depth=PIECES)
        m.submodules.words = words = fifo.SyncFIFOBuffered(width=write_word_layout().size, depth=WORDS)
        m.submodules.unanswered = unanswered = fifo.SyncFIFO(width=answer_shape.size, depth=UNANSWERED)
        m.submodules.step = walk = BurstStep()

        # The beat that comes: where it lies, and whether it is the last of its word, of its piece, of its burst.
        burst = Signal(burst_shape)
        beat = Signal(8)
        following = Signal(PAGE_BITS)
        access, next_access = (Signal(PAGE_BITS - BYTE_BITS, name=name) for name in ("access", "next_access"))
        end, word_end, piece_end = (Signal(name=name) for name in ("end", "word_end", "piece_end"))
        m.d.comb += [
            bursts.w_data.eq(self.bursts.payload),
            bursts.w_en.eq(self.bursts.valid),
            self.bursts.ready.eq(bursts.w_rdy),
            burst.eq(bursts.r_data),
            walk.address.eq(Mux(beat == 0, burst.address, following)),
            walk.length.eq(burst.length),
            walk.size.eq(burst.size),
            walk.burst.eq(burst.burst),
            access.eq(walk.address >> BYTE_BITS),
            next_access.eq(walk.following >> BYTE_BITS),
            end.eq(beat == burst.length),
            word_end.eq(end | (access != next_access)),
            piece_end.eq(word_end & (end | access[:GRANULE_BITS].all() | (next_access != (access + 1)[: len(access)]))),
        ]

        step = Signal()
        m.d.comb += [
            self.beats.ready.eq(
                bursts.r_rdy & (~word_end | words.w_rdy) & (~piece_end | (pieces.w_rdy & unanswered.w_rdy))
            ),
            step.eq(self.beats.valid & self.beats.ready),
            bursts.r_en.eq(step & end),
        ]
        with m.If(step):
            m.d.sync += [beat.eq(Mux(end, 0, beat + 1)), following.eq(walk.following)]

        # Bytes of the word that came with earlier beats.
        gathered = Signal(DATA_BITS, reset_less=True)
        gathered_mask = Signal(DATA_BITS // 8)
        word = Signal(write_word_layout())
        for byte in range(DATA_BITS // 8):
            new = self.beats.payload.mask[byte]
            m.d.comb += word.data.word_select(byte, 8).eq(
                Mux(new, self.beats.payload.data.word_select(byte, 8), gathered.word_select(byte, 8))
            )
        m.d.comb += word.mask.eq(gathered_mask | self.beats.payload.mask)
        with m.If(step):
            m.d.sync += [gathered.eq(word.data), gathered_mask.eq(Mux(word_end, 0, word.mask))]

        # Words of the piece before this one.
        before = Signal(range(GRANULE))
        piece = Signal(self.pieces.payload.shape())
        with m.If(step & word_end):
            m.d.sync += before.eq(Mux(piece_end, 0, before + 1))
        m.d.comb += [
            words.w_data.eq(word),
            words.w_en.eq(step & word_end),
            self.words.payload.eq(words.r_data),
            self.words.valid.eq(words.r_rdy),
            words.r_en.eq(self.words.ready),
            piece.address.eq(Cat((access - before)[: len(access)], burst.address[PAGE_BITS:])),
            piece.last.eq(before),
            pieces.w_data.eq(piece),
            pieces.w_en.eq(step & piece_end),
            self.pieces.payload.eq(pieces.r_data),
            self.pieces.valid.eq(pieces.r_rdy),
            pieces.r_en.eq(self.pieces.ready),
        ]

        # A burst is answered with its last piece. All of it lies within the capacity, or all beyond, as its 4 KiB do.
        owed = Signal(answer_shape)
        m.d.comb += [
            unanswered.w_data.eq(Cat(burst.id, end)),
            unanswered.w_en.eq(step & piece_end),
            owed.eq(unanswered.r_data),
            self.answers.valid.eq(self.acknowledges.valid & owed.end),
            self.answers.payload.id.eq(owed.id),
            self.answers.payload.response.eq(Mux(self.acknowledges.payload.error, Response.SLVERR, Response.OKAY)),
            self.acknowledges.ready.eq(~owed.end | self.answers.ready),
            unanswered.r_en.eq(self.acknowledges.valid & self.acknowledges.ready),
        ]
        return m
