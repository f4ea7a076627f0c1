"""A chip's link: all ports, the router between them, and who asks and answers on the chip."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.destination_counters import COUNT_BITS
from openppu.link.initiator import TIMEOUT_BITS, Initiator, initiator_status_layout
from openppu.link.layouts import ADDRESS_BITS, CHIP_BITS, packet_layout
from openppu.link.mailbox import mail_layout
from openppu.link.memory_port import MemorySignature
from openppu.link.physical import physical_control_layout
from openppu.link.port import Port, port_status_layout
from openppu.link.route_table import table_write_layout
from openppu.link.router import Router, engine_layout, router_status_layout
from openppu.link.semaphores import VALUE_BITS, Semaphores
from openppu.link.serdes import SerdesSignature
from openppu.link.settings import TrainingSettings, settings_layout
from openppu.link.target import Target
from openppu.link.tunnel import tunnel_control_layout
from openppu.link.waiting import PERIOD_BITS


class Fabric(wiring.Component):
    """Ports, router, initiator and target. Before packets can go to other chips, ``routes`` must be written.

    With ``recovered_clock``, what port p receives is in the domain ``rx_p``.

    Parameters
    ----------
    config : LinkConfig
        With one port at least.
    tags, mailboxes, mailbox_bytes, semaphores : int
        As of `openppu.link.initiator.Initiator` and `openppu.link.target.Target`.

    Members
    -------
    chip : In(CHIP_BITS)
        This chip's number.
    serdes : Out(SerdesSignature(config)), array of one a port
    routes : In(table_write_layout())
        `openppu.link.route_table.table_of` gives what to write.
    requests : In(stream of packet_layout), answers : Out(stream of packet_layout)
    timeout : In(TIMEOUT_BITS), reopen : In(1)
        Of the initiator.
    memory : Out(MemorySignature(config)), memory_bytes : In(ADDRESS_BITS + 1)
    mail : Out(stream of mail_layout(config)), array; semaphores, array, and lower
        Of the target; the last two only if there are any.
    collectives : In(stream of packet_layout), array; to_collectives : Out(stream), array; engines : In, array
        For a collective engine, as of `openppu.link.router.Router`.
    settings : In(settings_layout())
        Of all ports' training.
    control : In(physical_control_layout(config)), array; reset_link : In(ports)
    failover : In(tunnel_control_layout()), array
        Its ``chip`` is ignored.
    look : In(CHIP_BITS), requests_to, answers_to : Out(COUNT_BITS); period : In(PERIOD_BITS)
        Of the router.
    ports : Out(port_status_layout(config)), array; router, initiator : Out
        Status.
    """

    def __init__(
        self,
        config: LinkConfig,
        *,
        tags: int = 64,
        mailboxes: int = 4,
        mailbox_bytes: int = 4096,
        semaphores: int = 16,
    ):
        self.config = config
        self.router_part = Router(config)
        self.initiator_part = Initiator(config, tags=tags)
        self.target_part = Target(config, mailboxes=mailboxes, mailbox_bytes=mailbox_bytes, semaphores=semaphores)
        packets, count = stream.Signature(packet_layout(config)), config.ports
        members = {
            "chip": In(CHIP_BITS),
            "serdes": Out(SerdesSignature(config)).array(count),
            "routes": In(table_write_layout()),
            "requests": In(packets),
            "answers": Out(packets),
            "timeout": In(TIMEOUT_BITS),
            "reopen": In(1),
            "memory": Out(MemorySignature(config)),
            "memory_bytes": In(ADDRESS_BITS + 1),
            "mail": Out(stream.Signature(mail_layout(config))).array(mailboxes),
            "collectives": In(packets).array(count),
            "to_collectives": Out(packets).array(count),
            "engines": In(engine_layout()).array(count),
            "settings": In(settings_layout(), init=TrainingSettings().values()),
            "control": In(physical_control_layout(config)).array(count),
            "reset_link": In(count),
            "failover": In(tunnel_control_layout()).array(count),
            "look": In(CHIP_BITS),
            "requests_to": Out(COUNT_BITS),
            "answers_to": Out(COUNT_BITS),
            "period": In(PERIOD_BITS),
            "ports": Out(port_status_layout(config)).array(count),
            "router": Out(router_status_layout(config)),
            "initiator": Out(initiator_status_layout()),
        }
        if semaphores:
            members["semaphores"] = Out(VALUE_BITS).array(semaphores)
            members["lower"] = In(Semaphores.lower_layout(semaphores))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.router = router = self.router_part
        m.submodules.initiator = initiator = self.initiator_part
        m.submodules.target = target = self.target_part

        for part in (router, initiator, target):
            m.d.comb += part.chip.eq(self.chip)
        wiring.connect(m, initiator.sent, router.requests)
        wiring.connect(m, router.to_initiator, initiator.received)
        wiring.connect(m, router.to_target, target.requests)
        wiring.connect(m, target.answers, router.answers)
        wiring.connect(m, wiring.flipped(self.requests), initiator.requests)
        wiring.connect(m, initiator.answers, wiring.flipped(self.answers))
        wiring.connect(m, target.memory, wiring.flipped(self.memory))
        for mine, box in zip(self.mail, target.mail, strict=True):
            wiring.connect(m, box, wiring.flipped(mine))
        m.d.comb += [
            initiator.timeout.eq(self.timeout),
            initiator.reopen.eq(self.reopen),
            target.memory_bytes.eq(self.memory_bytes),
            router.routes.eq(self.routes),
            router.look.eq(self.look),
            router.period.eq(self.period),
            self.requests_to.eq(router.requests_to),
            self.answers_to.eq(router.answers_to),
            self.router.eq(router.status),
            self.initiator.eq(initiator.status),
        ]
        if target.semaphores_count:
            m.d.comb += target.lower.eq(self.lower)
            m.d.comb += [mine.eq(value) for mine, value in zip(self.semaphores, target.semaphores, strict=True)]

        for number in range(self.config.ports):
            port = Port(self.config)
            domains = {"rx": f"rx_{number}"} if self.config.recovered_clock else {}
            m.submodules[f"port_{number}"] = shared(port, platform, domains=domains)
            wiring.connect(m, port.serdes, wiring.flipped(self.serdes[number]))
            for channel in range(CHANNELS):
                wiring.connect(m, port.receive[channel], router.arrivals[number][channel])
                wiring.connect(m, router.departures[number][channel], port.send[channel])
            wiring.connect(m, port.tunnel_send, router.tunnels[number])
            wiring.connect(m, router.to_tunnels[number], port.tunnel_receive)
            wiring.connect(m, wiring.flipped(self.collectives[number]), router.collectives[number])
            wiring.connect(m, router.to_collectives[number], wiring.flipped(self.to_collectives[number]))
            m.d.comb += [
                router.engines[number].eq(self.engines[number]),
                port.settings.eq(self.settings),
                port.control.eq(self.control[number]),
                port.reset_link.eq(self.reset_link[number]),
                port.tunnel.eq(self.failover[number]),
                port.tunnel.chip.eq(self.chip),
                self.ports[number].eq(port.status),
            ]
        return m
