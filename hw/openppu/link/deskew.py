"""Brings the words of all lanes together that were sent together."""

from amaranth import Array, Cat, Module, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.link.config import LinkConfig


class LaneBuffer(wiring.Component):
    """Holds the words of one lane until the last lane has brought its own.

    Latency: 1 clock from ``word`` to ``first``. Throughput: a word a clock.

    Parameters
    ----------
    bits : int
        Of a word.
    words : int, a power of two

    Members
    -------
    clear : In(1)
        Forget all words.
    word, valid : In(bits), In(1)
    place : In
        Where all lanes are read; goes up by one for each word, and wraps at twice ``words``.
    first : Out(bits)
        The word at ``place``.
    filled : Out(1)
        There is one.
    overflow : Out(1)
        A word came for which there was no room; for a clock.
    """

    def __init__(self, bits: int, *, words: int):
        self.bits = bits
        self.words = words
        super().__init__(
            {
                "clear": In(1),
                "word": In(bits),
                "valid": In(1),
                "place": In(range(2 * words)),
                "first": Out(bits),
                "filled": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=self.bits, depth=self.words, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        end = Signal(range(2 * self.words))
        full = Signal()
        m.d.comb += [
            full.eq(end - self.place == self.words),
            write.addr.eq(end[:-1]),
            write.data.eq(self.word),
            write.en.eq(self.valid & ~full),
            read.addr.eq(self.place[:-1]),
            self.first.eq(read.data),
            self.filled.eq(end != self.place),
            self.overflow.eq(self.valid & full),
        ]
        with m.If(self.clear):
            m.d.sync += end.eq(0)
        with m.Elif(write.en):
            m.d.sync += end.eq(end + 1)
        return m


class Deskew(wiring.Component):
    """Gives the words of the active lanes in their logical order, whichever lanes they came on.

    Reading begins when every active lane has its first data word. Latency: 1 clock from the last lane's word to
    ``words``. Throughput: a word of each lane a clock.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    word, word_valid : In, of each lane
    started, logical, width : In, of each lane
        As of `openppu.link.lane_receive.LaneReceive`; ``started`` falls when a new training begins.
    words : Out, as many as lanes
        Word j is that of the logical lane j modulo their number.
    valid, begin : Out(1)
        There are words; the first since training.
    active_width : Out(3)
        Base 2 logarithm of the number of active lanes, with ``valid``.
    source : Out, of each logical lane
        The lane that it comes on.
    running : Out(1)
        Words have been given since training.
    overflow : Out(1)
        The lanes are further apart than the buffers can make up for.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        words = data.ArrayLayout(config.lane_bits, config.lanes)
        self.lane_shape = range(max(config.lanes, 2))
        super().__init__(
            {
                "word": In(words),
                "word_valid": In(config.lanes),
                "started": In(config.lanes),
                "logical": In(data.ArrayLayout(4, config.lanes)),
                "width": In(data.ArrayLayout(3, config.lanes)),
                "words": Out(words),
                "valid": Out(1),
                "begin": Out(1),
                "active_width": Out(3),
                "source": Out(data.ArrayLayout(self.lane_shape, config.lanes)),
                "running": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        place = Signal(range(2 * config.skew_words))
        first = Signal(data.ArrayLayout(config.lane_bits, config.lanes))
        filled, overflow = Signal(config.lanes), Signal(config.lanes)
        for lane in range(config.lanes):
            buffer = LaneBuffer(config.lane_bits, words=config.skew_words)
            m.submodules[f"buffer_{lane}"] = shared(buffer, platform)
            m.d.comb += [
                buffer.clear.eq(~self.started[lane]),
                buffer.word.eq(self.word[lane]),
                buffer.valid.eq(self.word_valid[lane]),
                buffer.place.eq(place),
                first[lane].eq(buffer.first),
                filled[lane].eq(buffer.filled),
                overflow[lane].eq(buffer.overflow),
            ]

        # Settled long before the first word: the lanes tell their places while they count down.
        complete = Signal()
        found = Signal(config.lanes)
        for logical in range(config.lanes):
            here = Cat(self.started[lane] & (self.logical[lane] == logical) for lane in range(config.lanes))
            with m.If(~self.running):
                m.d.sync += found[logical].eq(here.any())
                for lane in range(config.lanes):
                    with m.If(here[lane]):
                        m.d.sync += self.source[logical].eq(lane)
        widths = range(config.lanes.bit_length())
        with m.If(~self.running):
            for lane in range(config.lanes):
                with m.If(self.started[lane]):
                    m.d.sync += self.active_width.eq(self.width[lane])
        wanted = Array((1 << (1 << width)) - 1 for width in widths)[self.active_width]
        m.d.sync += complete.eq((found == wanted) & self.started.any() & (self.active_width < len(widths)))

        m.d.comb += [
            self.valid.eq(complete & self.started.any() & (filled | ~self.started).all()),
            self.begin.eq(self.valid & ~self.running),
        ]
        with m.If(~self.started.any()):
            m.d.sync += [place.eq(0), self.running.eq(0), self.overflow.eq(0), complete.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += [place.eq(place + 1), self.running.eq(1)]
        with m.If(overflow.any()):
            m.d.sync += self.overflow.eq(1)

        # The lane for each place of a beat, at the width that there is.
        for position in range(config.lanes):
            chosen = Signal(self.lane_shape, name=f"lane_of_{position}")
            with m.Switch(self.active_width):
                for width in widths:
                    with m.Case(width):
                        m.d.sync += chosen.eq(self.source[position % (1 << width)])
            m.d.comb += self.words[position].eq(first[chosen])
        return m
