"""A chip whose inner streams stall at random: between queues, engines, the link's too, scratchpad and memory."""

from zlib import crc32

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from openppu.chip.borders import Borders
from openppu.chip.chip import Chip
from openppu.chip.compute_unit import ComputeUnit
from openppu.common.memory import OUTWARDS

TAPS = 0x80200003
"""Of a register of 32 bits that takes all values but 0, one after the other."""

EPOCH_BITS = 7
"""For so many clocks, as a power of two, a stream stalls as often as before."""


class Stall(wiring.Component):
    """Says in which clocks a stream may move: in all, seven of eight, half or a quarter of them, for a while each.

    What has been offered and was not taken stays: a stream's rule.

    Parameters
    ----------
    seed : int
        Of what is random, not 0.

    Members
    -------
    valid, ready : In(1)
        Of the stream's two ends.
    opens : Out(1)
    """

    def __init__(self, seed: int):
        self.seed = seed
        super().__init__({"valid": In(1), "ready": In(1), "opens": Out(1)})

    def elaborate(self, platform):
        m = Module()
        number = Signal(32, init=self.seed)
        clocks = Signal(EPOCH_BITS, init=self.seed & ((1 << EPOCH_BITS) - 1))
        level = Signal(2)
        held, goes = Signal(), Signal()
        m.d.sync += [
            number.eq((number >> 1) ^ number[0].replicate(32) & TAPS),
            clocks.eq(clocks + 1),
            held.eq(self.valid & self.opens & ~self.ready),
        ]
        with m.If(clocks == 0):
            m.d.sync += level.eq(number[8:10])
        with m.Switch(level):
            with m.Case(0):
                m.d.comb += goes.eq(1)
            with m.Case(1):
                m.d.comb += goes.eq(number[:3] != 0)
            with m.Case(2):
                m.d.comb += goes.eq(number[0])
            with m.Case(3):
                m.d.comb += goes.eq(number[:2] == 0)
        m.d.comb += self.opens.eq(held | goes)
        return m


def stall(m, name, valid, ready):
    """A `Stall` for a stream with this name; when it may move."""
    stalls = Stall(crc32(name.encode()) | 1)
    m.submodules[f"stall_{name}"] = stalls
    m.d.comb += [stalls.valid.eq(valid), stalls.ready.eq(ready)]
    return stalls.opens


def connect(m, name, source, target):
    """A stream that stalls."""
    opens = stall(m, name, source.valid, target.ready)
    m.d.comb += [
        target.payload.eq(source.payload),
        target.valid.eq(source.valid & opens),
        source.ready.eq(target.ready & opens),
    ]


class StalledUnit(ComputeUnit):
    """A compute unit whose engines have to wait for the scratchpad more often than for each other alone."""

    def _join(self, m, number, user, port):
        connect(m, f"port_{number}", user.requests, port.requests)
        m.d.comb += [user.results.valid.eq(port.results.valid), user.results.payload.eq(port.results.payload)]


class StalledBorders(Borders):
    """Borders whose streams, those of the link's commands, ends and signals, stall."""

    def stream(self, name, source, target, *, domains):
        between = stream.Signature(source.payload.shape()).create()
        connect(self.m, name, source, between)
        super().stream(name, between, target, domains=domains)


class StalledChip(Chip):
    """A chip of one clock that does the same as another one, at other times."""

    def elaborate(self, platform):
        self._places: dict[tuple[int, int], int] = {}
        """Of the ports of memory: their numbers."""
        return super().elaborate(platform)

    def _borders(self, m, part):
        return StalledBorders(m, part)

    def _unit(self):
        return StalledUnit(self.config)

    def _join(self, m, name, source, target):
        connect(m, name, source, target)

    def _pace(self, m, channel, controller, port):
        opens = {}
        place = self._places.setdefault((id(controller), port), len(self._places))
        for name in (*OUTWARDS, "responses", "acknowledges"):
            mine, theirs = getattr(channel, name), getattr(controller, name)[port]
            source, target = (mine, theirs) if name in OUTWARDS else (theirs, mine)
            opens[name] = stall(m, f"{name}_{place}", source.valid, target.ready)
        return opens
