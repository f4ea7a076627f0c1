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
from openppu.hbm.controller import Controller
from openppu.hbm.phy import DATA_BITS
from openppu.hbm.startup import RESET_CLOCKS
from openppu.hbm.status import PowerUp

PORTED = ("requests", "words", "responses", "acknowledges")


class AxiPorted(wiring.Component):
    """A channel, or the controller of one, with an `AxiPort` before each of its ports.

    Parameters
    ----------
    inner : Channel or Controller
    id_bits : int
        Width of AXI's IDs.

    Members
    -------
    axi : In(AxiSignature), array of one a port
    others
        As of ``inner``.
    """

    def __init__(self, inner: Channel | Controller, *, id_bits: int):
        self.config = config = inner.config
        self.id_bits = id_bits
        self._inner = inner
        axi = AxiSignature(id_bits=id_bits, address_bits=config.address_bits + BYTE_BITS, data_bits=DATA_BITS)
        rest = {name: member for name, member in inner.signature.members.items() if name not in PORTED}
        super().__init__({"axi": In(axi).array(config.ports), **rest})

    def elaborate(self, platform):
        m = Module()
        inner = self._inner
        m.submodules.inner = shared(inner, platform)
        for index in range(self.config.ports):
            port = AxiPort(self.config, id_bits=self.id_bits)
            m.submodules[f"axi_{index}"] = shared(port, platform)
            wiring.connect(m, wiring.flipped(self.axi[index]), port.axi)
            wiring.connect(m, port.requests, inner.requests[index])
            wiring.connect(m, port.words, inner.words[index])
            wiring.connect(m, inner.responses[index], port.responses)
            wiring.connect(m, inner.acknowledges[index], port.acknowledges)
        for path, member, value in inner.signature.flatten(inner):
            if path[0] in self.signature.members:
                own = self
                for step in path:
                    own = own[step] if isinstance(step, int) else getattr(own, step)
                m.d.comb += own.eq(value) if member.flow is Out else value.eq(own)
        return m


class AxiChannel(AxiPorted):
    """A `Channel` with AXI4 ports; parameters as there, and members as of `AxiPorted`."""

    def __init__(self, config: ChannelConfig, *, id_bits: int, reset_clocks: int = RESET_CLOCKS):
        self.reset_clocks = reset_clocks
        super().__init__(Channel(config, reset_clocks=reset_clocks), id_bits=id_bits)


class AxiController(AxiPorted):
    """A `Controller` with AXI4 ports; parameters as there, and members as of `AxiPorted`."""

    def __init__(
        self,
        config: ChannelConfig,
        *,
        id_bits: int,
        start: PowerUp | None = None,
        reset_clocks: int = RESET_CLOCKS,
    ):
        self.start = start or PowerUp()
        self.reset_clocks = reset_clocks
        super().__init__(Controller(config, start=self.start, reset_clocks=reset_clocks), id_bits=id_bits)
