"""The link layer of a port: flits with payload, each delivered once, whatever the lanes do."""

from amaranth import Module, ResetInserter
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.flit_receive import slots_of
from openppu.link.layouts import beat_layout, payload_layout
from openppu.link.link_counters import LinkCounters, counts_layout
from openppu.link.receiver import EVENTS as RECEIVER_EVENTS
from openppu.link.receiver import Receiver
from openppu.link.round_trip import TIME_BITS
from openppu.link.sender import EVENTS as SENDER_EVENTS
from openppu.link.sender import Sender


def link_status_layout(config: LinkConfig) -> data.StructLayout:
    """What software can see: the counters; the flits not acknowledged, and those in the receive buffer; round trip."""
    return data.StructLayout(
        {
            "counts": counts_layout(),
            "outstanding": range(config.window + 1),
            "held": range(slots_of(config) + 1),
            "round_trip": TIME_BITS,
        }
    )


class LinkLayer(wiring.Component):
    """Sends the flits of ``send`` to the other side's ``receive``: each once, in order in its channel.

    Latency: from ``send`` to ``transmit`` 1 cycle; from a flit's last beat to its first one on ``receive`` 3 cycles,
    4 with FEC. Throughput: a beat a cycle, each way.

    Members
    -------
    send : In(stream of payload_layout)
        `LinkConfig.payload_beats` for each flit; once begun, there is a beat whenever one can be taken.
    may_send : Out(CHANNELS)
        A flit of the channel can begin: there is a credit, and room among the flits not acknowledged. Stays until a
        flit begins, of any channel for the room.
    blocked : In(1)
        Something waits that may not be sent: counted.
    receive : Out(stream of payload_layout)
        The beats of a flit, without others between.
    wanted : In(CHANNELS)
        There is room for a whole flit of the channel, beside those whose first beat has been taken.
    transmit : Out(stream of beat_layout)
        While ``sending`` always valid, but for the cycle after it rose.
    sending : In(1)
        When it falls, the flit in progress is lost; the rest of it is taken from ``send``, a beat a clock.
    spares : In(1)
        Flits that are not ``news`` go nowhere: what they tell has not been told.
    between : Out(1)
        No flit is in progress: ``sending`` may rise.
    receive_beats : In(beat_layout), receive_valid : In(1)
    receiving : In(1)
        When it falls, the flit in progress is lost.
    flit_good, flit_bad : Out(1)
        A flit came, and could be trusted or not.
    reset_link : In(1)
        Forget everything: numbers, what was sent and received, credits, counters.
    status : Out(link_status_layout)
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "send": In(stream.Signature(payload_layout(config))),
                "may_send": Out(CHANNELS),
                "blocked": In(1),
                "receive": Out(stream.Signature(payload_layout(config))),
                "wanted": In(CHANNELS),
                "transmit": Out(stream.Signature(beat_layout(config))),
                "sending": In(1),
                "spares": In(1),
                "between": Out(1),
                "receive_beats": In(beat_layout(config)),
                "receive_valid": In(1),
                "receiving": In(1),
                "flit_good": Out(1),
                "flit_bad": Out(1),
                "reset_link": In(1),
                "status": Out(link_status_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = sender = Sender(self.config)
        m.submodules.receiver = receiver = Receiver(self.config)
        m.submodules.counters = counters = LinkCounters()
        wiring.connect(m, wiring.flipped(self.send), sender.send)
        wiring.connect(m, sender.transmit, wiring.flipped(self.transmit))
        wiring.connect(m, receiver.receive, wiring.flipped(self.receive))
        m.d.comb += [
            self.may_send.eq(sender.may_send),
            counters.events.stalls.eq(self.blocked),
            sender.sending.eq(self.sending),
            sender.spares.eq(self.spares),
            self.between.eq(sender.between),
            receiver.beats.eq(self.receive_beats),
            receiver.valid.eq(self.receive_valid),
            receiver.receiving.eq(self.receiving),
            receiver.wanted.eq(self.wanted),
            # Each direction speaks of the other.
            sender.trailer.eq(receiver.trailer),
            sender.news.eq(receiver.news),
            receiver.told.eq(sender.told),
            sender.heard.eq(receiver.heard),
            self.flit_good.eq(receiver.events.right),
            self.flit_bad.eq(receiver.events.bad),
            self.status.counts.eq(counters.counts),
            self.status.outstanding.eq(sender.outstanding),
            self.status.held.eq(receiver.held),
            self.status.round_trip.eq(sender.round_trip),
        ]
        for half, names in ((sender, SENDER_EVENTS), (receiver, RECEIVER_EVENTS)):
            m.d.comb += [counters.events[name].eq(half.events[name]) for name in names]
        return ResetInserter(self.reset_link)(m)
