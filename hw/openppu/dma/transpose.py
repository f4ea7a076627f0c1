"""Turns the rows of a block into its columns."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import WORD_BYTES
from openppu.dma.layouts import chunk_layout, element_bytes_log2

HALVES = 2
PLACE_BITS = (WORD_BYTES - 1).bit_length()


class Transpose(wiring.Component):
    """Collects rows of up to 32 bytes until a block is complete, and gives its columns while the next one comes.

    Byte b of row i lies in bank (b + i x element) modulo 32, at i: a row is spread over the banks, and so is a column.
    Chunks that are not to be transposed go past once all before them is out. Latency: 1 cycle for those; 1 cycle from a
    block's last row to its first column. Throughput: one row in and one column out a cycle.

    Members
    -------
    chunks : In(stream of chunk_layout())
        Of a row, one or more.
    turned : Out(stream of chunk_layout())
        Of a column, one.
    """

    def __init__(self):
        shape = stream.Signature(chunk_layout())
        super().__init__({"chunks": In(shape), "turned": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        chunk, out = self.chunks.payload, self.turned.payload
        banks = []
        for number in range(WORD_BYTES):
            bank = memory.Memory(shape=8, depth=HALVES * WORD_BYTES, init=[])
            m.submodules[f"bank_{number}"] = bank
            banks.append((bank.write_port(), bank.read_port(domain="comb")))

        info = data.StructLayout(
            {
                "rows": range(WORD_BYTES + 1),
                "columns": range(WORD_BYTES + 1),
                "wrong": 1,
                "conversion": chunk.conversion.shape(),
            }
        )
        blocks = Array([Signal(info, name=f"block_{half}") for half in range(HALVES)])
        full = Signal(HALVES)
        free = Signal()
        m.d.comb += free.eq(~self.turned.valid | self.turned.ready)

        # In: bytes from `at` on of row `row`.
        log2 = element_bytes_log2(chunk.conversion.source)
        half = Signal()
        at = Signal(PLACE_BITS)
        row = Signal(PLACE_BITS)
        wrong = Signal()
        takes = Signal()
        turns = Signal()
        place = Signal(PLACE_BITS)
        rotated = Signal(8 * WORD_BYTES)
        mask = Signal(WORD_BYTES)
        ones = Cat(chunk.bytes > byte for byte in range(WORD_BYTES))
        m.d.comb += [
            turns.eq(chunk.conversion.transpose & ~chunk.end),
            takes.eq(self.chunks.valid & turns & ~full.bit_select(half, 1)),
            place.eq(at + (row << log2)),
            rotated.eq(_rotated_left(chunk.data, place << 3)),
            mask.eq(_rotated_left(ones, place)),
        ]
        for number, (write, _) in enumerate(banks):
            m.d.comb += [
                write.addr.eq(Cat(row, half)),
                write.data.eq(rotated.word_select(number, 8)),
                write.en.eq(takes & mask[number]),
            ]
        completes = Signal()
        m.d.comb += completes.eq(takes & chunk.last & chunk.block_last)
        with m.If(takes):
            m.d.sync += [at.eq(Mux(chunk.last, 0, at + chunk.bytes)), wrong.eq(~completes & (wrong | chunk.wrong))]
            with m.If(chunk.last):
                m.d.sync += row.eq(Mux(chunk.block_last, 0, row + 1))
        with m.If(completes):
            m.d.sync += [
                half.eq(~half),
                blocks[half].rows.eq(row + 1),
                blocks[half].columns.eq((at + chunk.bytes) >> log2),
                blocks[half].wrong.eq(wrong | chunk.wrong),
                blocks[half].conversion.eq(chunk.conversion),
            ]

        # Out: column by column.
        out_half = Signal()
        column = Signal(PLACE_BITS)
        block = Signal(info)
        out_log2 = element_bytes_log2(block.conversion.source)
        gives = Signal()
        empties = Signal()
        passes = Signal()
        found = Signal(8 * WORD_BYTES)
        m.d.comb += [
            block.eq(blocks[out_half]),
            gives.eq(full.bit_select(out_half, 1) & free),
            empties.eq(gives & (column + 1 == block.columns)),
            passes.eq(self.chunks.valid & ~turns & ~full.any() & free),
            self.chunks.ready.eq(takes | passes),
            found.eq(Cat(read.data for _, read in banks)),
        ]
        for number, (_, read) in enumerate(banks):
            # Of the rows, the one whose element of this column is here; there are as many as elements in 32 bytes.
            element = Signal(PLACE_BITS, name=f"row_of_{number}")
            most = Signal(PLACE_BITS, name=f"rows_mask_{number}")
            m.d.comb += [
                most.eq((WORD_BYTES - 1) >> out_log2),
                element.eq(((number >> out_log2) - column) & most),
                read.addr.eq(Cat(element, out_half)),
            ]
        with m.If(free):
            m.d.sync += self.turned.valid.eq(gives | passes)
            with m.If(full.bit_select(out_half, 1)):
                m.d.sync += [
                    out.data.eq(_rotated_left(found, (-(column << out_log2))[:PLACE_BITS] << 3)),
                    out.bytes.eq(block.rows << out_log2),
                    out.last.eq(1),
                    out.block_last.eq(0),
                    out.fill.eq(0),
                    out.wrong.eq(block.wrong),
                    out.end.eq(0),
                    out.conversion.eq(block.conversion),
                ]
            with m.Else():
                m.d.sync += out.eq(chunk)
        with m.If(gives):
            m.d.sync += column.eq(Mux(empties, 0, column + 1))
        with m.If(empties):
            m.d.sync += out_half.eq(~out_half)
        for number in range(HALVES):
            with m.If(completes & (half == number)):
                m.d.sync += full[number].eq(1)
            with m.If(empties & (out_half == number)):
                m.d.sync += full[number].eq(0)
        return m


def _rotated_left(value, amount):
    """Bits that leave at the top come in at the bottom."""
    bits = len(value)
    doubled = Cat(value, value) << amount
    return doubled[bits : 2 * bits]
