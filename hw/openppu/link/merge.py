"""Puts packets of several streams into one."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin


class Merge(wiring.Component):
    """Packets of several streams, one after the other, each whole; the streams take turns.

    Latency: 1 cycle. Throughput: a word a cycle.

    Parameters
    ----------
    shape : StructLayout
        A word, with a field ``last``.
    count : int, at least 1
        Streams.

    Members
    -------
    words : In(stream of shape), array
    merged : Out(stream of shape)

    Raises
    ------
    ValueError
        If ``count`` is under 1.
    """

    LATENCY = 1

    def __init__(self, shape, *, count: int):
        if count < 1:
            raise ValueError(f"Merge count = {count}: give at least 1")
        self.shape = shape
        self.count = count
        word = stream.Signature(shape)
        super().__init__({"words": In(word).array(count), "merged": Out(word)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.turns = turns = RoundRobin(self.count)
        under_way = Signal()
        current = Signal(range(self.count))
        chosen = Signal(range(self.count))
        free = Signal()
        takes = Signal()
        word = Signal(self.shape)
        m.d.comb += [
            *(turns.requests[place].eq(words.valid) for place, words in enumerate(self.words)),
            chosen.eq(Mux(under_way, current, turns.pick)),
            word.eq(Array(words.payload for words in self.words)[chosen]),
            free.eq(~self.merged.valid | self.merged.ready),
            takes.eq(free & Array(words.valid for words in self.words)[chosen]),
            turns.served.eq(takes & ~under_way),
            *(words.ready.eq(takes & (chosen == place)) for place, words in enumerate(self.words)),
        ]
        with m.If(takes):
            m.d.sync += [under_way.eq(~word.last), current.eq(chosen)]
        with m.If(free):
            m.d.sync += [self.merged.valid.eq(takes), self.merged.payload.eq(word)]
        return m
