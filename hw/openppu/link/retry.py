"""Numbers the flits that are sent, and decides which are sent again."""

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.again import Again
from openppu.link.config import LinkConfig
from openppu.link.numbers import NUMBER_BITS, ahead, later
from openppu.link.receive_window import heard_layout
from openppu.link.round_trip import TIME_BITS, RoundTrip

TIMEOUT_WINDOWS = 4
"""The oldest flit is sent again if it is not acknowledged while as many windows of flits were sent. The receiver asks
for what is missing again and again, so this comes only if something is wrong."""


class Retry(wiring.Component):
    """Knows which flits have been sent and not acknowledged, and answers the receiver's wishes.

    A flit that is missing is sent again, but not if it was sent less than a round trip ago: that one may still arrive.
    Latency: 1 cycle from ``heard`` to ``oldest``, 4 to ``due``.

    Members
    -------
    heard : In(heard_layout)
    begins : In(1), begins_again : In(1)
        A new flit begins, of number ``next_number``; or the one of ``number``.
    stored : In(1)
        The new flit is complete.
    ends : In(1)
        A flit, of whatever kind, has been sent.
    next_number : Out(NUMBER_BITS)
        Of the next new flit.
    oldest : Out(NUMBER_BITS)
        The oldest that is not acknowledged, or ``next_number``.
    room : Out(1)
        A new flit may begin.
    due : Out(1), number : Out(NUMBER_BITS)
        This one is to be sent again.
    outstanding : Out
        Flits that are not acknowledged.
    timeout : Out(1)
        Nothing was acknowledged for too long.
    round_trip : Out(TIME_BITS)
        Measured, in flits; 0 if not yet.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "heard": In(heard_layout()),
                **{name: In(1) for name in ("begins", "begins_again", "stored", "ends")},
                "next_number": Out(NUMBER_BITS),
                "oldest": Out(NUMBER_BITS),
                "room": Out(1),
                "due": Out(1),
                "number": Out(NUMBER_BITS),
                "outstanding": Out(range(config.window + 1)),
                "timeout": Out(1),
                "round_trip": Out(TIME_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        window = self.config.window
        place_bits = (window - 1).bit_length()
        trailer, oldest = self.heard.trailer, self.oldest

        # In numbers: oldest <= complete <= next_number <= oldest + window.
        complete = Signal(NUMBER_BITS)
        complete_count = Signal(range(window + 1))
        m.d.comb += [
            self.outstanding.eq(self.next_number - oldest),
            complete_count.eq(complete - oldest),
            self.room.eq(self.outstanding != window),
        ]
        with m.If(self.begins):
            m.d.sync += self.next_number.eq(self.next_number + 1)
        with m.If(self.stored):
            m.d.sync += complete.eq(complete + 1)

        arrived = ahead(m, trailer.acknowledge, oldest, name="arrived")
        progress = Signal()
        m.d.comb += progress.eq(self.heard.valid & (arrived != 0) & (arrived <= complete_count))
        new_oldest = later(m, oldest, arrived, name="new_oldest")
        with m.If(progress):
            m.d.sync += oldest.eq(new_oldest)

        # Time, and when each flit was sent last.
        now = Signal(TIME_BITS)
        with m.If(self.ends):
            m.d.sync += now.eq(now + 1)
        m.submodules.stamps = stamps = memory.Memory(shape=TIME_BITS, depth=window, init=[])
        write, read = stamps.write_port(), stamps.read_port(domain="comb")
        with m.If(self.begins_again):
            m.d.comb += write.addr.eq(self.number[:place_bits])
        with m.Else():
            m.d.comb += write.addr.eq(self.next_number[:place_bits])
        m.d.comb += [
            write.data.eq(now),
            write.en.eq(self.begins | self.begins_again),
        ]
        m.submodules.trip = trip = RoundTrip()
        m.d.comb += [
            trip.now.eq(now),
            trip.begins.eq(self.begins),
            trip.number.eq(self.next_number),
            trip.acknowledged.eq(oldest),
            self.round_trip.eq(trip.flits),
        ]

        m.submodules.again = again = Again(self.config)
        # A wish, the cycle after it was heard.
        wished = Signal()
        wish = Signal.like(trailer.missing)
        age = Signal(TIME_BITS)
        m.d.sync += [wished.eq(self.heard.valid & trailer.missing_valid), wish.eq(trailer.missing)]
        wish_ahead = ahead(m, wish, oldest, name="wish_ahead")
        asked = later(m, oldest, wish_ahead, name="asked")
        asks = Signal()
        is_due = Signal()
        m.d.comb += [
            read.addr.eq(wish[:place_bits]),
            age.eq(now - read.data),
            is_due.eq(again.due & (again.number == asked)),
            asks.eq(wished & (wish_ahead < complete_count) & (age > trip.flits) & ~is_due),
        ]

        limit = TIMEOUT_WINDOWS * window
        quiet = Signal(range(limit + 1))
        m.d.comb += self.timeout.eq((quiet == limit) & ~asks)
        with m.If(progress | self.timeout | (complete_count == 0)):
            m.d.sync += quiet.eq(0)
        with m.Elif(self.ends & (quiet != limit)):
            m.d.sync += quiet.eq(quiet + 1)

        m.d.comb += [
            again.ask.eq(asks | self.timeout),
            again.asked.eq(asked),
            again.oldest.eq(oldest),
            again.next_number.eq(complete),
            again.stored.eq(self.stored),
            again.taken.eq(self.begins_again),
            self.due.eq(again.due),
            self.number.eq(again.number),
        ]
        with m.If(self.timeout):
            m.d.comb += again.asked.eq(oldest)
        return m
