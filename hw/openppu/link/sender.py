"""The sending half of the link layer."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.credits import CreditsToSend
from openppu.link.flit_transmit import FlitTransmit, Kind
from openppu.link.layouts import Trailer, beat_layout, payload_layout
from openppu.link.receive_window import heard_layout
from openppu.link.replay import Replay
from openppu.link.retry import Retry
from openppu.link.round_trip import TIME_BITS

EVENTS = ("sent", "new", "replayed", "timeouts")
"""Of `openppu.link.link_counters.COUNTS`."""


class Sender(wiring.Component):
    """Sends flits, and sends again those that did not arrive.

    Latency: from ``send`` to ``transmit`` 1 cycle. Throughput: a beat a cycle.

    Members
    -------
    send, may_send, transmit, sending, between
        As in `openppu.link.link_layer.LinkLayer`.
    heard : In(heard_layout)
        What the other side says.
    trailer : In(Trailer), news : In(1)
        What the receiving half has to say, and whether any of it is new.
    spares : In(1)
        As in `openppu.link.flit_transmit.FlitTransmit`.
    told : Out(1)
        ``trailer`` goes out.
    outstanding : Out
        Flits that are not acknowledged.
    round_trip : Out(TIME_BITS)
        In flits.
    events : Out(a bit each)
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "send": In(stream.Signature(payload_layout(config))),
                "may_send": Out(CHANNELS),
                "transmit": Out(stream.Signature(beat_layout(config))),
                "sending": In(1),
                "between": Out(1),
                "heard": In(heard_layout()),
                "trailer": In(Trailer),
                "news": In(1),
                "spares": In(1),
                "told": Out(1),
                "outstanding": Out(range(config.window + 1)),
                "round_trip": Out(TIME_BITS),
                "events": Out(data.StructLayout(dict.fromkeys(EVENTS, 1))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmit = transmit = FlitTransmit(self.config)
        m.submodules.replay = replay = Replay(self.config)
        m.submodules.retry = retry = Retry(self.config)
        m.submodules.credits = credits = CreditsToSend()
        wiring.connect(m, wiring.flipped(self.send), transmit.send)
        wiring.connect(m, transmit.transmit, wiring.flipped(self.transmit))
        begins_new = Signal()
        m.d.comb += [
            begins_new.eq(transmit.begins & (transmit.kind == Kind.NEW)),
            self.may_send.eq(credits.available & retry.room.replicate(CHANNELS)),
            self.told.eq(transmit.told),
            self.outstanding.eq(retry.outstanding),
            self.round_trip.eq(retry.round_trip),
            transmit.may_send.eq(self.may_send),
            transmit.sending.eq(self.sending),
            self.between.eq(transmit.between),
            transmit.trailer.eq(self.trailer),
            transmit.news.eq(self.news),
            transmit.spares.eq(self.spares),
            transmit.next_number.eq(retry.next_number),
            transmit.again.eq(replay.again),
            replay.store.eq(transmit.store),
            replay.due.eq(retry.due),
            replay.number.eq(retry.number),
            replay.index.eq(transmit.again_index),
            replay.begins.eq(transmit.begins & (transmit.kind == Kind.AGAIN)),
            retry.heard.eq(self.heard),
            retry.begins.eq(begins_new),
            retry.begins_again.eq(replay.begins),
            retry.stored.eq(transmit.store.valid & transmit.store.last),
            retry.ends.eq(transmit.ends),
            credits.spend.eq(begins_new),
            credits.spend_channel.eq(transmit.channel),
            credits.told.eq(self.heard.valid),
            credits.channel.eq(self.heard.trailer.credit_channel),
            credits.credit.eq(self.heard.trailer.credit),
            self.events.sent.eq(transmit.ends),
            self.events.new.eq(begins_new),
            self.events.replayed.eq(replay.begins),
            self.events.timeouts.eq(retry.timeout),
        ]
        return m
