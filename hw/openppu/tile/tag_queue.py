"""A queue whose head is a register, so that what depends on the head need not wait for a memory."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class TagQueue(wiring.Component):
    """A queue with the timing of `amaranth.lib.fifo.SyncFIFO`, which also tells what its head will be.

    Latency: an item is there in the cycle after it was put. Throughput: one item a cycle.

    Parameters
    ----------
    shape : ShapeLike
        An item.
    depth : int, at least 2
        Items it holds.

    Members
    -------
    i : In(stream)
    o : Out(stream)
        Its payload is a register.
    if_taken, if_kept : Out(shape)
        The payload of ``o`` in the next cycle, if it is taken in this one, and if not. Meaningless if there will be
        none.

    Raises
    ------
    ValueError
        If ``depth`` is under 2.
    """

    def __init__(self, shape, *, depth: int):
        if depth < 2:
            raise ValueError(f"TagQueue depth = {depth}: a head and what follows it make at least 2")
        self.shape = shape
        self.depth = depth
        item = stream.Signature(shape)
        super().__init__({"i": In(item), "o": Out(item), "if_taken": Out(shape), "if_kept": Out(shape)})

    def elaborate(self, platform):
        m = Module()
        # The memory holds the head, too.
        m.submodules.storage = storage = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write = storage.write_port()
        read = storage.read_port(domain="comb")
        level = Signal(range(self.depth + 1))
        produce = Signal(range(self.depth))
        consume = Signal(range(self.depth))
        put = Signal()
        taken = Signal()

        def after(place):
            return Mux(place == self.depth - 1, 0, place + 1)

        m.d.comb += [
            self.i.ready.eq(level != self.depth),
            self.o.valid.eq(level != 0),
            put.eq(self.i.valid & self.i.ready),
            taken.eq(self.o.valid & self.o.ready),
            write.addr.eq(produce),
            write.data.eq(self.i.payload),
            write.en.eq(put),
            read.addr.eq(after(consume)),
            self.if_taken.eq(Mux(level == 1, self.i.payload, read.data)),
            self.if_kept.eq(Mux(level == 0, self.i.payload, self.o.payload)),
        ]
        m.d.sync += [level.eq(level + put - taken), self.o.payload.eq(Mux(taken, self.if_taken, self.if_kept))]
        with m.If(put):
            m.d.sync += produce.eq(after(produce))
        with m.If(taken):
            m.d.sync += consume.eq(after(consume))
        return m
