"""A queue between two clocks that have nothing to do with each other."""

from amaranth import Cat, Module, Signal, ValueCastable
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class StreamCrossing(wiring.Component):
    """Passes a stream from the domain ``sync`` to the domain ``far``, in order, each payload once.

    Both sides count with Gray codes, of which one bit changes at a time: whatever moment the other clock looks at, it
    sees the old count or the new one. Both domains must be in reset together for 4 clocks of the slower one; either
    may leave it first.

    Latency: 1 clock of ``sync`` and 2 to 3 of ``far``. Throughput: a payload a clock of the slower domain, with 16
    ``words`` or more.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.
    words : int, a power of two, at least 4
        Payloads that are held.

    Members
    -------
    i : In(stream of shape)
        In ``sync``.
    o : Out(stream of shape)
        In ``far``.

    Raises
    ------
    ValueError
        If ``words`` is no power of two, or too few.
    """

    def __init__(self, shape, *, words: int = 16):
        if words < 4 or words.bit_count() != 1:
            raise ValueError(f"StreamCrossing words = {words}: give a power of two, at least 4")
        self.shape = shape
        self.words = words
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        layout = data.StructLayout({"payload": self.shape})
        m.submodules.memory = store = memory.Memory(shape=layout.size, depth=self.words, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        put, put_gray, put_seen = (Signal(range(2 * self.words), name=f"put{kind}") for kind in ("", "_gray", "_seen"))
        got, got_gray, got_seen = (Signal(range(2 * self.words), name=f"got{kind}") for kind in ("", "_gray", "_seen"))
        m.submodules.put_crossing = FFSynchronizer(put_gray, put_seen, o_domain="far")
        m.submodules.got_crossing = FFSynchronizer(got_gray, got_seen)
        next_put, next_got = Signal.like(put), Signal.like(got)

        # Full: the Gray codes differ in the upper two bits alone.
        m.d.comb += [
            self.i.ready.eq(put_gray != Cat(got_seen[:-2], ~got_seen[-2:])),
            write.addr.eq(put[:-1]),
            write.data.eq(_bits(self.i.payload)),
            write.en.eq(self.i.valid & self.i.ready),
            next_put.eq(put + 1),
        ]
        with m.If(write.en):
            m.d.sync += [put.eq(next_put), put_gray.eq(_gray(next_put))]

        m.d.comb += [
            read.addr.eq(got[:-1]),
            _bits(self.o.payload).eq(read.data),
            self.o.valid.eq(put_seen != got_gray),
            next_got.eq(got + 1),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.far += [got.eq(next_got), got_gray.eq(_gray(next_got))]
        return m


def _bits(payload):
    return payload.as_value() if isinstance(payload, ValueCastable) else payload


def _gray(value):
    return value ^ value[1:]
