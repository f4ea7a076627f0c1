"""A port of the link: packets on one side, the SerDes on the other."""

from amaranth import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import packet_layout
from openppu.link.link_layer import LinkLayer, link_status_layout
from openppu.link.packer import Packer
from openppu.link.physical import PhysicalLayer, physical_control_layout, physical_status_layout
from openppu.link.serdes import SerdesSignature
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.training import State
from openppu.link.tunnel import Tunnel, tunnel_control_layout, tunnel_status_layout
from openppu.link.unpacker import Unpacker

DEAD_STATES = (State.DISABLED, State.DETECT, State.ALIGN, State.FAILED)
"""In these, there are no lanes, and none are about to carry flits."""

LIVE_STATES = (State.WIDTH, State.START, State.ACTIVE, State.DEGRADED)
"""In these, the other port is there."""


def port_status_layout(config: LinkConfig) -> data.StructLayout:
    """What a port tells of itself. ``resets``: how often its link layer was reset, which wraps; ``gone``: it has given
    up, and throws away what is to be sent."""
    return data.StructLayout(
        {
            "physical": physical_status_layout(config),
            "link": link_status_layout(config),
            "tunnel": tunnel_status_layout(),
            "resets": 16,
            "gone": 1,
        }
    )


class Port(wiring.Component):
    """Physical layer, link layer, packer and unpacker.

    Each packet that is taken comes out of the other port once, in the order of its channel, whatever the lanes do. Only
    a reset of the link layer loses packets: one that the other port's reset brings about, ``control.hot_reset`` of
    either, ``reset_link``, or of a port that has given up, when its lanes are back; one that is under way then ends
    with a word that is ``cut``.

    Latency, without FEC and at full width: as of its parts, from a word that is sent to the same word received
    12 cycles and a flit's beats, beside the lanes.

    Members
    -------
    serdes : Out(SerdesSignature(config))
    send : In(stream of packet_layout(config)), array of one a channel
    receive : Out(stream of packet_layout(config)), array of one a channel
    settings : In(settings_layout())
        `openppu.link.settings.TrainingSettings` if not connected.
    control : In(physical_control_layout(config))
    reset_link : In(1)
        Forget all packets that are under way, without telling the other port.
    tunnel : In(tunnel_control_layout())
        What becomes of the port without lanes: it waits, if not connected.
    tunnel_send : Out(stream of packet_layout), tunnel_receive : In(stream of packet_layout)
        Packets of the tunnel, to and from the router.
    status : Out(port_status_layout(config))
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        packet = stream.Signature(packet_layout(config))
        super().__init__(
            {
                "serdes": Out(SerdesSignature(config)),
                "send": In(packet).array(CHANNELS),
                "receive": Out(packet).array(CHANNELS),
                "settings": In(settings_layout(), init=TrainingSettings().values()),
                "control": In(physical_control_layout(config)),
                "reset_link": In(1),
                "tunnel": In(tunnel_control_layout()),
                "tunnel_send": Out(packet),
                "tunnel_receive": In(packet),
                "status": Out(port_status_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.physical = physical = PhysicalLayer(config)
        m.submodules.link = link = LinkLayer(config)
        m.submodules.tunnel = tunnel = Tunnel(config)
        m.submodules.packer = packer = Packer(config)
        m.submodules.unpacker = unpacker = Unpacker(config)

        wiring.connect(m, physical.serdes, wiring.flipped(self.serdes))
        gone = Signal()
        wants_reset = Signal()
        m.d.comb += [
            physical.settings.eq(self.settings),
            physical.control.eq(self.control),
            physical.control.hot_reset.eq(self.control.hot_reset | wants_reset),
        ]

        # The lanes, or the tunnel in their place.
        wiring.connect(m, tunnel.lanes_transmit, physical.transmit)
        wiring.connect(m, link.transmit, tunnel.transmit)
        wiring.connect(m, tunnel.packets, wiring.flipped(self.tunnel_send))
        wiring.connect(m, wiring.flipped(self.tunnel_receive), tunnel.arrivals)
        m.d.comb += [
            tunnel.control.eq(self.tunnel),
            tunnel.dead.eq(_in(physical.status.state, DEAD_STATES)),
            tunnel.lanes_sending.eq(physical.sending),
            tunnel.lanes_receive.eq(physical.receive),
            tunnel.lanes_valid.eq(physical.receive_valid),
            tunnel.lanes_receiving.eq(physical.receiving),
            tunnel.between.eq(link.between),
            tunnel.fresh.eq(physical.fresh),
            tunnel.dirty.eq(physical.dirty),
            link.sending.eq(tunnel.sending),
            link.spares.eq(tunnel.status.active),
            link.receive_beats.eq(tunnel.receive_beats),
            link.receive_valid.eq(tunnel.receive_valid),
            link.receiving.eq(tunnel.receiving),
            physical.between.eq(link.between),
            physical.flit_good.eq(link.flit_good & ~tunnel.status.active),
            physical.flit_bad.eq(link.flit_bad & ~tunnel.status.active),
            physical.elsewhere.good.eq(link.flit_good & tunnel.status.active),
            physical.elsewhere.told.eq(tunnel.told),
            physical.elsewhere.reset.eq(tunnel.far_is_new),
        ]

        # Packets.
        wiring.connect(m, packer.send, link.send)
        wiring.connect(m, link.receive, unpacker.receive)
        m.d.comb += [
            packer.may_send.eq(link.may_send),
            link.blocked.eq(packer.blocked),
            link.wanted.eq(unpacker.wanted),
        ]
        for channel in range(CHANNELS):
            wiring.connect(m, wiring.flipped(self.send[channel]), packer.packets[channel])
            wiring.connect(m, unpacker.packets[channel], wiring.flipped(self.receive[channel]))

        reset = Signal()
        gives_up = Signal()
        was_gone = Signal()
        begins_anew = Signal()
        m.d.sync += was_gone.eq(gone)
        m.d.comb += [
            gives_up.eq(gone & ~was_gone),
            begins_anew.eq(physical.fresh_far | physical.link_reset | tunnel.far_is_new | self.reset_link),
            reset.eq(begins_anew | gone),
            # Held only for a cycle: a packet that is half received is to be cut off at once.
            unpacker.reset_link.eq(begins_anew | gives_up),
        ]
        for part in (link, packer, tunnel):
            m.d.comb += part.reset_link.eq(reset)
        was_reset = Signal()
        m.d.sync += was_reset.eq(reset)
        with m.If(reset & ~was_reset):
            m.d.sync += self.status.resets.eq(self.status.resets + 1)

        # A port that has given up begins anew, and the other one with it, when the lanes are back.
        with m.If(tunnel.gives_up & ~gone):
            m.d.sync += [gone.eq(1), wants_reset.eq(1)]
        with m.Elif(_in(physical.status.state, LIVE_STATES)):
            m.d.sync += gone.eq(0)
        with m.If(physical.link_reset):
            m.d.sync += wants_reset.eq(0)

        m.d.comb += [
            self.status.physical.eq(physical.status),
            self.status.link.eq(link.status),
            self.status.tunnel.eq(tunnel.status),
            self.status.gone.eq(gone),
        ]
        return m


def _in(state, states):
    """Whether a state is one of several."""
    return Value.cast(state).matches(*(one.value for one in states))
