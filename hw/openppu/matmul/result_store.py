"""Converts the tile's results and writes them to the scratchpad."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.delayed import delayed
from openppu.common.shared import shared
from openppu.matmul.convert import Convert, conversion_layout
from openppu.matmul.operand_fetch import NESTS
from openppu.matmul.sizes import COUNT_BITS, Sizes, result_grain
from openppu.matmul.walk import Walk, nest_layout
from openppu.scratchpad.port import request_layout
from openppu.tile.tag_queue import TagQueue

SPARE = 4
"""Rows that wait for the port, beside those that are being converted."""


def store_context(sizes: Sizes) -> data.StructLayout:
    """Bytes of an element (their logarithm), how many columns the last block has, and whether nothing is written."""
    return data.StructLayout({"element": 2, "columns": range(sizes.tile.columns + 1), "kept": 1})


class ResultStore(wiring.Component):
    """Takes rows of sums, converts them, and writes each with one access.

    Rows of sums that are kept in the accumulators go the same way, but are not written; so a command ends in the same
    cycle. A row is taken while there is room behind the conversion for all that is in it. Latency: `latency` cycles
    from a row that is taken to its write's offer. Throughput: a row a cycle.

    Members
    -------
    conversions : In(stream of conversion_layout)
        One for each command whose sums come.
    nests : In(stream of nest_layout)
        Where its rows go.
    results : In(stream of row and last)
        From the tile.
    writes : Out(stream of the scratchpad's request_layout)
    ends : Out(stream, always ready)
        The last row of a command is written, or has come.
    """

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.nest = nest_layout(count=sizes.block_bits, context=store_context(sizes))
        lanes = data.ArrayLayout(32, sizes.tile.columns)
        write = request_layout(address_bits=sizes.port_address_bits, word_bytes=sizes.word_bytes)
        super().__init__(
            {
                "conversions": In(stream.Signature(conversion_layout())),
                "nests": In(stream.Signature(self.nest)),
                "results": In(stream.Signature(data.StructLayout({"row": lanes, "last": 1}))),
                "writes": Out(stream.Signature(write)),
                "ends": Out(stream.Signature(data.StructLayout({}), always_ready=True)),
            }
        )

    @staticmethod
    def latency(sizes: Sizes) -> int:
        """Cycles from a row that is taken to its write's offer, if nothing is before it."""
        return Convert.latency(sizes) + 1

    def elaborate(self, platform):
        m = Module()
        sizes = self.sizes
        columns = sizes.tile.columns
        depth = Convert.latency(sizes) + SPARE
        walk = Walk(self.nest)
        m.submodules.walk = shared(walk, platform)
        m.submodules.nest_queue = nest_queue = TagQueue(self.nest, depth=max(NESTS, sizes.commands))
        m.submodules.how_queue = how_queue = TagQueue(conversion_layout(), depth=max(NESTS, sizes.commands))
        m.submodules.converted = converted = TagQueue(data.ArrayLayout(32, columns), depth=depth)
        wiring.connect(m, wiring.flipped(self.conversions), how_queue.i)
        wiring.connect(m, wiring.flipped(self.nests), nest_queue.i)
        wiring.connect(m, nest_queue.o, walk.nests)

        held = Signal(range(depth + 1))
        takes = Signal()
        written = Signal()
        m.d.comb += [
            self.results.ready.eq((held != depth) & how_queue.o.valid),
            takes.eq(self.results.valid & self.results.ready),
            how_queue.o.ready.eq(takes & self.results.payload.last),
        ]
        m.d.sync += held.eq(held + takes - written)
        # Where in the result a row is that comes.
        how = how_queue.o.payload
        row = Signal(COUNT_BITS)
        first_column = Signal(COUNT_BITS)
        with m.If(takes):
            m.d.sync += row.eq(row + 1)
            with m.If(row + 1 == how.rows):
                m.d.sync += [row.eq(0), first_column.eq(first_column + columns)]
            with m.If(self.results.payload.last):
                m.d.sync += first_column.eq(0)
        for column in range(columns):
            convert = Convert(sizes)
            m.submodules[f"convert_{column}"] = shared(convert, platform)
            m.d.comb += [
                convert.how.eq(how),
                convert.total.eq(self.results.payload.row[column]),
                converted.i.payload[column].eq(convert.result),
            ]
            if sizes.stochastic:
                m.d.comb += [convert.row.eq(row), convert.column.eq(first_column + column)]
        m.d.comb += converted.i.valid.eq(delayed(m, takes, Convert.latency(sizes), name="taken", reset=True))

        # Writing: the row at its place in the word, and nothing but it.
        step = walk.steps.payload
        request = self.writes.payload
        there = Signal()
        m.d.comb += [
            there.eq(converted.o.valid & walk.steps.valid),
            self.writes.valid.eq(there & ~step.context.kept),
            written.eq(there & (step.context.kept | self.writes.ready)),
            converted.o.ready.eq(written),
            walk.steps.ready.eq(written),
            self.ends.valid.eq(written & step.last),
            request.write.eq(1),
            request.address.eq(step.address >> sizes.word_bits),
        ]
        used = Signal(columns)
        row_mask = Signal(4 * columns)
        with m.If(step.middle_last):
            m.d.comb += used.eq(Cat(column < step.context.columns for column in range(columns)))
        with m.Else():
            m.d.comb += used.eq(Const(-1, columns))
        m.d.comb += request.mask.eq(row_mask << step.address[: sizes.word_bits])
        for code, element in enumerate((1, 2, 4)):
            # Zeros fill up the last grain of a row, for a scratchpad writes whole grains faster than parts.
            together = result_grain(columns, element) // element
            with m.If(step.context.element == code):
                row = Cat(Mux(used[c], converted.o.payload[c][: 8 * element], 0) for c in range(columns))
                m.d.comb += [
                    request.data.eq(row.replicate(sizes.word_bytes // (element * columns))),
                    row_mask.eq(Cat(used[c // together * together].replicate(element) for c in range(columns))),
                ]
        return m
