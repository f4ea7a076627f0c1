"""A chip whose memory is slower than its controller: so many cycles a word, reads and writes together."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from openppu.chip.chip import Chip
from openppu.config import ChipConfig
from openppu.hbm.status import PowerUp


class Pace(wiring.Component):
    """Lets one of two streams move, for a word each ``interval`` cycles; in turns if both want to.

    Which one is chosen before the time has come, and stays until it has moved.

    Members
    -------
    wants : In(2)
    moved : In(1)
    opens : Out(2)
    """

    def __init__(self, interval: int):
        self.interval = interval
        super().__init__({"wants": In(2), "moved": In(1), "opens": Out(2)})

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(self.interval))
        chosen = Signal(2)
        before = Signal(2)
        fresh = Signal(2)
        other = Signal(2)
        m.d.comb += [
            other.eq(self.wants & ~before),
            fresh.eq(Mux(other.any(), other, self.wants)),
            self.opens.eq(Mux(left == 0, chosen, 0)),
        ]
        with m.If(self.moved):
            m.d.sync += [left.eq(self.interval - 1), chosen.eq(0), before.eq(chosen)]
        with m.Else():
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.If(chosen == 0):
                m.d.sync += chosen.eq(Cat(fresh[0], fresh[1] & ~fresh[0]))
        return m


class LimitedChip(Chip):
    """A chip with one port of one channel, a word of 32 bytes of which takes ``interval`` cycles.

    Parameters
    ----------
    config, start, reset_clocks
        As of `Chip`.
    interval : int, at least 2
    """

    def __init__(self, config: ChipConfig, interval: int, *, start: PowerUp, reset_clocks: int):
        if (config.hbm.stacks, config.hbm.channels, config.hbm.ports) != (1, 1, 1):
            raise ValueError("LimitedChip: give a chip with one port of one channel")
        self.interval = interval
        super().__init__(config, start=start, reset_clocks=reset_clocks)

    def _pace(self, m, channel, controller, port):
        m.submodules.pace = pace = Pace(self.interval)
        words, responses = channel.words, controller.responses[port]
        m.d.comb += [
            pace.wants.eq(Cat(words.valid, responses.valid)),
            pace.moved.eq(
                (pace.opens[0] & words.valid & words.ready) | (pace.opens[1] & responses.valid & responses.ready)
            ),
        ]
        return {"words": pace.opens[0], "responses": pace.opens[1]}
