"""Credits: how many flits of each channel the receiver has room for, as a number that only grows, modulo 256."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import RoundRobin
from openppu.link.config import CHANNELS, SEQUENCE_BITS, LinkConfig

REFRESH = 8
"""Of so many flits, one tells the credits of the next channel in turn, changed or not: a lost change is told again."""


class CreditsToSend(wiring.Component):
    """Knows which channels may send.

    At the start none may; the receiver's first flits change that. A number that is older than the last one is ignored.
    Latency: 1 cycle.

    Members
    -------
    told : In(1), channel : In(range(CHANNELS)), credit : In(SEQUENCE_BITS)
        The receiver has made room for so many flits since the start.
    spend : In(1), spend_channel : In(range(CHANNELS))
        A flit begins; only while ``available``.
    available : Out(CHANNELS)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "told": In(1),
                "channel": In(range(CHANNELS)),
                "credit": In(SEQUENCE_BITS),
                "spend": In(1),
                "spend_channel": In(range(CHANNELS)),
                "available": Out(CHANNELS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for channel in range(CHANNELS):
            limit, spent = (
                Signal(SEQUENCE_BITS, name=f"limit_{channel}"),
                Signal(SEQUENCE_BITS, name=f"spent_{channel}"),
            )
            grows = Signal(SEQUENCE_BITS, name=f"grows_{channel}")
            m.d.comb += [grows.eq(self.credit - limit), self.available[channel].eq(limit != spent)]
            with m.If(self.told & (self.channel == channel) & ~grows[-1]):
                m.d.sync += limit.eq(self.credit)
            with m.If(self.spend & (self.spend_channel == channel)):
                m.d.sync += spent.eq(spent + 1)
        return m


class CreditsToGive(wiring.Component):
    """Counts the room made for each channel, and tells the sender: changes first, in turn.

    Latency: 1 cycle. Throughput: one flit freed a cycle.

    Members
    -------
    freed : In(1), freed_channel : In(range(CHANNELS))
        A flit of the channel has left its slot.
    channel : Out(range(CHANNELS)), credit : Out(SEQUENCE_BITS)
        To tell next.
    told : In(1)
        They go out.
    news : Out(1)
        There is a change that was not told.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "freed": In(1),
                "freed_channel": In(range(CHANNELS)),
                "channel": Out(range(CHANNELS)),
                "credit": Out(SEQUENCE_BITS),
                "told": In(1),
                "news": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.turn = turn = RoundRobin(CHANNELS)
        counts = [
            Signal(SEQUENCE_BITS, init=self.config.credits, name=f"count_{channel}") for channel in range(CHANNELS)
        ]
        changed = Signal(CHANNELS, init=-1)
        refreshed = Signal(range(CHANNELS))
        flits = Signal(range(REFRESH))
        refreshes = Signal()
        m.d.comb += [
            turn.requests.eq(changed),
            turn.served.eq(self.told & ~refreshes),
            self.news.eq(turn.valid),
            refreshes.eq((flits == 0) | ~turn.valid),
            self.channel.eq(Mux(refreshes, refreshed, turn.pick)),
            self.credit.eq(Array(counts)[self.channel]),
        ]
        with m.If(self.told):
            m.d.sync += [flits.eq(flits + 1), changed.bit_select(self.channel, 1).eq(0)]
            with m.If(refreshes):
                m.d.sync += refreshed.eq(Mux(refreshed == CHANNELS - 1, 0, refreshed + 1))
        freed = Signal(CHANNELS)
        m.d.comb += freed.eq(Cat(self.freed & (self.freed_channel == channel) for channel in range(CHANNELS)))
        for channel, count in enumerate(counts):
            with m.If(freed[channel]):
                m.d.sync += [count.eq(count + 1), changed[channel].eq(1)]
        return m
