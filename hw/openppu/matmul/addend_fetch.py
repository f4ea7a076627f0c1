"""Reads the rows of the matrix that products are added to."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.matmul.operand_fetch import NESTS, READS, read_end_layout
from openppu.matmul.sizes import Sizes
from openppu.matmul.walk import Walk, nest_layout
from openppu.scratchpad.port import ScratchpadPort
from openppu.tile.tag_queue import TagQueue

ROWS = 16
"""Rows that are on their way or wait for the tile."""


class AddendFetch(wiring.Component):
    """Walks a matrix of 32-bit numbers in the scratchpad and gives the tile a row of C of them for each read.

    Latency: 2 cycles from a nest to its first read; 1 from a read's result to its row. Throughput: a row a cycle.

    Members
    -------
    nests : In(stream of nest_layout)
    port : Out(ScratchpadPort)
    rows : Out(stream of C x 32)
    ends : Out(stream of read_end_layout, always ready)
        One for each nest.
    """

    def __init__(self, sizes: Sizes):
        self.sizes = sizes
        self.nest = nest_layout(count=sizes.block_bits, context=data.StructLayout({}))
        super().__init__(
            {
                "nests": In(stream.Signature(self.nest)),
                "port": Out(ScratchpadPort(address_bits=sizes.port_address_bits, word_bytes=sizes.word_bytes)),
                "rows": Out(stream.Signature(data.ArrayLayout(32, sizes.tile.columns))),
                "ends": Out(stream.Signature(read_end_layout(), always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sizes = self.sizes
        walk = Walk(self.nest)
        m.submodules.walk = shared(walk, platform)
        m.submodules.queue = queue = TagQueue(self.nest, depth=NESTS)
        m.submodules.tags = tags = TagQueue(data.StructLayout({"offset": sizes.word_bits, "last": 1}), depth=READS)
        m.submodules.waiting = waiting = TagQueue(self.rows.payload.shape(), depth=ROWS)
        wiring.connect(m, wiring.flipped(self.nests), queue.i)
        wiring.connect(m, queue.o, walk.nests)
        wiring.connect(m, waiting.o, wiring.flipped(self.rows))

        step = walk.steps.payload
        held = Signal(range(ROWS + 1))
        room = Signal()
        goes = Signal()
        leaves = Signal()
        m.d.comb += [
            room.eq((held != ROWS) & tags.i.ready),
            self.port.requests.payload.address.eq(step.address >> sizes.word_bits),
            self.port.requests.valid.eq(walk.steps.valid & room),
            walk.steps.ready.eq(self.port.requests.ready & room),
            goes.eq(self.port.requests.valid & self.port.requests.ready),
            leaves.eq(self.rows.valid & self.rows.ready),
            tags.i.valid.eq(goes),
            tags.i.payload.eq(Cat(step.address[: sizes.word_bits], step.last)),
        ]
        m.d.sync += held.eq(held + goes - leaves)

        result = self.port.results
        of = tags.o.payload
        wrong = Signal()
        row_bits = self.rows.payload.shape().size
        grain = row_bits.bit_length() - 1
        m.d.comb += [
            tags.o.ready.eq(result.valid),
            waiting.i.valid.eq(result.valid),
            waiting.i.payload.eq(result.payload.data >> Cat(Const(0, grain), of.offset[grain - 3 :])),
            self.ends.valid.eq(result.valid & of.last),
            self.ends.payload.error.eq(wrong | result.payload.error),
        ]
        with m.If(result.valid):
            m.d.sync += wrong.eq((wrong | result.payload.error) & ~of.last)
        return m
