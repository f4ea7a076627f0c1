"""The controller of one channel, with AXI4 ports."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiSignature
from openppu.common.shared import shared
from openppu.hbm.axi import AxiPort
from openppu.hbm.axi_writes import BYTE_BITS
from openppu.hbm.channel import Channel
from openppu.hbm.config import ChannelConfig
from openppu.hbm.phy import DATA_BITS
from openppu.hbm.startup import RESET_CLOCKS


class AxiChannel(wiring.Component):
    """A `Channel` with an `AxiPort` before each of its ports.

    Parameters
    ----------
    config : ChannelConfig
    id_bits : int
        Width of AXI's IDs.
    reset_clocks : int
        As for `Channel`.

    Members
    -------
    axi : In(AxiSignature), array of one a port
    settings, phy, counters, errors, lost, stray, running
        As of `Channel`.
    """

    def __init__(self, config: ChannelConfig, *, id_bits: int, reset_clocks: int = RESET_CLOCKS):
        self.config = config
        self.id_bits = id_bits
        self.reset_clocks = reset_clocks
        self._channel = Channel(config, reset_clocks=reset_clocks)
        axi = AxiSignature(id_bits=id_bits, address_bits=config.address_bits + BYTE_BITS, data_bits=DATA_BITS)
        ported = ("requests", "words", "responses", "acknowledges")
        rest = {name: member for name, member in self._channel.signature.members.items() if name not in ported}
        super().__init__({"axi": In(axi).array(config.ports), **rest})

    def elaborate(self, platform):
        m = Module()
        channel = self._channel
        m.submodules.channel = shared(channel, platform)
        for index in range(self.config.ports):
            port = AxiPort(self.config, id_bits=self.id_bits)
            m.submodules[f"axi_{index}"] = shared(port, platform)
            wiring.connect(m, wiring.flipped(self.axi[index]), port.axi)
            wiring.connect(m, port.requests, channel.requests[index])
            wiring.connect(m, port.words, channel.words[index])
            wiring.connect(m, channel.responses[index], port.responses)
            wiring.connect(m, channel.acknowledges[index], port.acknowledges)
        for path, member, value in channel.signature.flatten(channel):
            if path[0] in self.signature.members:
                own = self
                for step in path:
                    own = own[step] if isinstance(step, int) else getattr(own, step)
                m.d.comb += own.eq(value) if member.flow is Out else value.eq(own)
        return m
