"""Makes beats of the words of as many lanes as are active."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.layouts import beat_layout


class Gather(wiring.Component):
    """A beat is as many times words as all lanes are of the active ones. Latency: 1 clock from its last words.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    words, valid, begin, active_width : In
        As of `openppu.link.deskew.Deskew`.
    allow : In(1)
        While it is low, words are dropped; those after it has risen count from ``begin`` on.
    beat, beat_valid : Out(beat_layout), Out(1)
        ``first`` and ``last`` are counted from ``begin`` on; ``news`` is 0.
    running : Out(1)
        Words are not dropped.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "words": In(data.ArrayLayout(config.lane_bits, config.lanes)),
                "valid": In(1),
                "begin": In(1),
                "active_width": In(3),
                "allow": In(1),
                "beat": Out(beat_layout(config)),
                "beat_valid": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        take, step, after = Signal(), Signal(range(max(config.lanes, 2))), Signal(range(max(config.lanes, 2)))
        beat, current = Signal(range(config.beats)), Signal(range(config.beats))
        last = Signal()
        widths = range(config.lanes.bit_length())
        m.d.comb += [
            take.eq(self.valid & self.allow & (self.begin | self.running)),
            after.eq(Mux(self.begin, 0, step)),
            current.eq(Mux(self.begin, 0, beat)),
            last.eq(after == Array((config.lanes >> width) - 1 for width in widths)[self.active_width]),
        ]
        m.d.sync += self.beat_valid.eq(take & last)
        with m.If(take):
            for position in range(config.lanes):
                part = Array(position >> width for width in widths)[self.active_width]
                with m.If(after == part):
                    m.d.sync += self.beat.data.word_select(position, config.lane_bits).eq(self.words[position])
            m.d.sync += [
                self.running.eq(1),
                step.eq(Mux(last, 0, after + 1)),
                beat.eq(current + last),
                self.beat.first.eq(current == 0),
                self.beat.last.eq(current == config.beats - 1),
            ]
        with m.If(~self.allow):
            m.d.sync += self.running.eq(0)
        return m
