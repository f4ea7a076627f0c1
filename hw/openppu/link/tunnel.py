"""Failover: the flits of a port whose lanes are dead, on their way through other ports."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import FLIT_BYTES, LinkConfig
from openppu.link.layouts import (
    ADDRESS_BITS,
    CHIP_BITS,
    HERE,
    HOP_BITS,
    Operation,
    beat_layout,
    length_of,
    packet_layout,
)

PATIENCE_BITS = 16
COUNT_BITS = 32


def way_of(hops: tuple[int, ...], port: int) -> int:
    """The address of a tunnel's packets: the ports they leave by, then the port of the chip at the end.

    Raises
    ------
    ValueError
        If there are too many hops.
    """
    steps = (*hops, HERE, port)
    if len(steps) * HOP_BITS > ADDRESS_BITS:
        raise ValueError(f"{len(hops)} hops: a tunnel has {ADDRESS_BITS // HOP_BITS - 2} at most")
    return sum(step << HOP_BITS * place for place, step in enumerate(steps))


def tunnel_control_layout() -> data.StructLayout:
    """What becomes of a port without lanes, after ``patience`` clocks; 0: it waits for ever.

    With ``enable`` it fails over, else it gives up. ``way``: as of `way_of`; ``chip``, ``far_chip``: this chip and the
    one at the other end of the port.
    """
    return data.StructLayout(
        {"enable": 1, "way": ADDRESS_BITS, "chip": CHIP_BITS, "far_chip": CHIP_BITS, "patience": PATIENCE_BITS}
    )


def tunnel_status_layout() -> data.StructLayout:
    """``active``: flits go through the tunnel. Flits ``sent`` and ``received`` through it; both wrap."""
    return data.StructLayout({"active": 1, "sent": COUNT_BITS, "received": COUNT_BITS})


class Tunnel(wiring.Component):
    """Stands between a port's link layer and its lanes, and sends flits as packets instead while there are no lanes.

    Nothing is doubled or lost, and the order stays, for the flits keep their numbers: to the link layer, the tunnel is
    only another kind of lanes. Flits that tell nothing new are left out. What comes while this side has its lanes is
    thrown away, as a flit that the lanes lost.

    Latency: 0 cycles. Throughput: a beat a cycle.

    Members
    -------
    control : In(tunnel_control_layout()), status : Out(tunnel_status_layout())
    dead : In(1)
        The lanes are not there, and not about to be.
    gives_up : Out(1)
        They have not been for too long, and there is no other way.
    transmit, sending, receive_beats, receive_valid, receiving
        The link layer's side, as of `openppu.link.link_layer.LinkLayer`.
    lanes_transmit, lanes_sending, lanes_receive, lanes_valid, lanes_receiving
        The lanes', as of `openppu.link.physical.PhysicalLayer`.
    packets : Out(stream of packet_layout), arrivals : In(stream of packet_layout)
        To the router and from there; those that arrive never wait.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        beats, packets = stream.Signature(beat_layout(config)), stream.Signature(packet_layout(config))
        super().__init__(
            {
                "control": In(tunnel_control_layout()),
                "status": Out(tunnel_status_layout()),
                "dead": In(1),
                "gives_up": Out(1),
                "transmit": In(beats),
                "sending": Out(1),
                "receive_beats": Out(beat_layout(config)),
                "receive_valid": Out(1),
                "receiving": Out(1),
                "lanes_transmit": Out(beats),
                "lanes_sending": In(1),
                "lanes_receive": In(beat_layout(config)),
                "lanes_valid": In(1),
                "lanes_receiving": In(1),
                "packets": Out(packets),
                "arrivals": In(packets),
            }
        )

    def elaborate(self, platform):
        m = Module()
        active = Signal()
        waited = Signal(PATIENCE_BITS)
        late = Signal()
        m.d.comb += [
            late.eq(self.dead & (self.control.patience != 0) & (waited >= self.control.patience)),
            self.gives_up.eq(late & ~self.control.enable),
        ]
        m.d.sync += active.eq(late & self.control.enable)
        with m.If(~self.dead):
            m.d.sync += waited.eq(0)
        with m.Elif(~late):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += self.status.active.eq(active)

        # A flit is forwarded or left out from its first beat on. When the lanes are back, the packet is cut off.
        beat = self.transmit.payload
        under_way = Signal()
        forwarding = Signal()
        forwards = Signal()
        cuts = Signal()
        packet, header = self.packets.payload, self.packets.payload.header
        m.d.comb += [
            self.lanes_transmit.payload.eq(beat),
            self.lanes_transmit.valid.eq(self.transmit.valid & ~active),
            cuts.eq(under_way & ~active),
            self.sending.eq(Mux(active, 1, self.lanes_sending & ~cuts)),
            forwards.eq(Mux(beat.first, beat.news, forwarding & under_way)),
            self.transmit.ready.eq(Mux(active, ~forwards | self.packets.ready, self.lanes_transmit.ready)),
            self.packets.valid.eq(cuts | (active & forwards & self.transmit.valid)),
            header.operation.eq(Operation.TUNNEL),
            header.destination.eq(self.control.far_chip),
            header.source.eq(self.control.chip),
            header.length.eq(length_of(FLIT_BYTES)),
            header.address.eq(self.control.way),
            packet.data.eq(beat.data),
            packet.count.eq(self.config.beat_bytes - 1),
            packet.filled.eq(~cuts),
            packet.cut.eq(cuts),
            packet.first.eq(beat.first & ~cuts),
            packet.last.eq(beat.last | cuts),
        ]
        with m.If(active & self.transmit.valid & self.transmit.ready):
            m.d.sync += forwarding.eq(forwards)
        with m.If(self.packets.valid & self.packets.ready):
            m.d.sync += under_way.eq(~packet.last)
            with m.If(packet.last & ~cuts):
                m.d.sync += self.status.sent.eq(self.status.sent + 1)

        arrival = self.arrivals.payload
        m.d.comb += self.arrivals.ready.eq(1)
        with m.If(active):
            m.d.comb += [
                self.receiving.eq(1),
                self.receive_beats.data.eq(arrival.data),
                self.receive_beats.first.eq(arrival.first),
                self.receive_beats.last.eq(arrival.last),
                self.receive_valid.eq(self.arrivals.valid & arrival.filled),
            ]
            with m.If(self.arrivals.valid & arrival.last & ~arrival.cut):
                m.d.sync += self.status.received.eq(self.status.received + 1)
        with m.Else():
            m.d.comb += [
                self.receiving.eq(self.lanes_receiving),
                self.receive_beats.eq(self.lanes_receive),
                self.receive_valid.eq(self.lanes_valid),
            ]
        return m


def onward(address: data.View) -> Cat:
    """The address of a tunnel's packet behind its next hop."""
    return Cat(address[HOP_BITS:], Const(0, HOP_BITS))
