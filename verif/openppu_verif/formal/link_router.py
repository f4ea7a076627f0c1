"""Proofs of the router: packets go where the table says, whole, and to no other port."""

from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import Assume, Elaboratable
from amaranth.lib import data
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.destination_counters import DestinationCounters
from openppu.link.heading import NO_PORT, Heading
from openppu.link.layouts import CHIP_BITS, HERE, HOP_BITS, Operation, Role
from openppu.link.merge import Merge
from openppu.link.route_table import route_layout
from openppu.link.router import Router
from openppu.link.waiting import Waiting
from openppu.link.word_queue import WordQueue

from openppu_verif.formal.harness import Harness, choose
from openppu_verif.formal.probe import Probe

CONFIG = LinkConfig(ports=2, lanes=1, lane_bits=16)
STREAMS = 3


def headings() -> Harness:
    """A packet's way is what the table says of its chip, or the packet of itself; the same for all its words."""
    h = Harness()
    m = h.m
    probe = Probe(Heading(CONFIG))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    role, raised, port = h.fixed("role", 2), h.fixed("raised", 1), h.fixed("port", HOP_BITS)
    chip, destination = h.fixed("chip", CHIP_BITS), h.fixed("destination", CHIP_BITS)
    line = data.View(route_layout(), h.fixed("line", route_layout().size))
    h.source("words", dut.words)
    h.drive(headed_ready=dut.headed.ready, routes=dut.routes)
    written = dut.routes.write & (dut.routes.role.as_value() == role) & (dut.routes.destination == destination)
    m.d.comb += [
        dut.chip.eq(chip),
        dut.role.as_value().eq(role),
        dut.raised.eq(raised),
        dut.port.eq(port),
        Assume(~written | (dut.routes.route.as_value() == line.as_value())),
        Assume((port < CONFIG.ports) | (port == NO_PORT)),
    ]

    # What the packet in the register is, remembered from its first word.
    header = dut.words.payload.header
    operation = header.operation.as_value()
    taken = dut.words.valid & dut.words.ready & dut.words.payload.first
    is_collective = role == Value.cast(Role.COLLECTIVE)
    begun, is_tunnel, is_ours, is_chosen, hop = Signal(), Signal(), Signal(), Signal(), Signal(HOP_BITS)
    tunnels = is_collective & raised & (operation == Value.cast(Operation.TUNNEL))
    with m.If(taken):
        m.d.sync += [
            begun.eq(1),
            is_tunnel.eq(tunnels),
            is_ours.eq(~tunnels & (header.destination == chip)),
            is_chosen.eq(~tunnels & (header.destination != chip) & (header.destination == destination)),
            hop.eq(header.address[:HOP_BITS]),
        ]
    way = dut.headed.payload.way
    goes = begun & ~way.drop
    h.check(way.port == hop, way.raised, when=goes & is_tunnel & ~way.local)
    h.check(way.local == (hop == HERE), way.tunnel, when=goes & is_tunnel)
    h.check(way.local, ~way.tunnel, when=goes & is_ours)
    h.check(
        ~way.local,
        line.valid,
        way.port == line.port,
        way.raised == (raised | line.raises),
        when=goes & is_chosen,
    )
    h.check(way.port != port, way.port < CONFIG.ports, when=goes & ~way.local)
    h.check(way.port < CONFIG.ports, port != NO_PORT, when=goes & way.local & is_collective)
    # Invariant: the table holds what was written.
    rows = h.memory("dut.lines", rows=1 << CHIP_BITS, width=route_layout().size)
    known = probe.signal("", "known")
    h.check(choose(rows, destination) == line.as_value(), when=known.bit_select(destination, 1))
    h.check_waits("headed", dut.headed)
    return h


def merges() -> Harness:
    """What comes out is what went in a cycle before, one word at a time; between first and last, of one stream."""
    h = Harness()
    m = h.m
    shape = data.StructLayout({"data": 4, "last": 1})
    probe = Probe(Merge(shape, count=STREAMS))
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    for place, words in enumerate(dut.words):
        h.source(f"words_{place}", words)
    h.drive(merged_ready=dut.merged.ready)
    takes = [words.valid & words.ready for words in dut.words]
    inside, owner = Signal(), Signal(range(STREAMS))
    taken, word = Signal(), Signal(shape)
    m.d.comb += taken.eq(Cat(takes).any())
    for place, (words, take) in enumerate(zip(dut.words, takes, strict=True)):
        others = Cat(other for number, other in enumerate(takes) if number != place)
        h.check(~others.any(), ~inside | (owner == place), when=take)
        with m.If(take):
            m.d.comb += word.eq(words.payload)
            m.d.sync += [inside.eq(~words.payload.last), owner.eq(place)]
    before, was_taken = Signal(shape.size), Signal()
    m.d.sync += [before.eq(word.as_value()), was_taken.eq(taken)]
    out = dut.merged
    h.check(out.valid, out.payload.as_value() == before, when=was_taken)
    offered = Signal()
    m.d.sync += offered.eq(out.valid & ~out.ready)
    h.check(out.valid == (was_taken | offered))
    h.check_waits("merged", out)
    h.check(probe.signal("", "under_way") == inside, Mux(inside, probe.signal("", "current") == owner, 1))
    return h


def _code(way: data.View) -> Value:
    """A way in as many bits as a chip's number."""
    return Cat(way.local, way.tunnel, way.raised, way.port)


@dataclass(frozen=True)
class End:
    """A place that words are given to, and what their headings must name; None: nothing there."""

    words: Any
    role: int
    local: int
    tunnel: int | None = None
    raised: int | None = None
    port: int | None = None


def ports() -> Harness:
    """Whatever the headings say, each word is given to the place that its heading names, and to no other.

    The headings become streams of any words with any ways, which words carry in their header, for us to see.
    """
    h = Harness()
    m = h.m
    probe = Probe(Router(CONFIG))
    count = 0

    def free(heading: Elaboratable) -> Module:
        nonlocal count
        stand_in = Module()
        name, payload = f"heading_{count}", heading.headed.payload
        count += 1
        valid = h.free(f"{name}_valid")
        words = h.free(f"{name}_payload", len(payload.as_value()))
        stand_in.d.comb += [
            heading.headed.valid.eq(valid),
            payload.eq(words),
            heading.words.ready.eq(h.free(f"{name}_ready")),
            Assume(payload.word.header.destination == _code(payload.way)),
            Assume(payload.word.header.source[:2] == heading.role.as_value()),
        ]
        return stand_in

    assert probe.replace(Heading, free) == CONFIG.ports * (CHANNELS + 1) + 3
    for kind in (Waiting, DestinationCounters, WordQueue):
        probe.replace(kind, lambda part: Module())
    m.submodules.dut = probe.fragment
    dut = probe.part("")
    streams = {"requests": dut.requests, "answers": dut.answers}
    ends = [End(dut.to_target, role=0, local=1), End(dut.to_initiator, role=1, local=1)]
    for port in range(CONFIG.ports):
        streams |= {f"engine_{port}": dut.collectives[port], f"tunnel_{port}": dut.tunnels[port]}
        ends.append(End(dut.to_collectives[port], role=2, local=1, tunnel=0, port=port))
        ends.append(End(dut.to_tunnels[port], role=2, local=1, tunnel=1, port=port))
        for channel in range(CHANNELS):
            streams[f"port_{port}_{channel}"] = dut.arrivals[port][channel]
            ends.append(End(dut.departures[port][channel], role=channel % 3, local=0, raised=channel // 3, port=port))
    for name, words in streams.items():
        h.source(name, words)
    for number, end in enumerate(ends):
        h.drive(**{f"ready_{number}": end.words.ready})
        header = end.words.payload.header
        named = header.destination
        seen = {"local": named[0], "tunnel": named[1], "raised": named[2], "port": named[3:]}
        h.check(header.source[:2] == end.role, when=end.words.valid)
        for name, value in seen.items():
            wanted = getattr(end, name)
            if wanted is not None:
                h.check(value == wanted, when=end.words.valid)
    return h
