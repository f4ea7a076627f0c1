"""Failover: the flits of a port whose lanes are dead, on their way through other ports."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
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

EPOCH_BITS = 4
GREETING_BYTES = 2
HELLO_INTERVAL = 256
"""Cycles from one hello that is not answered to the next."""


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
    """What becomes of a port without lanes, after ``patience`` clocks (`Tunnel.LEAST_PATIENCE` at least); 0: it waits
    for ever. `openppu.link.failover.Failover` makes it.

    With ``enable`` it fails over, else it gives up. ``way``: as of `way_of`; ``chip``, ``far_chip``: this chip and the
    one at the other end of the port.
    """
    return data.StructLayout(
        {"enable": 1, "way": ADDRESS_BITS, "chip": CHIP_BITS, "far_chip": CHIP_BITS, "patience": PATIENCE_BITS}
    )


def tunnel_status_layout() -> data.StructLayout:
    """``active``: flits go through the tunnel. Flits ``sent`` and ``received`` through it; both wrap."""
    return data.StructLayout({"active": 1, "sent": COUNT_BITS, "received": COUNT_BITS})


class Kind(enum.Enum, shape=4):
    """Of a tunnel's packet, in the place of its status. All but flits have two bytes of data, which mean nothing."""

    FLIT = 0
    HELLO = 1
    """This end has begun; to be answered."""
    HELLO_NEW = 2
    """The same, and its link layer is new: the other one must be reset."""
    ANSWER = 3
    """To either; what it asks for is done."""


def greeting_layout() -> data.StructLayout:
    """Of a tunnel's packet, in the place of its tag. ``epoch``: how often its sender has begun, 1 to 15; ``echo``: the
    last epoch that its sender has heard from the other end; 0: none."""
    return data.StructLayout({"epoch": EPOCH_BITS, "echo": EPOCH_BITS})


class Tunnel(wiring.Component):
    """Stands between a port's link layer and its lanes, and sends flits as packets instead while there are no lanes.

    Nothing is doubled or lost, and the order stays, for the flits keep their numbers: to the link layer, the tunnel is
    only another kind of lanes. Flits that tell nothing new are left out. What comes while this side has its lanes is
    thrown away, as a flit that the lanes lost.

    Each end says hello until it is answered, and flits go once both know each other. An end whose link layer is new
    says so, and the other one resets its own before it answers. What was sent before an end began is not taken: its
    ``echo`` is none, or older. An end that was reset, and knows no old ones, learns them while it waits for
    ``patience``, in which also what is still under way arrives.

    Latency: 0 cycles. Throughput: a beat a cycle.

    Members
    -------
    control : In(tunnel_control_layout()), status : Out(tunnel_status_layout())
    dead : In(1)
        The lanes are not there, and not about to be.
    fresh, dirty : In(1)
        As of `openppu.link.training.Training`.
    reset_link : In(1)
        The link layer is being reset, for whatever reason.
    told : Out(1), far_is_new : Out(1)
        For a cycle: the other side knows that this link layer is new, if it is; this one must be reset, for the other
        one's is.
    gives_up : Out(1)
        They have not been for too long, and there is no other way.
    transmit, sending, between, receive_beats, receive_valid, receiving
        The link layer's side, as of `openppu.link.link_layer.LinkLayer`.
    lanes_transmit, lanes_sending, lanes_receive, lanes_valid, lanes_receiving
        The lanes', as of `openppu.link.physical.PhysicalLayer`.
    packets : Out(stream of packet_layout), arrivals : In(stream of packet_layout)
        To the router and from there; those that arrive never wait. A first word that waits is taken back when the lanes
        return, or something more urgent is to be said.
    """

    LEAST_PATIENCE = 4096
    """Less is taken as this, or a port would give up in its first training, and lose what it was given to send."""

    def __init__(self, config: LinkConfig):
        self.config = config
        beats, packets = stream.Signature(beat_layout(config)), stream.Signature(packet_layout(config))
        super().__init__(
            {
                "control": In(tunnel_control_layout()),
                "status": Out(tunnel_status_layout()),
                "dead": In(1),
                "fresh": In(1),
                "dirty": In(1),
                "reset_link": In(1),
                "told": Out(1),
                "far_is_new": Out(1),
                "gives_up": Out(1),
                "transmit": In(beats),
                "sending": Out(1),
                "between": In(1, init=1),
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
        active, begins, late = Signal(), Signal(), Signal()
        waited = Signal(PATIENCE_BITS)
        m.d.comb += [
            late.eq(
                self.dead
                & (self.control.patience != 0)
                & (waited >= self.control.patience)
                & (waited >= self.LEAST_PATIENCE)
            ),
            self.gives_up.eq(late & ~self.control.enable),
            begins.eq(late & self.control.enable & ~active),
        ]
        m.d.sync += active.eq(late & self.control.enable)
        with m.If(~self.dead):
            m.d.sync += waited.eq(0)
        with m.Elif(~late):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += self.status.active.eq(active)

        # Who knows whom.
        arrival = self.arrivals.payload
        kind, said = Signal(Kind), Signal(greeting_layout())
        comes, hello, known = Signal(), Signal(), Signal()
        epoch, echo = Signal(EPOCH_BITS), Signal(EPOCH_BITS)
        answered, owes, asks = Signal(), Signal(), Signal()
        since = Signal(range(HELLO_INTERVAL))
        m.d.comb += [
            self.arrivals.ready.eq(1),
            kind.eq(arrival.header.status.as_value()),
            said.eq(arrival.header.tag),
            comes.eq(self.arrivals.valid & arrival.first),
            hello.eq(comes & active & ((kind == Kind.HELLO) | (kind == Kind.HELLO_NEW))),
            self.far_is_new.eq(hello & (kind == Kind.HELLO_NEW) & self.dirty),
            self.told.eq(comes & active & (kind == Kind.ANSWER) & (said.echo == epoch)),
            known.eq(active & answered & echo.any()),
        ]
        packet, header = self.packets.payload, self.packets.payload.header
        greets, is_taken = Signal(), Signal()
        m.d.comb += is_taken.eq(greets & self.packets.ready)
        with m.If(answered | asks):
            m.d.sync += since.eq(0)
        with m.Else():
            m.d.sync += since.eq(since + 1)
        with m.If(is_taken):
            m.d.sync += [owes.eq(0), asks.eq(asks & owes)]
        with m.If(~answered & (since == HELLO_INTERVAL - 1)):
            m.d.sync += asks.eq(1)
        with m.If(self.told):
            m.d.sync += [answered.eq(1), asks.eq(0)]
        with m.If(hello):
            m.d.sync += [echo.eq(said.epoch), owes.eq(1)]
            with m.If(said.echo != epoch):
                m.d.sync += [answered.eq(0), asks.eq(1)]
        following = Signal(EPOCH_BITS)
        m.d.comb += following.eq(Mux(epoch.all(), 1, epoch + 1))
        with m.If(self.reset_link & active):
            # What is on its way speaks of the link layer as it was.
            m.d.sync += [epoch.eq(following), answered.eq(0), asks.eq(1)]
        with m.If(~active & self.fresh & comes & said.echo.any()):
            m.d.sync += epoch.eq(said.echo)
        with m.If(begins):
            m.d.sync += [
                epoch.eq(following),
                echo.eq(0),
                answered.eq(0),
                owes.eq(0),
                asks.eq(1),
            ]

        # A flit is forwarded or left out from its first beat on. When the lanes are back, the packet is cut off.
        beat = self.transmit.payload
        under_way, forwarding, forwards, cuts = Signal(), Signal(), Signal(), Signal()
        opened, is_open = Signal(), Signal()
        with m.If(~known | self.reset_link):
            m.d.sync += opened.eq(0)
        with m.Elif(self.between & ~under_way):
            m.d.sync += opened.eq(1)
        m.d.comb += [
            is_open.eq(known & opened),
            self.lanes_transmit.payload.eq(beat),
            self.lanes_transmit.valid.eq(self.transmit.valid & ~active),
            cuts.eq(under_way & ~is_open),
            greets.eq(active & (owes | asks) & ~under_way),
            self.sending.eq(Mux(active, is_open, self.lanes_sending & ~cuts)),
            forwards.eq(Mux(beat.first, beat.news, forwarding & under_way)),
            self.transmit.ready.eq(
                Mux(active, is_open & ~greets & (~forwards | self.packets.ready), self.lanes_transmit.ready)
            ),
            self.packets.valid.eq(cuts | greets | (is_open & forwards & self.transmit.valid)),
            header.operation.eq(Operation.TUNNEL),
            header.destination.eq(self.control.far_chip),
            header.source.eq(self.control.chip),
            header.tag.eq(Cat(epoch, echo)),
            header.address.eq(self.control.way),
            packet.cut.eq(cuts),
        ]
        with m.If(greets):
            hello_kind = Mux(self.fresh, Kind.HELLO_NEW, Kind.HELLO)
            m.d.comb += [
                header.status.as_value().eq(Mux(owes, Kind.ANSWER, hello_kind)),
                header.length.eq(length_of(GREETING_BYTES)),
                packet.count.eq(GREETING_BYTES - 1),
                packet.filled.eq(1),
                packet.first.eq(1),
                packet.last.eq(1),
            ]
        with m.Else():
            m.d.comb += [
                header.length.eq(length_of(FLIT_BYTES)),
                packet.data.eq(beat.data),
                packet.count.eq(self.config.beat_bytes - 1),
                packet.filled.eq(~cuts),
                packet.first.eq(beat.first & ~cuts),
                packet.last.eq(beat.last | cuts),
            ]
        with m.If(is_open & self.transmit.valid & self.transmit.ready):
            m.d.sync += forwarding.eq(forwards)
        with m.If(self.packets.valid & self.packets.ready):
            m.d.sync += under_way.eq(~packet.last)
            with m.If(packet.last & ~cuts & ~greets):
                m.d.sync += self.status.sent.eq(self.status.sent + 1)

        # Flits that arrive.
        takes, took = Signal(), Signal()
        m.d.comb += takes.eq(
            is_open & Mux(arrival.first, (kind == Kind.FLIT) & (said.echo == epoch) & (said.epoch == echo), took)
        )
        with m.If(self.arrivals.valid):
            m.d.sync += took.eq(takes & ~arrival.last)
        with m.If(active):
            m.d.comb += [
                self.receiving.eq(is_open),
                self.receive_beats.data.eq(arrival.data),
                self.receive_beats.first.eq(arrival.first),
                self.receive_beats.last.eq(arrival.last),
                self.receive_valid.eq(self.arrivals.valid & arrival.filled & takes),
            ]
            with m.If(self.arrivals.valid & takes & arrival.last & ~arrival.cut):
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
