"""The whole chip."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.chip.compute_unit import ENGINES, ComputeUnit
from openppu.command.instructions import instructions
from openppu.command.processor import CommandProcessor
from openppu.common.axi import AxiLiteSignature, AxiSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.memory import ADDRESS_BITS, OUTWARDS, WORD_BYTES, join
from openppu.common.register_block import RegisterBlock
from openppu.common.shared import shared
from openppu.config import ChipConfig
from openppu.hbm.controller import Controller
from openppu.hbm.phy import PhySignature
from openppu.hbm.startup import RESET_CLOCKS
from openppu.hbm.status import PowerUp
from openppu.host.blocks import ADDRESS_BITS as REGISTER_BITS
from openppu.host.blocks import CHIP_BITS, SLOT_BITS, blocks, chip_registers
from openppu.host.lite_hub import AxiLiteHub
from openppu.host.window import Window
from openppu.link.collective.config import CollectiveConfig
from openppu.link.serdes import SerdesSignature
from openppu.link.unit.link_unit import LinkUnit
from openppu.noc.noc import Noc
from openppu.noc.plan import Plan

WINDOW_TAGS = 4
WINDOW_ID_BITS = 6
SCRUB_INTERVAL = 1024
"""Cycles from one word of a scratchpad that is read for wrong bits to the next, while its bank is idle."""

WORD_BITS = (WORD_BYTES - 1).bit_length()


def queues_of(chip: ChipConfig) -> list[tuple[str, str]]:
    """The command processor's queues, each with its engine: four a compute unit, and the link's."""
    units = range(chip.compute_units)
    mark = [""] if chip.compute_units == 1 else [str(unit) for unit in units]
    queues = [(f"{engine}{mark[unit]}", engine) for unit in units for engine in ENGINES]
    return [*queues, ("link", "link")] if chip.link.ports else queues


class Chip(wiring.Component):
    """Compute units, channels of memory, ports to other chips, and the host's registers and window to memory.

    Members
    -------
    registers : In(AxiLiteSignature)
        ``docs/registers.md``.
    window : In(AxiSignature)
        The chip's memory: its addresses are the chip's.
    phy : Out(PhySignature), array of one a channel
    serdes : Out(SerdesSignature), array of one a port
        Only if there are ports.
    interrupts : Out(1)
        The command processor asks for the host.

    Parameters
    ----------
    config : ChipConfig
    start : PowerUp, optional
        What the registers of the memory controllers hold after a reset.
    reset_clocks : int
        As of `openppu.hbm.controller.Controller`.
    """

    def __init__(self, config: ChipConfig, *, start: PowerUp | None = None, reset_clocks: int = RESET_CLOCKS):
        self.config = config
        self.start = start or PowerUp()
        self.reset_clocks = reset_clocks
        channels = config.hbm.stacks * config.hbm.channels
        members = {
            "registers": In(AxiLiteSignature(address_bits=REGISTER_BITS, data_bits=32)),
            "window": In(AxiSignature(id_bits=WINDOW_ID_BITS, address_bits=ADDRESS_BITS, data_bits=8 * WORD_BYTES)),
            "phy": Out(PhySignature(config.hbm.channel.organisation)).array(channels),
            "interrupts": Out(1),
        }
        if config.link.ports:
            members["serdes"] = Out(SerdesSignature(config.link)).array(config.link.ports)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        queues = queues_of(config)

        def part(name, component):
            m.submodules[name] = shared(component, platform)
            return component

        processor = part("command_processor", CommandProcessor(config.command, instructions(), queues))
        window = part("window", Window(tags=WINDOW_TAGS, id_bits=WINDOW_ID_BITS))
        units = [part(f"unit_{number}", ComputeUnit(config)) for number in range(config.compute_units)]
        link = None
        if config.link.ports:
            link = part("link", LinkUnit(CollectiveConfig(link=config.link)))
        wiring.connect(m, wiring.flipped(self.window), window.axi)
        m.d.comb += self.interrupts.eq(processor.interrupts)

        # Commands.
        engines = [(unit.commands[n], unit.finished[n]) for unit in units for n in range(len(ENGINES))]
        if link is not None:
            engines.append((link.commands, link.finished))
            wiring.connect(m, processor.remote, link.remote)
            wiring.connect(m, link.signals, processor.signals)
            m.d.comb += link.memory_bytes.eq(config.hbm.capacity)
            for mine, port in zip(link.serdes, self.serdes, strict=True):
                wiring.connect(m, mine, wiring.flipped(port))
        else:
            m.d.comb += processor.remote.ready.eq(1)
        for number, (commands, finished) in enumerate(engines):
            wiring.connect(m, processor.issue[number], commands)
            wiring.connect(m, finished, processor.finished[number])
        for unit in units:
            m.d.comb += [unit.hbm_bytes.eq(config.hbm.capacity), unit.scrub_interval.eq(SCRUB_INTERVAL)]

        controllers = self._memory(m, part, processor, window, units, link)
        self._registers(m, part, queues, processor, controllers, link)
        return m

    def _memory(self, m, part, processor, window, units, link):
        """The network, with all that asks and all that answers."""
        config = self.config
        users = [processor.memory, window.memory, *(port for unit in units for port in unit.memory)]
        users += link.memory if link is not None else []
        tags = max(user.signature.tags for user in users)
        plan = Plan(
            noc=config.noc,
            hbm=config.hbm,
            scratchpad=config.scratchpad,
            initiators=len(users),
            units=len(units),
            tags=tags,
        )
        network = part("network", Noc(plan))
        for user, port in zip(users, network.initiator, strict=True):
            join(m, user, port)
        for unit, port in zip(units, network.scratchpad, strict=True):
            wiring.connect(m, port, unit.pad)
        channels = config.hbm.stacks * config.hbm.channels
        controllers = []
        for number in range(channels):
            controller = Controller(config.hbm.channel, start=self.start, reset_clocks=self.reset_clocks)
            controllers.append(part(f"channel_{number}", controller))
            wiring.connect(m, controller.phy, wiring.flipped(self.phy[number]))
            for port in range(plan.ports):
                self._reach(m, network.channel[number * plan.ports + port], controller, port)
        return controllers

    def _reach(self, m, channel, controller, port):
        """A channel's memory port to the controller's, which counts in words."""
        paced = self._pace(m, channel, controller, port)
        for name in (*OUTWARDS, "responses", "acknowledges"):
            mine, theirs = getattr(channel, name), getattr(controller, name)[port]
            source, target = (mine, theirs) if name in OUTWARDS else (theirs, mine)
            valid, ready = source.valid, target.ready
            if name in paced:
                valid, ready = valid & paced[name], ready & paced[name]
            m.d.comb += [target.valid.eq(valid), source.ready.eq(ready)]
            for key, _ in source.payload.shape():
                value = source.payload[key]
                m.d.comb += target.payload[key].eq(value >> WORD_BITS if key == "address" else value)

    def _pace(self, m, channel, controller, port):
        """When a stream between the two may move, by its name; others always may."""
        return {}

    def _registers(self, m, part, queues, processor, controllers, link):
        """The hub, and behind it the chip's own constants and all parts that have registers."""
        config = self.config
        found = blocks(config, [name for name, _ in queues])
        hub = part(
            "hub",
            AxiLiteHub(
                address_bits=REGISTER_BITS,
                slot_bits=SLOT_BITS,
                slots={block.slot: block.address_bits for block in found},
            ),
        )
        wiring.connect(m, wiring.flipped(self.registers), hub.axi)
        port = part("identity_port", AxiLitePort(address_bits=CHIP_BITS))
        nothing = _nothing()
        identity = RegisterBlock(
            chip_registers(config), address_bits=CHIP_BITS, control=nothing, status=nothing, strobes=nothing
        )
        m.submodules.identity = identity
        wiring.connect(m, port.requests, identity.requests)
        wiring.connect(m, identity.responses, port.responses)
        parts = {"chip": port.axi, "command": processor.axi}
        if link is not None:
            parts |= {"link": link.axi, "collective": link.collective_axi}
        parts |= {f"hbm{number}": controller.control for number, controller in enumerate(controllers)}
        for block, axi in zip(found, hub.parts, strict=True):
            _lead(m, axi, parts[block.name])


def _nothing():
    return data.StructLayout({})


def _lead(m, axi, part):
    """A port of the hub to a part with a narrower address."""
    for name, member in axi.signature.members.items():
        mine, theirs = getattr(axi, name), getattr(part, name)
        m.d.comb += theirs.eq(mine) if member.flow is Out else mine.eq(theirs)
