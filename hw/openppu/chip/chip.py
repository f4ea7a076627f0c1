"""The whole chip."""

from collections.abc import Mapping

from amaranth import Array, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.chip.borders import Borders
from openppu.chip.compute_unit import ENGINES, ComputeUnit
from openppu.chip.engine_counters import EngineCounters
from openppu.command.instructions import instructions
from openppu.command.processor import CommandProcessor
from openppu.common.axi import AxiLiteSignature, AxiSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.memory import ADDRESS_BITS, OUTWARDS, WORD_BYTES, join
from openppu.common.register_block import RegisterBlock
from openppu.common.shared import shared
from openppu.common.unit_registers import unit_control_layout
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
from openppu.scratchpad import registers as scratchpad_registers

WINDOW_TAGS = 4
WINDOW_ID_BITS = 6
SCRUB_INTERVAL = 1024
"""Cycles from one word of a scratchpad that is read for wrong bits to the next, while its bank is idle."""

WORD_BITS = (WORD_BYTES - 1).bit_length()


NO_DOMAINS: Mapping[str, str] = {}


def recovered(chip: ChipConfig) -> dict[str, str]:
    """The domains of what the ports receive, if those clocks are recovered from the lanes."""
    names = [f"rx_{port}" for port in range(chip.link.ports)] if chip.link.recovered_clock else []
    return dict(zip(names, names, strict=True))


def domains_of(chip: ChipConfig) -> dict[str, str]:
    """The clock domain of each kind of part: its name in the chip."""
    return {"hbm": "hbm", "link": "link"} if chip.clocks.separate else {"hbm": "sync", "link": "sync"}


def queues_of(chip: ChipConfig) -> list[tuple[str, str]]:
    """The command processor's queues, each with its engine: four a compute unit, and the link's."""
    units = range(chip.compute_units)
    mark = [""] if chip.compute_units == 1 else [str(unit) for unit in units]
    queues = [(f"{engine}{mark[unit]}", engine) for unit in units for engine in ENGINES]
    return [*queues, ("link", "link")] if chip.link.ports else queues


class Chip(wiring.Component):
    """Compute units, channels of memory, ports to other chips, and the host's registers and window to memory.

    With separate clocks, the memory controllers and ``phy`` are in the domain ``hbm``, the link and ``serdes`` in
    ``link``, all else in ``sync``; each crossing adds the latency of `openppu.common.stream_crossing`. All domains must
    be in reset together for 4 clocks of the slowest.

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
        config, domains = self.config, domains_of(self.config)
        queues = queues_of(config)

        def part(name, component, domains=NO_DOMAINS):
            m.submodules[name] = shared(component, platform, domains=domains)
            return component

        borders = self._borders(m, part)
        processor = part("command_processor", CommandProcessor(config.command, instructions(), queues))
        window = part("window", Window(tags=WINDOW_TAGS, id_bits=WINDOW_ID_BITS))
        units = [part(f"unit_{number}", self._unit()) for number in range(config.compute_units)]
        wiring.connect(m, wiring.flipped(self.window), window.axi)
        m.d.comb += self.interrupts.eq(processor.interrupts)

        # Commands.
        engines = [(unit.commands[n], unit.finished[n]) for unit in units for n in range(len(ENGINES))]
        for number, (commands, finished) in enumerate(engines):
            self._join(m, f"issue_{number}", processor.issue[number], commands)
            self._join(m, f"finished_{number}", finished, processor.finished[number])
        for unit in units:
            m.d.comb += [unit.hbm_bytes.eq(config.hbm.capacity), unit.scrub_interval.eq(SCRUB_INTERVAL)]
        link = self._link(m, part, borders, processor) if config.link.ports else None
        if link is None:
            m.d.comb += processor.remote.ready.eq(1)

        users = [processor.memory, window.memory, *(port for unit in units for port in unit.memory)]
        if link is not None:
            users += [
                borders.memory(f"link_memory_{number}", port, domains=(domains["link"], "sync"))
                for number, port in enumerate(link.memory)
            ]
        controllers = self._memory(m, part, borders, users, units)
        self._registers(m, part, borders, queues, processor, units, controllers, link)
        return m

    def _borders(self, m, part):
        """What joins parts of other clocks."""
        return Borders(m, part)

    def _unit(self):
        """A compute unit."""
        return ComputeUnit(self.config)

    def _join(self, m, name, source, target):
        """A stream between a queue and its engine."""
        wiring.connect(m, source, target)

    def _link(self, m, part, borders, processor):
        """The link, with its commands, signals and lanes; its queue is the last."""
        config, here = self.config, domains_of(self.config)["link"]
        link = part("link", LinkUnit(CollectiveConfig(link=config.link)), {"sync": here, **recovered(config)})
        there, back = ("sync", here), (here, "sync")
        borders.stream("link_issue", processor.issue[-1], link.commands, domains=there)
        borders.stream("link_finished", link.finished, processor.finished[-1], domains=back)
        borders.stream("link_remote", processor.remote, link.remote, domains=there)
        borders.stream("link_signals", link.signals, processor.signals, domains=back)
        m.d.comb += link.memory_bytes.eq(config.hbm.capacity)
        for mine, port in zip(link.serdes, self.serdes, strict=True):
            wiring.connect(m, mine, wiring.flipped(port))
        return link

    def _memory(self, m, part, borders, users, units):
        """The network, with all that asks and all that answers."""
        config, domain = self.config, domains_of(self.config)["hbm"]
        plan = Plan(
            noc=config.noc,
            hbm=config.hbm,
            scratchpad=config.scratchpad,
            initiators=len(users),
            units=len(units),
            tags=max(user.signature.tags for user in users),
        )
        network = part("network", Noc(plan))
        for user, port in zip(users, network.initiator, strict=True):
            join(m, user, port)
        for unit, port in zip(units, network.scratchpad, strict=True):
            wiring.connect(m, port, unit.pad)
        controllers = []
        for number in range(config.hbm.stacks * config.hbm.channels):
            controller = Controller(config.hbm.channel, start=self.start, reset_clocks=self.reset_clocks)
            controllers.append(part(f"channel_{number}", controller, {"sync": domain}))
            wiring.connect(m, controller.phy, wiring.flipped(self.phy[number]))
            for port in range(plan.ports):
                user = network.channel[number * plan.ports + port]
                user = borders.memory(f"channel_{number}_memory_{port}", user, domains=("sync", domain))
                self._reach(m, user, controller, port)
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

    def _registers(self, m, part, borders, queues, processor, units, controllers, link):
        """The hub, and behind it the chip's own constants and all parts that have registers."""
        config, domains = self.config, domains_of(self.config)
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
        parts = {"chip": (port.axi, "sync"), "command": (processor.axi, "sync")}
        counters = part("engine_counters", EngineCounters(units=len(units)))
        m.d.comb += [mine.eq(unit.counts) for mine, unit in zip(counters.counts, units, strict=True)]
        parts |= {"scratchpad": (self._logs(m, part, units), "sync"), "engines": (counters.axi, "sync")}
        if link is not None:
            parts |= {"link": (link.axi, domains["link"]), "collective": (link.collective_axi, domains["link"])}
        parts |= {f"hbm{number}": (each.control, domains["hbm"]) for number, each in enumerate(controllers)}
        for block, axi in zip(found, hub.parts, strict=True):
            registers, domain = parts[block.name]
            borders.registers(f"{block.name}_registers", axi, registers, domain=domain)

    def _logs(self, m, part, units):
        """What was wrong with words of the scratchpads; returns the way to it."""
        pads = scratchpad_registers
        port = part("scratchpad_port", AxiLitePort(address_bits=pads.ADDRESS_BITS))
        block = RegisterBlock(
            pads.registers(self.config.scratchpad, len(units)),
            address_bits=pads.ADDRESS_BITS,
            control=unit_control_layout(),
            status=pads.status_layout(self.config.scratchpad),
            strobes=pads.strobes_layout(),
        )
        m.submodules.scratchpad_registers = block
        wiring.connect(m, port.requests, block.requests)
        wiring.connect(m, block.responses, port.responses)
        chosen = block.control.unit
        m.d.comb += [
            block.status.log.eq(Array(unit.log.as_value() for unit in units)[chosen]),
            block.status.filling.eq(Array(unit.filling for unit in units)[chosen]),
            *(unit.clear_log.eq(block.strobes.clear & (chosen == number)) for number, unit in enumerate(units)),
        ]
        return port.axi


def _nothing():
    return data.StructLayout({})
