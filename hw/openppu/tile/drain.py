"""Reads results out of the accumulators, in the order in which their rows were issued."""

from amaranth import Cat, Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from openppu.config import TileConfig


class Drain(wiring.Component):
    """Queue of result rows that are on their way, and the one that waits on the stream.

    The queue has a place for every accumulator row, so it never fills. Latency: a row is read in the cycle after it
    was ``complete`` at the earliest, and offered in the cycle after that. Throughput: one row a cycle.

    Members
    -------
    issued, row, last : In
        A result row enters the array.
    complete : In(1)
        The next one has been written to its accumulators, all columns of it.
    read, read_row : Out
        Read this row of accumulators now.
    valid, result_last, ready : Out, Out, In
        Handshake of the result that was read in the cycle before.
    """

    def __init__(self, config: TileConfig):
        self.config = config
        super().__init__(
            {
                "issued": In(1),
                "row": In(config.accumulator_bits),
                "last": In(1),
                "complete": In(1),
                "read": Out(1),
                "read_row": Out(config.accumulator_bits),
                "valid": Out(1),
                "result_last": Out(1),
                "ready": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self.config.accumulators
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=self.config.accumulator_bits + 1, depth=depth)
        done = Signal(range(depth + 1))
        any_done = Signal()
        m.d.comb += [
            queue.w_data.eq(Cat(self.row, self.last)),
            queue.w_en.eq(self.issued),
            self.read.eq(any_done & (~self.valid | self.ready)),
            self.read_row.eq(queue.r_data[:-1]),
            queue.r_en.eq(self.read),
        ]
        m.d.sync += done.eq(done + self.complete - self.read)
        with m.If(self.complete):
            m.d.sync += any_done.eq(1)
        with m.Elif(self.read):
            m.d.sync += any_done.eq(done != 1)
        with m.If(self.read):
            m.d.sync += [self.valid.eq(1), self.result_last.eq(queue.r_data[-1])]
        with m.Elif(self.ready):
            m.d.sync += self.valid.eq(0)
        return m
