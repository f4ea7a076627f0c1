"""The ways between the clock of the lanes received and the link clock."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

STALE = 64
"""Clocks without a new value, after which the other clock counts as stopped."""


def gray(value):
    """Of a binary number: neighbours differ in one bit."""
    return value ^ value[1:]


class ElasticBuffer(wiring.Component):
    """Passes words from the domain ``rx`` to ``sync``, as they come.

    The two clocks have the same rate, but for what skip words make up for: they are dropped before. Latency: 3 to 4
    clocks. Throughput: a word a clock. Both domains must be reset together.

    Parameters
    ----------
    shape : ShapeLike
    words : int, a power of two

    Members
    -------
    put, put_valid : In
        In ``rx``.
    overflow : Out(1)
        In ``rx``: a word came for which there was no room, and is lost; for a clock.
    get, get_valid : Out
        In ``sync``.
    """

    def __init__(self, shape, *, words: int = 16):
        self.shape = shape
        self.words = words
        super().__init__(
            {"put": In(shape), "put_valid": In(1), "overflow": Out(1), "get": Out(shape), "get_valid": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=self.shape, depth=self.words, init=[])
        write, read = store.write_port(domain="rx"), store.read_port(domain="comb")
        end, end_gray, end_seen = (Signal(range(2 * self.words), name=f"end{kind}") for kind in ("", "_gray", "_seen"))
        place, place_gray, place_seen = (
            Signal(range(2 * self.words), name=f"place{kind}") for kind in ("", "_gray", "_seen")
        )
        m.submodules.end_crossing = FFSynchronizer(end_gray, end_seen)
        m.submodules.place_crossing = FFSynchronizer(place_gray, place_seen, o_domain="rx")
        after, next_place = Signal(range(2 * self.words)), Signal(range(2 * self.words))

        # Full: the Gray codes differ in the upper two bits alone.
        full = Signal()
        m.d.comb += [
            full.eq(end_gray == Cat(place_seen[:-2], ~place_seen[-2:])),
            self.overflow.eq(self.put_valid & full),
            write.addr.eq(end[:-1]),
            write.data.eq(self.put),
            write.en.eq(self.put_valid & ~full),
            after.eq(end + 1),
        ]
        with m.If(write.en):
            m.d.rx += [end.eq(after), end_gray.eq(gray(after))]

        m.d.comb += [
            read.addr.eq(place[:-1]),
            self.get.eq(read.data),
            self.get_valid.eq(end_seen != place_gray),
            next_place.eq(place + 1),
        ]
        with m.If(self.get_valid):
            m.d.sync += [place.eq(next_place), place_gray.eq(gray(next_place))]
        return m


class Snapshot(wiring.Component):
    """Passes a value of many bits from one domain to another, whole, as often as it can.

    Latency and time between two values: about 7 clocks. What changes for a shorter time may not be seen.

    Parameters
    ----------
    shape : ShapeLike
    source, target : str
        The domains.

    Members
    -------
    value : In(shape)
        In ``source``.
    seen : Out(shape)
        In ``target``: a value that ``value`` had.
    stale : Out(1)
        In ``target``: for `STALE` clocks no value has come, so the clock of ``source`` has stopped.
    """

    def __init__(self, shape, *, source: str, target: str):
        self.shape = shape
        self.source = source
        self.target = target
        super().__init__({"value": In(shape), "seen": Out(shape), "stale": Out(1)})

    def elaborate(self, platform):
        m = Module()
        held = Signal(self.shape)
        sent, sent_seen, taken, taken_seen = Signal(), Signal(), Signal(), Signal()
        age = Signal(range(STALE + 1))
        m.submodules.sent_crossing = FFSynchronizer(sent, sent_seen, o_domain=self.target)
        m.submodules.taken_crossing = FFSynchronizer(taken, taken_seen, o_domain=self.source)
        with m.If(sent == taken_seen):
            m.d[self.source] += [held.eq(self.value), sent.eq(~sent)]
        m.d.comb += self.stale.eq(age == STALE)
        m.d[self.target] += age.eq(Mux(self.stale, age, age + 1))
        with m.If(sent_seen != taken):
            m.d[self.target] += [self.seen.eq(held), taken.eq(sent_seen), age.eq(0)]
        return m
