"""The network between a chip's engines and its memories."""

from amaranth import Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import MemorySignature
from openppu.common.shared import shared
from openppu.noc.initiator import Initiator
from openppu.noc.layouts import request_flit_layout, response_flit_layout
from openppu.noc.plan import ORDERS, Place, Plan
from openppu.noc.router import OPPOSITE, Router, may_go
from openppu.noc.target import Target
from openppu.scratchpad.memory_port import ScratchpadMemory
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
        plan = self.plan
        initiators = [Initiator(plan) for _ in range(plan.initiators)]
        for number, (initiator, user, place) in enumerate(
            zip(initiators, self.initiator, plan.initiator_places, strict=True)
        ):
            m.submodules[f"initiator_{number}"] = shared(initiator, platform)
            wiring.connect(m, wiring.flipped(user), initiator.user)
            m.d.comb += [
                *(initiator.place[name].eq(getattr(place, name)) for name in ("x", "y", "local")),
                initiator.order.eq(number % ORDERS),
            ]
        targets = [Target(plan, tags=plan.hbm.tags) for _ in range(plan.targets)]
        for number, target in enumerate(targets):
            m.submodules[f"target_{number}"] = shared(target, platform)
        for target, channel in zip(targets, self.channel, strict=False):
            wiring.connect(m, target.memory, wiring.flipped(channel))
        for unit, target in enumerate(targets[plan.channel_ports :]):
            pad = ScratchpadMemory(plan.scratchpad, tags=plan.hbm.tags)
            m.submodules[f"scratchpad_{unit}"] = shared(pad, platform)
            wiring.connect(m, target.memory, pad.memory)
            wiring.connect(m, pad.port, wiring.flipped(self.scratchpad[unit]))

        requests, responses = request_flit_layout(plan), response_flit_layout(plan)
        users = list(zip(plan.initiator_places, initiators, strict=True))
        for plane in range(plan.noc.planes):
            here = list(zip(plan.target_places, targets, strict=True))[plane :: plan.noc.planes]
            sources = [(place, initiator.requests[plane]) for place, initiator in users]
            sinks = [(place, target.requests) for place, target in here]
            self._mesh(m, platform, f"request_{plane}", requests, sources, sinks, whole=True)
            sources = [(place, target.responses) for place, target in here]
            sinks = [(place, initiator.responses[plane]) for place, initiator in users]
            self._mesh(m, platform, f"response_{plane}", responses, sources, sinks, whole=False)
        return m

    def _mesh(self, m: Module, platform, name: str, shape, sources, sinks, *, whole: bool) -> None:
        """Routers, each with its neighbours and with what is at its place."""
        noc = self.plan.noc
        nodes = [(x, y) for y in range(noc.rows) for x in range(noc.columns)]
        links = _links(nodes, {(place.x, place.y) for place, _ in sources})
        routers = {}
        for x, y in nodes:
            router = Router(
                shape,
                arrives=tuple(side for side in STEPS if (_beside(x, y, side), OPPOSITE[side]) in links),
                leaves=tuple(side for side in STEPS if ((x, y), side) in links),
                sources=len(_at(sources, x, y)),
                sinks=len(_at(sinks, x, y)),
                whole=whole,
                queue=noc.queue if noc.is_mesh else 0,
            )
            m.submodules[f"{name}_router_{x}_{y}"] = shared(router, platform)
            m.d.comb += [router.x.eq(Const(x)), router.y.eq(Const(y))]
            routers[x, y] = router
        for (x, y), router in routers.items():
            for number, side in enumerate(router.leaves):
                neighbour = routers[_beside(x, y, side)]
                arrival = neighbour.arrivals[neighbour.arrives.index(OPPOSITE[side])]
                wiring.connect(m, router.departures[number], arrival)
            for number, flits in enumerate(_at(sources, x, y), start=len(router.arrives)):
                wiring.connect(m, flits, router.arrivals[number])
            for number, flits in enumerate(_at(sinks, x, y), start=len(router.leaves)):
                wiring.connect(m, router.departures[number], flits)


def _at(ends: list[tuple[Place, object]], x: int, y: int) -> list:
    """What is at a router, in order."""
    return [flits for place, flits in ends if (place.x, place.y) == (x, y)]


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
