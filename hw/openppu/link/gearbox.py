"""Between a port's words and those of a SerDes of another width."""

from amaranth import DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig
from openppu.link.regroup import Regroup
from openppu.link.serdes import SerdesSignature


class Gearbox(wiring.Component):
    """Passes the lanes of a port, in words of ``lane_bits``, to a SerDes with words of ``serdes_bits``, and back.

    The domain ``sync`` is the link clock, ``serdes`` the clock of the SerDes' words; with ``recovered_clock``, ``rx``
    and ``serdes_rx`` are those of what is received. Of each two, the clocks come from one source, their rates as
    ``serdes_bits`` to ``lane_bits``. All must be reset together. Latency, throughput: `openppu.link.regroup.Regroup`.

    Parameters
    ----------
    config : LinkConfig
        With ``serdes_bits``.

    Members
    -------
    port : In(SerdesSignature(config))
        To the port.
    serdes : Out(SerdesSignature(config, bits=config.serdes_bits))
        To the SerDes, in its clocks. ``send`` is zero until the first word of the port is there.
    """

    def __init__(self, config: LinkConfig):
        self.config = config
        super().__init__(
            {
                "port": In(SerdesSignature(config)),
                "serdes": Out(SerdesSignature(config, bits=config.serdes_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, port, serdes = self.config, self.port, self.serdes
        near, far = ("rx", "serdes_rx") if config.recovered_clock else ("sync", "serdes")

        sent = Regroup(lanes=config.lanes, given=config.lane_bits, taken=config.serdes_bits)
        m.submodules.sent = DomainRenamer({"far": "serdes"})(sent)
        m.d.comb += [sent.i.eq(port.send), sent.i_valid.eq(1), serdes.send.eq(sent.o)]
        m.submodules.idle = FFSynchronizer(port.send_idle, serdes.send_idle, o_domain="serdes")

        for lane in range(config.lanes):
            received = Regroup(lanes=1, given=config.serdes_bits, taken=config.lane_bits)
            m.submodules[f"received_{lane}"] = DomainRenamer({"sync": far, "far": near})(received)
            m.d.comb += [
                received.i[0].eq(serdes.receive[lane]),
                received.i_valid.eq(serdes.receive_valid[lane]),
                port.receive[lane].eq(received.o[0]),
                port.receive_valid[lane].eq(received.o_valid),
            ]
        m.submodules.signal = FFSynchronizer(serdes.signal, port.signal, o_domain=near)
        return m
