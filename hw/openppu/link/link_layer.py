"""The link layer of a port: flits with payload, each delivered once, whatever the lanes do."""

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.credits import CreditsToGive, CreditsToSend
from openppu.link.flit_buffer import FlitBuffer
from openppu.link.flit_receive import FlitReceive, slots_of
from openppu.link.flit_transmit import FlitTransmit, Kind
from openppu.link.layouts import beat_layout, payload_layout
from openppu.link.link_counters import LinkCounters, counts_layout
from openppu.link.receive_window import ReceiveWindow
from openppu.link.replay import Replay
from openppu.link.retry import Retry
from openppu.link.round_trip import TIME_BITS


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
    receive : Out(stream of payload_layout)
        The beats of a flit, without others between.
    wanted : In(CHANNELS)
        There is room for a whole flit of the channel, beside those whose first beat has been taken.
    transmit : Out(stream of beat_layout)
        While ``sending`` always valid, but for the cycle after it rose.
    sending : In(1)
        When it falls, the flit in progress is lost.
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
                "receive": Out(stream.Signature(payload_layout(config))),
                "wanted": In(CHANNELS),
                "transmit": Out(stream.Signature(beat_layout(config))),
                "sending": In(1),
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
        config = self.config
        m.submodules.flit_transmit = transmit = FlitTransmit(config)
        m.submodules.replay = replay = Replay(config)
        m.submodules.retry = retry = Retry(config)
        m.submodules.credits_to_send = spend = CreditsToSend()
        m.submodules.flit_receive = receive = FlitReceive(config)
        m.submodules.window = window = ReceiveWindow(config)
        m.submodules.buffer = buffer = FlitBuffer(config)
        m.submodules.credits_to_give = give = CreditsToGive(config)
        m.submodules.counters = counters = LinkCounters()

        # What is sent.
        wiring.connect(m, wiring.flipped(self.send), transmit.send)
        wiring.connect(m, transmit.transmit, wiring.flipped(self.transmit))
        begins_new = Signal()
        m.d.comb += [
            begins_new.eq(transmit.begins & (transmit.kind == Kind.NEW)),
            self.may_send.eq(spend.available & retry.room.replicate(CHANNELS)),
            transmit.may_send.eq(self.may_send),
            transmit.sending.eq(self.sending),
            transmit.next_number.eq(retry.next_number),
            transmit.again.eq(replay.again),
            replay.store.eq(transmit.store),
            replay.due.eq(retry.due),
            replay.number.eq(retry.number),
            replay.index.eq(transmit.again_index),
            replay.begins.eq(transmit.begins & (transmit.kind == Kind.AGAIN)),
            retry.begins.eq(begins_new),
            retry.begins_again.eq(replay.begins),
            retry.stored.eq(transmit.store.valid & transmit.store.last),
            retry.ends.eq(transmit.ends),
            spend.spend.eq(begins_new),
            spend.spend_channel.eq(transmit.channel),
        ]

        # What is received.
        m.d.comb += [
            receive.beats.eq(self.receive_beats),
            receive.valid.eq(self.receive_valid),
            receive.receiving.eq(self.receiving),
            buffer.write.eq(receive.write),
            window.arrival.eq(receive.arrival),
            buffer.push.eq(window.push),
            buffer.note.eq(window.note),
            buffer.release.eq(window.release),
            buffer.wanted.eq(self.wanted),
            give.freed.eq(buffer.freed),
            give.freed_channel.eq(buffer.freed_channel),
            self.flit_good.eq(window.good),
            self.flit_bad.eq(window.bad | receive.broken),
        ]
        wiring.connect(m, buffer.slot, receive.slot)
        wiring.connect(m, buffer.receive, wiring.flipped(self.receive))

        # What each direction says of the other.
        told = transmit.trailer
        heard = window.heard
        m.d.comb += [
            told.acknowledge.eq(window.expected),
            told.missing_valid.eq(window.missing_valid),
            told.missing.eq(window.missing),
            told.credit_channel.eq(give.channel),
            told.credit.eq(give.credit),
            window.asked.eq(transmit.told),
            give.told.eq(transmit.told),
            retry.heard.eq(heard),
            spend.told.eq(heard.valid),
            spend.channel.eq(heard.trailer.credit_channel),
            spend.credit.eq(heard.trailer.credit),
        ]
        untold = Signal()
        with m.If(window.push.valid):
            m.d.sync += untold.eq(1)
        with m.Elif(transmit.told):
            m.d.sync += untold.eq(0)
        m.d.comb += transmit.news.eq(untold | give.news | window.missing_valid)

        held = Signal(range(slots_of(config) + 1))
        m.d.sync += held.eq(held + window.push.valid - buffer.freed)
        m.d.comb += [
            self.status.counts.eq(counters.counts),
            self.status.outstanding.eq(retry.outstanding),
            self.status.held.eq(held),
            self.status.round_trip.eq(retry.round_trip),
            counters.events.sent.eq(transmit.ends),
            counters.events.new.eq(begins_new),
            counters.events.replayed.eq(replay.begins),
            counters.events.timeouts.eq(retry.timeout),
            counters.events.stalls.eq(transmit.stalls),
            counters.events.right.eq(self.flit_good),
            counters.events.bad.eq(self.flit_bad),
            counters.events.duplicates.eq(window.duplicate),
            counters.events.early.eq(window.early),
            counters.events.corrected.eq(window.corrected),
        ]
        return ResetInserter(self.reset_link)(m)
