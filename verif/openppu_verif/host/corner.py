"""The corner of a chip where the host is: hub, window, command processor; the network is left out."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from openppu.chip.chip import WINDOW_ID_BITS, WINDOW_TAGS
from openppu.command.instructions import instructions
from openppu.command.processor import CommandProcessor
from openppu.common.axi import AxiLiteSignature, AxiSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.memory import ADDRESS_BITS, WORD_BYTES, MemorySignature, join
from openppu.common.memory_share import MemoryShare
from openppu.common.register_block import RegisterBlock
from openppu.common.shared import shared
from openppu.config import ChipConfig
from openppu.host.blocks import ADDRESS_BITS as REGISTER_BITS
from openppu.host.blocks import CHIP_BITS, SLOT_BITS, Block, blocks, chip_registers
from openppu.host.lite_hub import AxiLiteHub
from openppu.host.window import Window

QUEUES = (("load", "load"), ("store", "store"))
TAGS = WINDOW_TAGS + len(QUEUES) + 1
"""Of the memory port: the window's, then the command processor's."""


def corner_blocks(chip: ChipConfig) -> list[Block]:
    """The registers that are there."""
    names = [name for name, _ in QUEUES]
    return [block for block in blocks(chip, names) if block.name in ("chip", "command")]


class HostCorner(wiring.Component):
    """Registers and window of the host; queues without engines.

    Parameters
    ----------
    config : ChipConfig

    Members
    -------
    registers : In(AxiLiteSignature), window : In(AxiSignature)
        As of `openppu.chip.chip.Chip`.
    memory : Out(MemorySignature)
        With `TAGS` tags.
    interrupts : Out(1)
    """

    def __init__(self, config: ChipConfig):
        self.config = config
        super().__init__(
            {
                "registers": In(AxiLiteSignature(address_bits=REGISTER_BITS, data_bits=32)),
                "window": In(AxiSignature(id_bits=WINDOW_ID_BITS, address_bits=ADDRESS_BITS, data_bits=8 * WORD_BYTES)),
                "memory": Out(MemorySignature(tags=TAGS)),
                "interrupts": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        found = corner_blocks(self.config)
        hub = AxiLiteHub(
            address_bits=REGISTER_BITS,
            slot_bits=SLOT_BITS,
            slots={block.slot: block.address_bits for block in found},
        )
        port = AxiLitePort(address_bits=CHIP_BITS)
        nothing = data.StructLayout({})
        identity = RegisterBlock(
            chip_registers(self.config), address_bits=CHIP_BITS, control=nothing, status=nothing, strobes=nothing
        )
        window = Window(tags=WINDOW_TAGS, id_bits=WINDOW_ID_BITS)
        processor = CommandProcessor(self.config.command, instructions(), QUEUES)
        share = MemoryShare((WINDOW_TAGS, len(QUEUES) + 1))
        parts = {"hub": hub, "port": port, "identity": identity, "window": window, "processor": processor}
        for name, part in (parts | {"share": share}).items():
            m.submodules[name] = shared(part, platform)
        wiring.connect(m, wiring.flipped(self.registers), hub.axi)
        wiring.connect(m, wiring.flipped(self.window), window.axi)
        wiring.connect(m, port.requests, identity.requests)
        wiring.connect(m, identity.responses, port.responses)
        join(m, window.memory, share.user(0))
        join(m, processor.memory, share.user(1))
        wiring.connect(m, share.memory, wiring.flipped(self.memory))
        m.d.comb += [self.interrupts.eq(processor.interrupts), processor.remote.ready.eq(1)]
        for axi, part in zip(hub.parts, (port.axi, processor.axi), strict=True):
            for name, member in axi.signature.members.items():
                mine, theirs = getattr(axi, name), getattr(part, name)
                m.d.comb += theirs.eq(mine) if member.flow is Out else mine.eq(theirs)
        return m
