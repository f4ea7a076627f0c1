"""Carries packets between a chip's ports, and what is on the chip."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.destination_counters import COUNT_BITS, DestinationCounters
from openppu.link.heading import NO_PORT, Heading, direct_layout
from openppu.link.layouts import CHIP_BITS, HOP_BITS, Role, packet_layout
from openppu.link.merge import Merge
from openppu.link.route_table import table_write_layout
from openppu.link.topology import CLASSES
from openppu.link.waiting import PERIOD_BITS, Waiting, waiting_layout
from openppu.link.word_queue import WordQueue

ROLES = len(Role)
TUNNEL_DEPTH = 4


def engine_layout() -> data.StructLayout:
    """How a stream of the collective engine goes out: by ``direct.port``, or as the table says; and to which ``peer``,
    one of the engine's streams at the other end."""
    return data.StructLayout({"direct": direct_layout(), "peer": HOP_BITS})


def router_status_layout(config: LinkConfig) -> data.StructLayout:
    """What software can see of a router.

    Packets ``sent`` and ``received`` by each port, and ``dropped`` by the router: counters, which wrap. ``stuck``: a
    bit for each channel of each port in which nothing has moved for a period; ``who``: the first of them.
    """
    counts = data.ArrayLayout(COUNT_BITS, config.ports)
    return data.StructLayout(
        {
            "sent": counts,
            "received": counts,
            "dropped": COUNT_BITS,
            "stuck": data.ArrayLayout(CHANNELS, config.ports),
            "who": waiting_layout(),
        }
    )


class Router(wiring.Component):
    """Takes packets from ports and from the chip, and gives each to the port that the table says, or to the chip.

    Every channel has its own way through: a packet waits only for those of its role that want the same channel of the
    same port. They take turns, stream by stream. A packet keeps its role; the table says where it changes to class 1.

    Latency: 2 cycles. Throughput: a word a cycle into each channel of each port.

    Parameters
    ----------
    config : LinkConfig
        With one port at least.

    Members
    -------
    chip : In(CHIP_BITS)
        This chip.
    routes : In(table_write_layout())
    arrivals : In(stream of packet_layout(config)), array by port and channel
    departures : Out(stream of packet_layout(config)), array by port and channel
    requests, answers : In(stream)
        Of the initiator, and of the target.
    to_target, to_initiator : Out(stream)
    collectives : In(stream), array; to_collectives : Out(stream), array
        The streams of the collective engine, as many as ports; what goes where says ``engines``, an array, too.
    tunnels : In(stream), array; to_tunnels : Out(stream), array
        Of the ports that fail over.
    look : In(CHIP_BITS), requests_to, answers_to : Out(COUNT_BITS)
        Packets of the initiator and the target to a chip, a cycle after it was named.
    period : In(PERIOD_BITS)
        For ``status.stuck``: `openppu.link.waiting.Waiting`.
    status : Out(router_status_layout(config))

    Raises
    ------
    ValueError
        If there is no port.
    """

    LATENCY = Heading.LATENCY + Merge.LATENCY

    def __init__(self, config: LinkConfig):
        if config.ports < 1:
            raise ValueError("Router ports = 0: give at least 1")
        self.config = config
        packets, ports = stream.Signature(packet_layout(config)), config.ports
        super().__init__(
            {
                "chip": In(CHIP_BITS),
                "routes": In(table_write_layout()),
                "arrivals": In(packets).array(ports, CHANNELS),
                "departures": Out(packets).array(ports, CHANNELS),
                "requests": In(packets),
                "to_target": Out(packets),
                "answers": In(packets),
                "to_initiator": Out(packets),
                "collectives": In(packets).array(ports),
                "engines": In(engine_layout()).array(ports),
                "to_collectives": Out(packets).array(ports),
                "tunnels": In(packets).array(ports),
                "to_tunnels": Out(packets).array(ports),
                "look": In(CHIP_BITS),
                "requests_to": Out(COUNT_BITS),
                "answers_to": Out(COUNT_BITS),
                "period": In(PERIOD_BITS),
                "status": Out(router_status_layout(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ports = range(self.config.ports)
        self._heads: list[tuple[_Head, list[Value]]] = []

        # Where everything that comes goes.
        arriving = {
            (port, role, above): self._head(
                m, platform, f"{port}_{role}_{above}", self.arrivals[port][role + ROLES * above], role, above, port
            )
            for port in ports
            for role in range(ROLES)
            for above in range(CLASSES)
        }
        local: list[list[_Head]] = [
            [self._head(m, platform, "requests", self.requests, 0, 0, NO_PORT)],
            [self._head(m, platform, "answers", self.answers, 1, 0, NO_PORT)],
            [],
        ]
        for engine, words in enumerate(self.collectives):
            stamped = stream.Signature(packet_layout(self.config)).create(path=(f"stamped_{engine}",))
            m.d.comb += [
                stamped.valid.eq(words.valid),
                words.ready.eq(stamped.ready),
                stamped.payload.eq(words.payload),
                stamped.payload.header.status.as_value().eq(self.engines[engine].peer),
            ]
            name, direct = f"collectives_{engine}", self.engines[engine].direct
            local[2].append(self._head(m, platform, name, stamped, 2, 0, NO_PORT, direct))
        tunnels = self._merge(m, platform, "tunnels", list(self.tunnels))
        # A port in a tunnel waits for another port: the queue keeps the one's ready out of the other's.
        queue = WordQueue(packet_layout(self.config), depth=TUNNEL_DEPTH)
        m.submodules.tunnel_queue = shared(queue, platform)
        m.d.comb += [
            queue.i.valid.eq(tunnels.valid),
            queue.i.payload.eq(tunnels.payload),
            tunnels.ready.eq(queue.i.ready),
        ]
        tunnel = self._head(m, platform, "tunnel", queue.o, 2, 1, NO_PORT)

        # Out of the ports.
        for port in ports:
            for role in range(ROLES):
                for above in range(CLASSES):
                    heads = [
                        arriving[other, role, below] for other in ports if other != port for below in range(above + 1)
                    ]
                    heads += local[role] + ([tunnel] if role == 2 and above else [])
                    wants = [~head.way.local & (head.way.port == port) & (head.way.raised == above) for head in heads]
                    name = f"port_{port}_{role}_{above}"
                    self._gather(m, platform, name, heads, wants, self.departures[port][role + ROLES * above])

        # To the chip.
        for role, target in enumerate((self.to_target, self.to_initiator)):
            heads = [arriving[port, role, above] for port in ports for above in range(CLASSES)] + local[role]
            self._gather(m, platform, f"chip_{role}", heads, [head.way.local for head in heads], target)
        heads = [arriving[port, 2, above] for port in ports for above in range(CLASSES)]
        for engine, target in enumerate(self.to_collectives):
            wants = [head.way.local & (head.way.port == engine) & ~head.way.tunnel for head in heads]
            self._gather(m, platform, f"engine_{engine}", heads, wants, target)
        heads = [arriving[port, 2, 1] for port in ports]
        for port, target in enumerate(self.to_tunnels):
            wants = [head.way.local & (head.way.port == port) & head.way.tunnel for head in heads]
            self._gather(m, platform, f"tunnel_{port}", heads, wants, target)

        for head, takers in self._heads:
            m.d.comb += head.ready.eq(head.way.drop | Cat(takers).any())
        self._count(m, platform)
        return m

    def _head(
        self,
        m: Module,
        platform: object,
        name: str,
        words: stream.Interface,
        role: int,
        above: int,
        port: int,
        direct: Value | None = None,
    ) -> "_Head":
        """The heading of a stream."""
        heading = Heading(self.config)
        m.submodules[f"heading_{name}"] = shared(heading, platform)
        m.d.comb += [
            heading.chip.eq(self.chip),
            heading.role.eq(Role(role)),
            heading.raised.eq(above),
            heading.port.eq(port),
            heading.routes.eq(self.routes),
            heading.words.valid.eq(words.valid),
            heading.words.payload.eq(words.payload),
            words.ready.eq(heading.words.ready),
        ]
        if direct is not None:
            m.d.comb += heading.direct.eq(direct)
        head = _Head(
            valid=heading.headed.valid,
            ready=heading.headed.ready,
            way=heading.headed.payload.way,
            word=heading.headed.payload.word,
        )
        self._heads.append((head, []))
        return head

    def _merge(self, m: Module, platform: object, name: str, streams: Sequence[stream.Interface]) -> stream.Interface:
        """Several streams as one."""
        merge = Merge(packet_layout(self.config), count=len(streams))
        m.submodules[f"merge_{name}"] = shared(merge, platform)
        for one, other in zip(streams, merge.words, strict=True):
            m.d.comb += [other.valid.eq(one.valid), other.payload.eq(one.payload), one.ready.eq(other.ready)]
        return merge.merged

    def _gather(
        self,
        m: Module,
        platform: object,
        name: str,
        heads: Sequence["_Head"],
        wants: Sequence[Value],
        target: stream.Interface,
    ) -> None:
        """What goes to one place, from all streams that may."""
        merge = Merge(packet_layout(self.config), count=len(heads))
        m.submodules[f"merge_{name}"] = shared(merge, platform)
        takers = {id(head.valid): waits for head, waits in self._heads}
        for head, want, words in zip(heads, wants, merge.words, strict=True):
            m.d.comb += [words.valid.eq(head.valid & ~head.way.drop & want), words.payload.eq(head.word)]
            takers[id(head.valid)].append(words.ready)
        m.d.comb += [
            target.valid.eq(merge.merged.valid),
            target.payload.eq(merge.merged.payload),
            merge.merged.ready.eq(target.ready),
        ]

    def _count(self, m: Module, platform: object) -> None:
        """Counters, and who is waited for."""
        status = self.status
        for port in range(self.config.ports):
            for name, streams in (("sent", self.departures[port]), ("received", self.arrivals[port])):
                ends = [each.valid & each.ready & each.payload.last for each in streams]
                moved = Signal(range(CHANNELS + 1), name=f"{name}_{port}")
                m.d.sync += [moved.eq(sum(ends)), status[name][port].eq(status[name][port] + moved)]
        dropped = [head.valid & head.way.drop & head.word.last for head, _ in self._heads]
        drops = Signal(range(len(dropped) + 1))
        m.d.sync += [drops.eq(sum(dropped)), status.dropped.eq(status.dropped + drops)]

        m.submodules.waiting = waiting = Waiting(self.config.ports)
        m.d.comb += [waiting.period.eq(self.period), status.stuck.eq(waiting.stuck), status.who.eq(waiting.who)]
        for port in range(self.config.ports):
            for departure, seen in zip(self.departures[port], waiting.departures[port], strict=True):
                m.d.comb += [
                    seen.offered.eq(departure.valid),
                    seen.taken.eq(departure.ready),
                    seen.first.eq(departure.payload.first),
                    seen.destination.eq(departure.payload.header.destination),
                    seen.source.eq(departure.payload.header.source),
                ]
        for name, words, count in (
            ("requests", self.requests, self.requests_to),
            ("answers", self.answers, self.answers_to),
        ):
            counters = DestinationCounters()
            m.submodules[f"{name}_to"] = shared(counters, platform)
            m.d.comb += [
                counters.happens.eq(words.valid & words.ready & words.payload.first),
                counters.chip.eq(words.payload.header.destination),
                counters.look.eq(self.look),
                count.eq(counters.count),
            ]


@dataclass(frozen=True)
class _Head:
    """A stream of words with their way."""

    valid: Value
    ready: Value
    way: data.View
    word: data.View
