"""The receiving half of the link layer."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.credits import CreditsToGive
from openppu.link.flit_buffer import FlitBuffer
from openppu.link.flit_receive import FlitReceive, slots_of
from openppu.link.layouts import Trailer, beat_layout, payload_layout
from openppu.link.receive_window import ReceiveWindow, heard_layout

EVENTS = ("right", "bad", "duplicates", "early", "corrected")
"""Of `openppu.link.link_counters.COUNTS`."""


class Receiver(wiring.Component):
    """Receives flits, and passes each on once, in order in its channel.

    Latency: from a flit's last beat to its first one on ``receive`` 3 cycles, 4 with FEC. Throughput: a beat a cycle.

    Members
    -------
    beats, valid, receiving
        As in `openppu.link.flit_receive.FlitReceive`.
    receive, wanted
        As in `openppu.link.link_layer.LinkLayer`.
    heard : Out(heard_layout)
        What the other side says.
    trailer : Out(Trailer)
        What there is to say: ``acknowledge``, ``missing``, ``credit``.
    news : Out(1)
        Some of it has not been told.
    told : In(1)
        ``trailer`` goes out.
    held : Out
        Flits that wait to be taken.
    events : Out(a bit each)
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "beats": In(beat_layout(config)),
                "valid": In(1),
                "receiving": In(1),
                "receive": Out(stream.Signature(payload_layout(config))),
                "wanted": In(CHANNELS),
                "heard": Out(heard_layout()),
                "trailer": Out(Trailer),
                "news": Out(1),
                "told": In(1),
                "held": Out(range(slots_of(config) + 1)),
                "events": Out(data.StructLayout(dict.fromkeys(EVENTS, 1))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.flits = flits = FlitReceive(self.config)
        m.submodules.window = window = ReceiveWindow(self.config)
        m.submodules.buffer = buffer = FlitBuffer(self.config)
        m.submodules.credits = credits = CreditsToGive(self.config)
        wiring.connect(m, buffer.slot, flits.slot)
        wiring.connect(m, buffer.receive, wiring.flipped(self.receive))

        untold = Signal()
        with m.If(window.push.valid):
            m.d.sync += untold.eq(1)
        with m.Elif(self.told):
            m.d.sync += untold.eq(0)
        m.d.sync += self.held.eq(self.held + window.push.valid - buffer.freed)

        m.d.comb += [
            flits.beats.eq(self.beats),
            flits.valid.eq(self.valid),
            flits.receiving.eq(self.receiving),
            window.arrival.eq(flits.arrival),
            window.asked.eq(self.told),
            buffer.write.eq(flits.write),
            buffer.push.eq(window.push),
            buffer.note.eq(window.note),
            buffer.release.eq(window.release),
            buffer.wanted.eq(self.wanted),
            credits.freed.eq(buffer.freed),
            credits.freed_channel.eq(buffer.freed_channel),
            credits.told.eq(self.told),
            self.heard.eq(window.heard),
            self.trailer.acknowledge.eq(window.expected),
            self.trailer.missing_valid.eq(window.missing_valid),
            self.trailer.missing.eq(window.missing),
            self.trailer.credit_channel.eq(credits.channel),
            self.trailer.credit.eq(credits.credit),
            self.news.eq(untold | credits.news | window.missing_valid),
            self.events.right.eq(window.good),
            self.events.bad.eq(window.bad | flits.broken),
            self.events.duplicates.eq(window.duplicate),
            self.events.early.eq(window.early),
            self.events.corrected.eq(window.corrected),
        ]
        return m
