"""A request port that two users share, one at a time."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout


class PortShare(wiring.Component):
    """Gives a port to the user whose turn it is, and changes only when that one is at rest.

    The first comes first, when both want it. Each sees its own answers alone.

    Latency: 0 cycles; one for a change of user. Throughput: that of the port.

    Members
    -------
    wanted : In(1), array of 2
        The user has, or awaits, something on its way; low only if all its requests are answered and it offers none.
    granted : Out(1), array of 2
        The port is this user's.
    requests, words : In(stream), array of 2
        As of a port; taken only from the user that has it.
    responses, acknowledges : Out(stream), array of 2
    port_requests, port_words, port_responses, port_acknowledges
        Of the port.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        asks = {"requests": request_layout(config), "words": write_word_layout()}
        answers = {"responses": response_layout(config), "acknowledges": acknowledge_layout(config)}
        members = {"wanted": In(1).array(2), "granted": Out(1).array(2)}
        for name, shape in asks.items():
            members |= {name: In(stream.Signature(shape)).array(2), f"port_{name}": Out(stream.Signature(shape))}
        for name, shape in answers.items():
            members |= {name: Out(stream.Signature(shape)).array(2), f"port_{name}": In(stream.Signature(shape))}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        second = Signal()
        m.d.comb += [self.granted[0].eq(~second), self.granted[1].eq(second)]
        with m.If(second):
            with m.If(~self.wanted[1]):
                m.d.sync += second.eq(0)
        with m.Elif(~self.wanted[0] & self.wanted[1]):
            m.d.sync += second.eq(1)

        for name in ("requests", "words"):
            users, port = getattr(self, name), getattr(self, f"port_{name}")
            m.d.comb += [
                port.payload.eq(Mux(second, users[1].payload.as_value(), users[0].payload.as_value())),
                port.valid.eq(Mux(second, users[1].valid, users[0].valid)),
                users[0].ready.eq(port.ready & ~second),
                users[1].ready.eq(port.ready & second),
            ]
        for name in ("responses", "acknowledges"):
            users, port = getattr(self, name), getattr(self, f"port_{name}")
            m.d.comb += [
                users[0].payload.eq(port.payload),
                users[1].payload.eq(port.payload),
                users[0].valid.eq(port.valid & ~second),
                users[1].valid.eq(port.valid & second),
                port.ready.eq(Mux(second, users[1].ready, users[0].ready)),
            ]
        return m
