"""A request port that several users share, one at a time."""

from amaranth import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import ChannelConfig
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout


class PortShare(wiring.Component):
    """Gives a port to the user whose turn it is, and changes only when that one is at rest.

    The first of those that want it comes first; it has the port, too, while nobody wants it. Each sees its own answers
    alone.

    Latency: 0 cycles; one for a change of user. Throughput: that of the port.

    Parameters
    ----------
    config : ChannelConfig
    users : int, at least 2

    Members
    -------
    wanted : In(1), array of one a user
        The user has, or awaits, something on its way; low only if all its requests are answered and it offers none.
    granted : Out(1), array of one a user
        The port is this user's.
    requests, words : In(stream), array of one a user
        As of a port; taken only from the user that has it.
    responses, acknowledges : Out(stream), array of one a user
    port_requests, port_words, port_responses, port_acknowledges
        Of the port.
    """

    def __init__(self, config: ChannelConfig, *, users: int = 2):
        if users < 2:
            raise ValueError(f"users = {users}: give 2 or more, for one needs not share")
        self.config = config
        self.users = users
        asks = {"requests": request_layout(config), "words": write_word_layout()}
        answers = {"responses": response_layout(config), "acknowledges": acknowledge_layout(config)}
        members = {"wanted": In(1).array(users), "granted": Out(1).array(users)}
        for name, shape in asks.items():
            members |= {name: In(stream.Signature(shape)).array(users), f"port_{name}": Out(stream.Signature(shape))}
        for name, shape in answers.items():
            members |= {name: Out(stream.Signature(shape)).array(users), f"port_{name}": In(stream.Signature(shape))}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        count = range(self.users)
        holder = Signal(count)
        first = Signal(count)
        for user in reversed(count):
            with m.If(self.wanted[user]):
                m.d.comb += first.eq(user)
        with m.If(~Array(self.wanted)[holder]):
            m.d.sync += holder.eq(first)

        for name in ("requests", "words"):
            users, port = getattr(self, name), getattr(self, f"port_{name}")
            m.d.comb += [
                port.payload.eq(Array(user.payload.as_value() for user in users)[holder]),
                port.valid.eq(Array(user.valid for user in users)[holder]),
            ]
        for name in ("responses", "acknowledges"):
            users, port = getattr(self, name), getattr(self, f"port_{name}")
            m.d.comb += port.ready.eq(Array(user.ready for user in users)[holder])
        for user in count:
            granted = self.granted[user]
            m.d.comb += granted.eq(holder == user)
            for name in ("requests", "words"):
                m.d.comb += getattr(self, name)[user].ready.eq(getattr(self, f"port_{name}").ready & granted)
            for name in ("responses", "acknowledges"):
                port, seen = getattr(self, f"port_{name}"), getattr(self, name)[user]
                m.d.comb += [seen.payload.eq(port.payload), seen.valid.eq(port.valid & granted)]
        return m
