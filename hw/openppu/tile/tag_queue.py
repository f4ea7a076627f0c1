"""A queue whose first two items are registers, so that what depends on them need not wait for a memory."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class TagQueue(wiring.Component):
    """A queue with the timing of `amaranth.lib.fifo.SyncFIFO`, which also tells what follows its head.

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
    following : Out(shape)
    several : Out(1)
        A register, too: what comes after the head, if there are ``several`` items.

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
        super().__init__({"i": In(item), "o": Out(item), "following": Out(shape), "several": Out(1)})

    def elaborate(self, platform):
        m = Module()
        level = Signal(range(self.depth + 1))
        full = Signal()
        put = Signal()
        taken = Signal()
        grows = Signal()
        shrinks = Signal()

        m.d.comb += [
            self.i.ready.eq(~full),
            put.eq(self.i.valid & self.i.ready),
            taken.eq(self.o.valid & self.o.ready),
            grows.eq(put & ~taken),
            shrinks.eq(taken & ~put),
        ]
        # What the level means is known beforehand, for what follows from it to be in time.
        with m.If(grows):
            m.d.sync += [
                level.eq(level + 1),
                self.o.valid.eq(1),
                self.several.eq(self.o.valid),
                full.eq(level == self.depth - 1),
            ]
        with m.If(shrinks):
            m.d.sync += [
                level.eq(level - 1),
                self.o.valid.eq(self.several),
                self.several.eq(level > 2),
                full.eq(0),
            ]
        with m.If(taken | ~self.o.valid):
            m.d.sync += self.o.payload.eq(Mux(self.several, self.following, self.i.payload))
        with m.If(taken | ~self.several):
            m.d.sync += self.following.eq(self.i.payload)
        if self.depth == 2:
            return m

        # The memory holds the first two, too.
        m.submodules.storage = storage = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write = storage.write_port()
        read = storage.read_port(domain="comb")
        produce = Signal(range(self.depth))
        consume = Signal(range(self.depth))

        def after(place):
            return Mux(place == self.depth - 1, 0, place + 1)

        m.d.comb += [
            write.addr.eq(produce),
            write.data.eq(self.i.payload),
            write.en.eq(put),
            read.addr.eq(after(after(consume))),
        ]
        with m.If(put):
            m.d.sync += produce.eq(after(produce))
        with m.If(taken):
            m.d.sync += consume.eq(after(consume))
        with m.If(taken & (level > 2)):
            m.d.sync += self.following.eq(read.data)
        return m
