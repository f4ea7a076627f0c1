"""The host's window to a chip's memory."""

from dataclasses import dataclass

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiSignature
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES, MemorySignature
from openppu.common.shared import shared
from openppu.hbm.axi import AxiPort
from openppu.hbm.axi_writes import BYTE_BITS


@dataclass(frozen=True, kw_only=True)
class WindowPort:
    """What `AxiPort` asks of a port: bits of a word's address, and tags."""

    address_bits: int = ADDRESS_BITS - BYTE_BITS
    tags: int


class Window(wiring.Component):
    """AXI4 to the memory of the whole chip: its addresses are the chip's.

    Latency and throughput are `AxiPort`'s: 2 cycles from an address to its request, a beat of 32 bytes a cycle each
    way. Bursts of all kinds, narrow and unaligned ones too; an address that does not exist gives SLVERR.

    Parameters
    ----------
    tags : int, a power of two
        Reads with IDs that differ in as many low bits may pass each other.
    id_bits : int

    Members
    -------
    axi : In(AxiSignature)
    memory : Out(MemorySignature)
    """

    def __init__(self, *, tags: int = 4, id_bits: int = 6):
        self.tags = tags
        self.id_bits = id_bits
        super().__init__(
            {
                "axi": In(AxiSignature(id_bits=id_bits, address_bits=ADDRESS_BITS, data_bits=8 * WORD_BYTES)),
                "memory": Out(MemorySignature(tags=tags)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        port = AxiPort(WindowPort(tags=self.tags), id_bits=self.id_bits)
        m.submodules.port = shared(port, platform)
        wiring.connect(m, wiring.flipped(self.axi), port.axi)
        wiring.connect(m, port.words, wiring.flipped(self.memory.words))
        wiring.connect(m, wiring.flipped(self.memory.responses), port.responses)
        wiring.connect(m, wiring.flipped(self.memory.acknowledges), port.acknowledges)
        asked, request = port.requests.payload, self.memory.requests.payload
        m.d.comb += [
            self.memory.requests.valid.eq(port.requests.valid),
            port.requests.ready.eq(self.memory.requests.ready),
            *(request[name].eq(asked[name]) for name in ("write", "last", "tag")),
            request.address.eq(asked.address << BYTE_BITS),
        ]
        return m
