"""The network between a chip's engines and its memories."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import MemorySignature
from openppu.common.shared import shared
from openppu.noc.node import Node, Ways
from openppu.noc.plan import ORDERS, Place, Plan
from openppu.noc.router import OPPOSITE, may_go
from openppu.scratchpad.port import ScratchpadPort

STEPS = {"north": (0, -1), "south": (0, 1), "west": (-1, 0), "east": (1, 0)}


class Noc(wiring.Component):
    """Meshes of routers, a pair a plane, one for requests and one for answers, between initiators and targets.

    Every address of the chip is either in a port of an HBM channel, granules of 256 bytes being spread over all of them
    (`openppu.hbm.stack_interleave`), or in a scratchpad, or is answered with an error.

    Latency: `Plan.request_latency` and `Plan.response_latency`, and in a mesh a cycle a router on the way, if nobody
    else is there. Throughput: a word of 32 bytes a cycle each way at every port.

    Parameters
    ----------
    plan : Plan

    Members
    -------
    initiator : In(MemorySignature), array
        Chip addresses.
    channel : Out(MemorySignature), array
        One a port of a channel that is used, those of a channel side by side; addresses from 0 in the channel, of which
        each port sees those of one pseudo-channel.
    scratchpad : Out(ScratchpadPort), array
        One a compute unit.
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        pad = plan.scratchpad
        members = {
            "initiator": In(MemorySignature(tags=plan.tags)).array(plan.initiators),
            "channel": Out(MemorySignature(tags=plan.hbm.tags)).array(plan.channel_ports),
        }
        if plan.units:
            port = ScratchpadPort(address_bits=pad.address_bits, word_bytes=pad.word_bytes)
            members["scratchpad"] = Out(port).array(plan.units)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        plan, planes = self.plan, range(self.plan.noc.planes)
        places = [(x, y) for y in range(plan.noc.rows) for x in range(plan.noc.columns)]
        initiators = _by_place(plan.initiator_places)
        channels = _by_place(plan.target_places[: plan.channel_ports])
        scratchpads = _by_place(plan.target_places[plan.channel_ports :])
        target_planes = plan.target_planes
        pad_planes = target_planes[plan.channel_ports :]

        # A network has links where there are packets.
        asked = [_links(places, set(initiators)) for _ in planes]
        answered = [
            _links(places, {(place.x, place.y) for place in plan.target_places[plane :: plan.noc.planes]})
            for plane in planes
        ]
        nodes = {}
        for x, y in places:
            node = Node(
                plan,
                initiators=len(initiators.get((x, y), ())),
                channels=tuple(target_planes[number] for number in channels.get((x, y), ())),
                scratchpads=tuple(pad_planes[number] for number in scratchpads.get((x, y), ())),
                requests=tuple(_ways(x, y, asked[plane]) for plane in planes),
                responses=tuple(_ways(x, y, answered[plane]) for plane in planes),
            )
            nodes[x, y] = node
            # Where there is one, it is no module of its own.
            m.submodules[f"node_{x}_{y}"] = shared(node, platform) if plan.noc.is_mesh else node
            m.d.comb += [node.x.eq(x), node.y.eq(y)]
            for mine, number in zip(node.ports("initiator"), initiators.get((x, y), ()), strict=True):
                wiring.connect(m, wiring.flipped(self.initiator[number]), mine)
            for order, number in zip(node.ports("order"), initiators.get((x, y), ()), strict=True):
                m.d.comb += order.eq(number % ORDERS)
            for mine, number in zip(node.ports("channel"), channels.get((x, y), ()), strict=True):
                wiring.connect(m, mine, wiring.flipped(self.channel[number]))
            for mine, number in zip(node.ports("scratchpad"), scratchpads.get((x, y), ()), strict=True):
                wiring.connect(m, mine, wiring.flipped(self.scratchpad[number]))

        for plane in planes:
            for kind in ("request", "response"):
                for (x, y), node in nodes.items():
                    ways = getattr(node, f"{kind}s")[plane]
                    for side, flits in zip(ways.leaves, node.ports(f"{kind}_departures_{plane}"), strict=True):
                        neighbour = nodes[_beside(x, y, side)]
                        theirs = getattr(neighbour, f"{kind}s")[plane].arrives.index(OPPOSITE[side])
                        wiring.connect(m, flits, neighbour.ports(f"{kind}_arrivals_{plane}")[theirs])
        return m


def _by_place(places: list[Place]) -> dict[tuple[int, int], list[int]]:
    """The numbers of those at each place, in order."""
    found: dict[tuple[int, int], list[int]] = {}
    for number, place in enumerate(places):
        found.setdefault((place.x, place.y), []).append(number)
    return found


def _ways(x: int, y: int, links: set[tuple[tuple[int, int], str]]) -> Ways:
    return Ways(
        arrives=tuple(side for side in STEPS if (_beside(x, y, side), OPPOSITE[side]) in links),
        leaves=tuple(side for side in STEPS if ((x, y), side) in links),
    )


def _beside(x: int, y: int, side: str) -> tuple[int, int]:
    """The place on that side."""
    return x + STEPS[side][0], y + STEPS[side][1]


def _links(nodes: list[tuple[int, int]], sources: set[tuple[int, int]]) -> set[tuple[tuple[int, int], str]]:
    """Routers, and sides by which packets from some source can leave them for another."""
    links = {((x, y), side) for x, y in nodes for side in STEPS if _beside(x, y, side) in nodes}
    while True:
        used = {
            ((x, y), side)
            for (x, y), side in links
            if (x, y) in sources
            or any((_beside(x, y, came), OPPOSITE[came]) in links and may_go(came, side) for came in STEPS)
        }
        if used == links:
            return links
        links = used
