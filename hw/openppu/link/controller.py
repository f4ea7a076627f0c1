"""A chip's link with its registers."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.axi import AxiLiteSignature
from openppu.common.axi_lite import AxiLitePort
from openppu.common.register_block import RegisterBlock
from openppu.link.config import LinkConfig
from openppu.link.fabric import Fabric
from openppu.link.layouts import CHIP_BITS
from openppu.link.registers import (
    ADDRESS_BITS,
    PULSES,
    control_layout,
    registers,
    status_layout,
    strobes_layout,
)

BY_REGISTERS = (
    *("chip", "routes", "timeout", "reopen", "memory_bytes", "settings", "control", "reset_link", "failover"),
    *("look", "requests_to", "answers_to", "period", "ports", "router", "initiator"),
)
"""Members of `Fabric` that are registers here; but ``reset_link``: one side alone must not forget its numbers."""


class LinkController(wiring.Component):
    """`Fabric` behind registers: ``docs/link-registers.md`` lists them.

    Latency: of packets, as of `Fabric`; of the registers, 3 clocks from address to answer. Throughput: an access a
    clock.

    Parameters
    ----------
    config : LinkConfig
        With one port at least.
    tags, mailboxes, mailbox_bytes, semaphores : int
        As of `Fabric`.

    Members
    -------
    axi : In(AxiLiteSignature)
        The registers; 32 data bits.
    number : Out(CHIP_BITS)
        This chip's number, as the registers have it.
    serdes, requests, answers, memory, mail, semaphores, lower, collectives, to_collectives, engines
        As of `Fabric`.
    """

    def __init__(self, config: LinkConfig, **sizes: int):
        self.config = config
        self.sizes = dict(sizes)
        self._fabric = Fabric(config, **sizes)
        members = self._fabric.signature.members
        super().__init__(
            {
                "axi": In(AxiLiteSignature(address_bits=ADDRESS_BITS, data_bits=32)),
                "number": Out(CHIP_BITS),
                **{name: member for name, member in members.items() if name not in BY_REGISTERS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.fabric = fabric = self._fabric
        m.submodules.axi_port = port = AxiLitePort(address_bits=ADDRESS_BITS)
        m.submodules.registers = block = RegisterBlock(
            registers(config),
            address_bits=ADDRESS_BITS,
            control=control_layout(config),
            status=status_layout(config),
            strobes=strobes_layout(config),
        )
        wiring.connect(m, wiring.flipped(self.axi), port.axi)
        wiring.connect(m, port.requests, block.requests)
        wiring.connect(m, block.responses, port.responses)

        own = ("axi", "number")
        outside = wiring.Signature({name: member for name, member in self.signature.members.items() if name not in own})
        for path, member, value in outside.flatten(self):
            inner = fabric
            for name in path:
                inner = inner[name] if isinstance(name, int) else getattr(inner, name)
            m.d.comb += inner.eq(value) if member.flow is In else value.eq(inner)

        control, status, strobes = block.control, block.status, block.strobes
        m.d.comb += [
            *(getattr(fabric, name).eq(control[name]) for name in ("chip", "timeout", "period", "look", "settings")),
            self.number.eq(control.chip),
            fabric.memory_bytes.eq(control.memory_bytes),
            fabric.reopen.eq(strobes.reopen),
            fabric.routes.write.eq(strobes.write_route),
            *(fabric.routes[name].eq(control.route[name]) for name in ("role", "destination", "route")),
            *(status[name].eq(getattr(fabric, name)) for name in ("requests_to", "answers_to", "router", "initiator")),
        ]
        for number in range(config.ports):
            name = f"port{number}"
            given, asked = control[name], fabric.control[number]
            m.d.comb += [
                status[name].eq(fabric.ports[number]),
                *(asked[pulse].eq(strobes[name][pulse]) for pulse in PULSES),
                *(asked[field].eq(given.control[field]) for field, _ in given.control.shape()),
                *(fabric.failover[number][field].eq(given.failover[field]) for field, _ in given.failover.shape()),
            ]
        return m
