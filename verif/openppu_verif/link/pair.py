"""Two ports as one top, for testbenches that have one: side ``a`` and side ``b``, their SerDes outside."""

from amaranth import Module, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import packet_layout
from openppu.link.port import Port, port_status_layout
from openppu.link.serdes import SerdesSignature

SIDES = ("a", "b")


class PortPair(wiring.Component):
    """Two ports of one clock, each with a reset of its own; nothing joins them.

    Members
    -------
    a, b : Out
        ``serdes``, ``send``, ``receive`` and ``status`` of `Port`, and ``reset`` In(1).
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        packet = stream.Signature(packet_layout(config))
        side = wiring.Signature(
            {
                "serdes": Out(SerdesSignature(config)),
                "send": In(packet).array(CHANNELS),
                "receive": Out(packet).array(CHANNELS),
                "status": Out(port_status_layout(config)),
                "reset": In(1),
            }
        )
        super().__init__(dict.fromkeys(SIDES, Out(side)))

    def elaborate(self, platform):
        m = Module()
        for name in SIDES:
            outside, port = getattr(self, name), Port(self.config)
            m.submodules[name] = ResetInserter(outside.reset)(port)
            wiring.connect(m, wiring.flipped(outside.serdes), port.serdes)
            for channel in range(CHANNELS):
                wiring.connect(m, wiring.flipped(outside.send[channel]), port.send[channel])
                wiring.connect(m, port.receive[channel], wiring.flipped(outside.receive[channel]))
            m.d.comb += outside.status.eq(port.status)
        return m
