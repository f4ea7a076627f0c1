"""Decides where a stream's packets go."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.layouts import CHIP_BITS, HERE, HOP_BITS, Operation, Role, packet_layout
from openppu.link.route_table import route_layout, table_write_layout, way_layout
from openppu.link.tunnel import onward

NO_PORT = HERE
"""In place of a port, of a stream that comes from this chip."""


def headed_layout(config: LinkConfig) -> data.StructLayout:
    """A word of a packet, and where it goes, the same for all of them."""
    return data.StructLayout({"word": packet_layout(config), "way": way_layout()})


def direct_layout() -> data.StructLayout:
    """A port that all packets go out by, if ``valid``."""
    return data.StructLayout({"valid": 1, "port": HOP_BITS})


class Heading(wiring.Component):
    """Looks up where packets go, at the first word of each.

    A packet that would go out by the port that it came in by, by one that does not exist, or to a chip that the table
    does not know, is to be thrown away. One of a tunnel says itself where it goes; a hop is taken away.

    Latency: 1 cycle. Throughput: a word a cycle.

    Parameters
    ----------
    config : LinkConfig

    Members
    -------
    chip : In(CHIP_BITS)
        This chip.
    role : In(Role), raised : In(1), port : In(HOP_BITS)
        Of the stream: its role, class, and the port that it comes from or `NO_PORT`. Constants.
    direct : In(direct_layout())
    routes : In(table_write_layout())
    words : In(stream of packet_layout)
    headed : Out(stream of headed_layout)
    """

    LATENCY = 1

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "chip": In(CHIP_BITS),
                "role": In(Role),
                "raised": In(1),
                "port": In(HOP_BITS),
                "direct": In(direct_layout()),
                "routes": In(table_write_layout()),
                "words": In(stream.Signature(packet_layout(config))),
                "headed": Out(stream.Signature(headed_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.lines = lines = memory.Memory(shape=route_layout(), depth=1 << CHIP_BITS, init=[])
        write, read = lines.write_port(), lines.read_port(domain="comb")
        word = self.words.payload
        header = word.header
        m.d.comb += [
            write.addr.eq(self.routes.destination),
            write.data.eq(self.routes.route),
            write.en.eq(self.routes.write & (self.routes.role == self.role)),
            read.addr.eq(header.destination),
        ]

        # A table's lines are not there until they are written.
        known = Signal(1 << CHIP_BITS)
        with m.If(write.en):
            m.d.sync += known.bit_select(self.routes.destination, 1).eq(1)

        way = Signal(way_layout())
        is_tunnel = Signal()
        hop = Signal(HOP_BITS)
        is_collective = Signal()
        exists = Signal()
        m.d.comb += [
            is_collective.eq(self.role == Role.COLLECTIVE),
            is_tunnel.eq(is_collective & self.raised & (header.operation == Operation.TUNNEL)),
            hop.eq(header.address[:HOP_BITS]),
        ]
        with m.If(is_tunnel):
            m.d.comb += [
                way.local.eq(hop == HERE),
                way.port.eq(Mux(way.local, header.address[HOP_BITS : 2 * HOP_BITS], hop)),
                way.raised.eq(1),
                exists.eq(1),
            ]
        with m.Elif(header.destination == self.chip):
            m.d.comb += [
                way.local.eq(1),
                way.port.eq(header.status),
                exists.eq(~is_collective | (header.operation == Operation.COLLECTIVE)),
            ]
        with m.Elif(self.direct.valid):
            m.d.comb += [way.port.eq(self.direct.port), way.raised.eq(self.raised), exists.eq(1)]
        with m.Else():
            m.d.comb += [
                way.port.eq(read.data.port),
                way.raised.eq(self.raised | read.data.raises),
                exists.eq(known.bit_select(header.destination, 1) & read.data.valid),
            ]
        no_port = Signal()
        goes_back = Signal()
        m.d.comb += [
            way.tunnel.eq(is_tunnel),
            no_port.eq((way.port >= self.config.ports) & ~(way.local & ~is_collective)),
            # Of collectives, nothing goes from this chip to itself.
            goes_back.eq(Mux(way.local, is_collective & (self.port == NO_PORT), way.port == self.port)),
            way.drop.eq(~exists | no_port | goes_back),
        ]

        headed = self.headed.payload
        m.d.comb += self.words.ready.eq(~self.headed.valid | self.headed.ready)
        with m.If(self.words.ready):
            m.d.sync += [self.headed.valid.eq(self.words.valid), headed.word.eq(word)]
            with m.If(self.words.valid & word.first):
                m.d.sync += headed.way.eq(way)
            with m.If(is_tunnel & word.first):
                m.d.sync += headed.word.header.address.eq(onward(header.address))
        return m
