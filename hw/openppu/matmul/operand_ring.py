"""Rows of operands on their way to the tile, and the transposer of those that are stored the other way."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.tile.tag_queue import TagQueue

LEAST_ROWS = 32
"""Of a ring: what covers the way to the scratchpad and back for a small tile."""

BLOCKS = 4
"""Blocks that a ring holds: one is filled, one is read, and between them is the way from the scratchpad."""


def arrival_layout(*, side: int, rows: int, operand_bits: int) -> data.StructLayout:
    """A row that has come, for the ring's row ``slot``.

    ``ends`` that it makes something readable: itself, or, if it is one of a ``transposed`` block, the block with it, of
    which ``columns`` are read.
    """
    return data.StructLayout(
        {
            "slot": range(rows),
            "lanes": data.ArrayLayout(operand_bits, side),
            "transposed": 1,
            "ends": 1,
            "columns": range(side + 1),
        }
    )


class OperandRing(wiring.Component):
    """A ring of ``rows`` rows of ``side`` operands, read by rows, or in blocks of ``side`` rows by columns.

    Bank b holds lane b - s of the ring's row s (modulo ``side``). So the lanes of a row are in different banks, and
    those of a column, too: either is one access to each bank. Blocks begin at multiples of ``side``; rows that are
    skipped for this are given back with the block.

    Latency: 3 cycles from an arrival that ends something to its first row. Throughput: a row in and a row out a cycle.

    Parameters
    ----------
    side : int, a power of two
        Lanes of a row in the ring.
    lanes : int, at most ``side``
        Lanes of a row that leaves.
    operand_bits : int

    Members
    -------
    arrivals : In(stream of arrival_layout, always ready)
    rows_out : Out(stream of lanes)
    released : Out
        Rows of the ring that were given back until now, modulo twice its rows.
    """

    def __init__(self, *, side: int, lanes: int, operand_bits: int):
        self.side = side
        self.lanes = lanes
        self.operand_bits = operand_bits
        self.rows = self.rows_of(side)
        arrival = arrival_layout(side=side, rows=self.rows, operand_bits=operand_bits)
        super().__init__(
            {
                "arrivals": In(stream.Signature(arrival, always_ready=True)),
                "rows_out": Out(stream.Signature(data.ArrayLayout(operand_bits, lanes))),
                "released": Out(range(2 * self.rows)),
            }
        )

    @staticmethod
    def rows_of(side: int) -> int:
        """Rows of a ring."""
        return max(LEAST_ROWS, BLOCKS * side)

    def elaborate(self, platform):
        m = Module()
        side_bits = (self.side - 1).bit_length()
        arrival = self.arrivals.payload
        ready_layout = data.StructLayout({"transposed": 1, "columns": range(self.side + 1)})
        m.submodules.readable = readable = TagQueue(ready_layout, depth=self.rows)
        m.d.comb += [
            readable.i.valid.eq(self.arrivals.valid & arrival.ends),
            readable.i.payload.transposed.eq(arrival.transposed),
            readable.i.payload.columns.eq(arrival.columns),
        ]

        # Reading: which row or column is next, and when it goes on.
        head = readable.o.payload
        column = Signal(max(1, side_bits))
        base = Signal(range(2 * self.rows))
        over = Signal()
        fetched = Signal()
        offered = Signal()
        output_free = Signal()
        fetch_free = Signal()
        read = Signal()
        m.d.comb += [
            output_free.eq(~offered | self.rows_out.ready),
            fetch_free.eq(~fetched | output_free),
            read.eq(readable.o.valid & fetch_free),
            over.eq(~head.transposed | (column + 1 == head.columns)),
            readable.o.ready.eq(fetch_free & over),
        ]
        whole = Mux(self.released[:side_bits].any(), (self.released >> side_bits) + 1, self.released >> side_bits)
        m.d.comb += base.eq(Mux(head.transposed, whole << side_bits, self.released))
        with m.If(read):
            m.d.sync += column.eq(Mux(over, 0, column + 1))
            with m.If(over):
                m.d.sync += self.released.eq(base + Mux(head.transposed, self.side, 1))

        turn = Signal(max(1, side_bits))
        place = Signal(range(self.rows))
        m.d.comb += [place.eq(base), turn.eq(Mux(head.transposed, column, base))]
        if not side_bits:
            m.d.comb += turn.eq(0)
        writing = self._turned(m, arrival.lanes.as_value(), -arrival.slot, "writing")
        banks = []
        for bank in range(self.side):
            store = memory.Memory(shape=self.operand_bits, depth=self.rows, init=[])
            m.submodules[f"bank_{bank}"] = store
            write, port = store.write_port(), store.read_port()
            row = Signal(max(1, side_bits), name=f"row_{bank}")
            if side_bits:
                m.d.comb += row.eq(bank - column)
            m.d.comb += [
                write.addr.eq(arrival.slot),
                write.data.eq(writing.word_select(bank, self.operand_bits)),
                write.en.eq(self.arrivals.valid),
                port.addr.eq(Mux(head.transposed, place | row, place)),
                port.en.eq(read),
            ]
            banks.append(port.data)

        # What was read is turned back, and offered.
        turned_by = Signal.like(turn)
        with m.If(fetch_free):
            m.d.sync += [fetched.eq(readable.o.valid), turned_by.eq(turn)]
        lanes = self._turned(m, Cat(banks), turned_by, "reading")
        with m.If(output_free):
            m.d.sync += [offered.eq(fetched), self.rows_out.payload.eq(lanes[: self.lanes * self.operand_bits])]
        m.d.comb += self.rows_out.valid.eq(offered)
        return m

    def _turned(self, m, lanes, amount, name):
        """Lane i becomes lane i + ``amount``, modulo the side."""
        for place in range((self.side - 1).bit_length()):
            step = Signal(self.side * self.operand_bits, name=f"{name}_{place}")
            m.d.comb += step.eq(Mux(amount[place], lanes.rotate_right((1 << place) * self.operand_bits), lanes))
            lanes = step
        return lanes
