"""Puts bytes into the words that are written."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.common.memory import WORD_BYTES
from openppu.dma.layouts import WIDE_ROW_BITS, chunk_layout, placed_layout, target_layout


class Pack(wiring.Component):
    """Joins chunks to words of the side that is written, each word once for a target, with a mask of its bytes.

    From a chunk that is wrong on, nothing of its command is written: the words come with an empty mask. Latency: 1
    cycle from the chunk that completes a word. Throughput: one chunk and one word a cycle; a target whose last chunk
    reaches into another word costs a cycle more, unless the next one's first chunk completes none.

    Parameters
    ----------
    word_bytes : int
        Of the side that is written.
    address_bits : int
        Of a word's number.

    Members
    -------
    chunks : In(stream of chunk_layout())
    targets : In(stream of target_layout())
    words : Out(stream of placed_layout(address_bits, word_bytes))
        An ``end`` has the command's error.
    """

    LATENCY = 1

    def __init__(self, *, word_bytes: int, address_bits: int):
        self.word_bytes = word_bytes
        self.address_bits = address_bits
        super().__init__(
            {
                "chunks": In(stream.Signature(chunk_layout())),
                "targets": In(stream.Signature(target_layout())),
                "words": Out(stream.Signature(placed_layout(address_bits, word_bytes))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        chunk, target, word = self.chunks.payload, self.targets.payload, self.words.payload
        place_bits = (self.word_bytes - 1).bit_length()
        low_bits = (WORD_BYTES - 1).bit_length()
        parts = self.word_bytes // WORD_BYTES

        # Where the chunk goes.
        done = Signal(WIDE_ROW_BITS)
        at = Signal(place_bits)
        place = Signal(place_bits)
        reached = Signal(place_bits + 1)
        number = Signal(self.address_bits)
        kept_number = Signal(self.address_bits)
        finishes = Signal()
        completes = Signal()
        spills = Signal()
        m.d.comb += [
            place.eq(Mux(done == 0, target.address, at)),
            number.eq(Mux(done == 0, target.address[place_bits:], kept_number)),
            reached.eq(place + chunk.bytes),
            finishes.eq(done + chunk.bytes == target.bytes),
            completes.eq(finishes | reached[-1]),
            spills.eq(finishes & (reached > self.word_bytes)),
        ]

        # The bytes there, and those that go into the next word.
        failed = Signal()
        wrong = Signal()
        moved = Signal(16 * WORD_BYTES)
        ones = Signal(WORD_BYTES)
        mask = Signal(2 * WORD_BYTES)
        placed = Signal(8 * (self.word_bytes + WORD_BYTES))
        placed_mask = Signal(self.word_bytes + WORD_BYTES)
        m.d.comb += [
            wrong.eq(failed | chunk.wrong),
            ones.eq(Cat(Mux(wrong, 0, chunk.bytes > byte) for byte in range(WORD_BYTES))),
            moved.eq((chunk.data << (place[:low_bits] << 3))[: 16 * WORD_BYTES]),
            mask.eq((ones << place[:low_bits])[: 2 * WORD_BYTES]),
        ]
        kept = Signal(8 * self.word_bytes, reset_less=True)
        kept_mask = Signal(self.word_bytes)
        flush = Signal()
        start_mask = Signal(self.word_bytes)
        m.d.comb += start_mask.eq(Mux(flush, 0, kept_mask))
        for part in range(parts + 1):
            lower = place[low_bits:] == part
            upper = place[low_bits:] == part - 1
            part_mask = Mux(lower, mask[:WORD_BYTES], 0) | Mux(upper, mask[WORD_BYTES:], 0)
            half = Mux(upper, moved[8 * WORD_BYTES :], moved[: 8 * WORD_BYTES])
            m.d.comb += placed_mask[WORD_BYTES * part :][:WORD_BYTES].eq(part_mask)
            for byte in range(WORD_BYTES):
                here = WORD_BYTES * part + byte
                old = kept[8 * here :][:8] if part < parts else Const(0, 8)
                m.d.comb += placed[8 * here :][:8].eq(Mux(placed_mask[here], half[8 * byte :][:8], old))

        free = Signal()
        takes = Signal()
        m.d.comb += [
            free.eq(~self.words.valid | self.words.ready),
            takes.eq(
                self.chunks.valid
                & self.targets.valid
                & Mux(flush, free & ~completes & ~chunk.end, free | ~(completes | chunk.end))
            ),
            self.chunks.ready.eq(takes),
            self.targets.ready.eq(takes & (finishes | chunk.end)),
        ]
        with m.If(free):
            m.d.sync += self.words.valid.eq(flush | (takes & (completes | chunk.end)))
            m.d.sync += [
                word.address.eq(Mux(flush, kept_number, number)),
                word.data.eq(Mux(flush, kept, placed)),
                word.mask.eq(Mux(flush, kept_mask, start_mask | placed_mask[: self.word_bytes])),
                word.last.eq(flush | (finishes & ~spills)),
                word.end.eq(~flush & chunk.end),
                word.error.eq(Mux((chunk.error == Error.OKAY) & failed, Error.MEMORY, chunk.error)),
            ]
            with m.If(flush):
                m.d.sync += [flush.eq(0), kept_mask.eq(0)]
        with m.If(takes):
            with m.If(chunk.end):
                m.d.sync += failed.eq(0)
            with m.Else():
                m.d.sync += [failed.eq(wrong), done.eq(Mux(finishes, 0, done + chunk.bytes)), at.eq(reached)]
                m.d.sync += kept_number.eq(number + completes)
                with m.If(completes):
                    m.d.sync += [
                        kept.eq(placed[8 * self.word_bytes :]),
                        kept_mask.eq(placed_mask[self.word_bytes :]),
                        flush.eq(spills),
                    ]
                with m.Else():
                    m.d.sync += [kept.eq(placed), kept_mask.eq(start_mask | placed_mask)]
        return m
