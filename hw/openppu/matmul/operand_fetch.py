"""Reads one operand's rows from the scratchpad."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.matmul.operand_ring import OperandRing, arrival_layout
from openppu.matmul.sizes import Sizes
from openppu.matmul.walk import Walk, nest_layout
from openppu.scratchpad.port import ScratchpadPort
from openppu.tile.tag_queue import TagQueue

NESTS = 2
"""Commands that wait, beside the one that is worked on."""

READS = 16
"""On their way at a time."""


def read_end_layout() -> data.StructLayout:
    """All that a command reads here has come; some of it is known to be wrong."""
    return data.StructLayout({"error": 1})


def operand_context(side: int) -> data.StructLayout:
    """What every step of a nest needs to know: wide (16-bit) elements or not, and for a transposed matrix how many
    columns of a block are rows of the operand, in general and in the last turn of the loop that says ``short``."""
    return data.StructLayout({"wide": 1, "transposed": 1, "columns": range(side + 1), "short": range(side + 1)})


class OperandFetch(wiring.Component):
    """Walks a matrix in the scratchpad and gives the tile one row of an operand after the other.

    A step of a nest is one read of the word that holds the row; if the matrix is stored the other way, the
    inner loop walks the rows of a block of ``side`` x ``side``, which leaves by columns.

    Latency: 2 cycles from a nest to its first read; 4 from a read's result to its row, 4 from the result of a block's
    last read to the block's first column. Throughput: a read and a row a cycle.

    Parameters
    ----------
    sizes : Sizes
    side : int
        Of a block that is transposed.
    lanes : int
        Operands of a row.
    short_columns : "third" or "outer"
        The loop in whose last turn a block has the ``short`` number of columns.

    Members
    -------
    nests : In(stream of nest_layout)
    port : Out(ScratchpadPort)
    rows : Out(stream of lanes)
    ends : Out(stream of read_end_layout, always ready)
        One for each nest.
    """

    def __init__(self, sizes: Sizes, *, side: int, lanes: int, short_columns: str):
        self.sizes = sizes
        self.side = side
        self.lanes = lanes
        self.short_columns = short_columns
        self.nest = nest_layout(count=sizes.block_bits, context=operand_context(side))
        row = data.ArrayLayout(sizes.tile.operand_bits, lanes)
        super().__init__(
            {
                "nests": In(stream.Signature(self.nest)),
                "port": Out(ScratchpadPort(address_bits=sizes.port_address_bits, word_bytes=sizes.word_bytes)),
                "rows": Out(stream.Signature(row)),
                "ends": Out(stream.Signature(read_end_layout(), always_ready=True)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sizes = self.sizes
        ring = OperandRing(side=self.side, lanes=self.lanes, operand_bits=sizes.tile.operand_bits)
        walk = Walk(self.nest)
        m.submodules.ring = shared(ring, platform)
        m.submodules.walk = shared(walk, platform)
        m.submodules.queue = queue = TagQueue(self.nest, depth=NESTS)
        wiring.connect(m, wiring.flipped(self.nests), queue.i)
        wiring.connect(m, queue.o, walk.nests)
        wiring.connect(m, ring.rows_out, wiring.flipped(self.rows))

        # A place in the ring for every read: the next row, or one of the next whole block.
        step = walk.steps.payload
        context = step.context
        side_bits = (self.side - 1).bit_length()
        used = Signal(range(2 * ring.rows))
        block = Signal(range(2 * ring.rows))
        whole = Signal(range(2 * ring.rows))
        slot = Signal(range(2 * ring.rows))
        room = Signal()
        first = Signal()
        held = Signal(range(2 * ring.rows))
        m.d.comb += [
            first.eq(step.index == 0),
            whole.eq(Mux(used[:side_bits].any(), (used >> side_bits) + 1, used >> side_bits) << side_bits),
            slot.eq(Mux(context.transposed, Mux(first, whole, block) + step.index, used)),
            held.eq(Mux(context.transposed, whole + self.side, used + 1) - ring.released),
            room.eq((held <= ring.rows) | (context.transposed & ~first)),
        ]

        tag_layout = data.StructLayout(
            {
                "slot": range(ring.rows),
                "offset": sizes.word_bits,
                "wide": 1,
                "transposed": 1,
                "ends": 1,
                "columns": range(self.side + 1),
                "last": 1,
            }
        )
        m.submodules.tags = tags = TagQueue(tag_layout, depth=READS)
        tag = tags.i.payload
        go = Signal()
        short = step.third_last if self.short_columns == "third" else step.outer_last
        m.d.comb += [
            self.port.requests.payload.address.eq(step.address >> sizes.word_bits),
            self.port.requests.valid.eq(walk.steps.valid & room & tags.i.ready),
            go.eq(self.port.requests.ready & room & tags.i.ready),
            walk.steps.ready.eq(go),
            tags.i.valid.eq(walk.steps.valid & self.port.requests.ready & room),
            tag.slot.eq(slot),
            tag.offset.eq(step.address),
            tag.wide.eq(context.wide),
            tag.transposed.eq(context.transposed),
            tag.ends.eq(~context.transposed | step.inner_last),
            tag.columns.eq(Mux(short, context.short, context.columns)),
            tag.last.eq(step.last),
        ]
        with m.If(walk.steps.valid & go):
            with m.If(~context.transposed):
                m.d.sync += used.eq(used + 1)
            with m.Elif(first):
                m.d.sync += [block.eq(whole), used.eq(whole + self.side)]

        # What comes: the row is cut out of its word, and goes into the ring.
        result = self.port.results
        arrival_shape = arrival_layout(side=self.side, rows=ring.rows, operand_bits=sizes.tile.operand_bits)
        arrival = Signal(arrival_shape, reset_less=True)
        arrives = Signal()
        of = tags.o.payload
        wrong = Signal()
        m.d.comb += [
            tags.o.ready.eq(result.valid),
            ring.arrivals.valid.eq(arrives),
            ring.arrivals.payload.eq(arrival),
            self.ends.valid.eq(result.valid & of.last),
            self.ends.payload.error.eq(wrong | result.payload.error),
        ]
        m.d.sync += [
            arrives.eq(result.valid),
            arrival.eq(Cat(of.slot, self._cut(m, result.payload.data, of), of.transposed, of.ends, of.columns)),
        ]
        with m.If(result.valid):
            m.d.sync += wrong.eq((wrong | result.payload.error) & ~of.last)
        return m

    def _cut(self, m, word, tag):
        """The operands from the tag's offset on, each in the low bits of its lane."""
        tile = self.sizes.tile
        bytes_of_lane = tile.operand_bits // 8
        widths = {1 if name in ("int8", "fp8_e4m3", "fp8_e5m2") else 2 for name in tile.formats}
        grain = min(tile.rows, tile.columns) * min(widths)
        offset = tag.offset[(grain - 1).bit_length() :]
        chunk = Signal(8 * self.side * bytes_of_lane)
        m.d.comb += chunk.eq(word >> Cat(Const(0, 3 + (grain - 1).bit_length()), offset))
        wide = Cat(chunk.word_select(lane, tile.operand_bits) for lane in range(self.side))
        if widths != {1, 2}:
            return wide
        narrow = Cat(Cat(chunk.word_select(lane, 8), Const(0, 8)) for lane in range(self.side))
        return Mux(tag.wide, wide, narrow)
