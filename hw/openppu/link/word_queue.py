"""A queue in memory whose items are there a cycle after they came."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class WordQueue(wiring.Component):
    """A queue in block memory (one write port, one read port that takes a cycle), with a way past it while it is empty.

    Latency: 1 cycle. Throughput: one item a cycle. The payload out comes of a register or the memory's.

    Parameters
    ----------
    shape : ShapeLike
        An item.
    depth : int, at least 2
        Items that the memory holds; one more waits at the output.

    Members
    -------
    i : In(stream)
    o : Out(stream)
    level : Out(range(depth + 2))
        Items inside.

    Raises
    ------
    ValueError
        If ``depth`` is under 2.
    """

    def __init__(self, shape, *, depth: int):
        if depth < 2:
            raise ValueError(f"WordQueue depth = {depth}: give at least 2")
        self.shape = shape
        self.depth = depth
        item = stream.Signature(shape)
        super().__init__({"i": In(item), "o": Out(item), "level": Out(range(depth + 2))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write, read = store.write_port(), store.read_port()
        produce = Signal(range(self.depth))
        consume = Signal(range(self.depth))
        stored = Signal(range(self.depth + 1))
        direct = Signal(self.shape, reset_less=True)
        is_direct = Signal()

        put = Signal()
        free = Signal()
        fetch = Signal()
        keep = Signal()
        m.d.comb += [
            self.i.ready.eq(stored != self.depth),
            put.eq(self.i.valid & self.i.ready),
            free.eq(~self.o.valid | self.o.ready),
            fetch.eq(free & (stored != 0)),
            # It passes the memory if that is empty and the output free.
            keep.eq(put & ~(free & (stored == 0))),
            write.addr.eq(produce),
            write.data.eq(self.i.payload),
            write.en.eq(keep),
            read.addr.eq(consume),
            read.en.eq(fetch),
            self.o.payload.eq(Mux(is_direct, direct, read.data)),
            self.level.eq(stored + self.o.valid),
        ]
        with m.If(keep):
            m.d.sync += produce.eq(Mux(produce == self.depth - 1, 0, produce + 1))
        with m.If(fetch):
            m.d.sync += consume.eq(Mux(consume == self.depth - 1, 0, consume + 1))
        m.d.sync += stored.eq(stored + keep - fetch)
        with m.If(free):
            m.d.sync += [self.o.valid.eq(fetch | put), is_direct.eq(~fetch), direct.eq(self.i.payload)]
        return m
