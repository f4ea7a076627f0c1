"""A place of the mesh: its routers, and the initiators and targets that are there."""

from dataclasses import dataclass

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.memory import MemorySignature
from openppu.common.shared import shared
from openppu.noc.initiator import Initiator
from openppu.noc.layouts import request_flit_layout, response_flit_layout
from openppu.noc.plan import ORDERS, Plan
from openppu.noc.router import Router
from openppu.noc.target import Target
from openppu.scratchpad.memory_port import ScratchpadMemory
from openppu.scratchpad.port import ScratchpadPort


@dataclass(frozen=True, kw_only=True)
class Ways:
    """The sides of a router from which packets come, and by which they leave."""

    arrives: tuple[str, ...]
    leaves: tuple[str, ...]


class Node(wiring.Component):
    """For each plane a router for requests and one for answers, with the initiators and targets of the place.

    Nodes of one kind are one module: where it is comes from outside.

    Latency and throughput are those of its parts.

    Parameters
    ----------
    plan : Plan
    initiators : int
    channels, scratchpads : tuple of int
        The plane of each port of a channel, and of each scratchpad.
    requests, responses : tuple of Ways
        Of the router of each plane.

    Members
    -------
    x, y : In
        Where it is; constant.
    order : In(range(ORDERS)), array of one an initiator
        What its orders begin with; constant.
    initiator : In(MemorySignature), array
    channel : Out(MemorySignature), array
    scratchpad : Out(ScratchpadPort), array
    request_arrivals_0, ... : In(stream of request_flit_layout), array; request_departures_0, ... : Out
    response_arrivals_0, ... : In(stream of response_flit_layout), array; response_departures_0, ... : Out
        From and to the neighbours: a pair a plane, in the order of its `Ways`.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        initiators: int,
        channels: tuple[int, ...],
        scratchpads: tuple[int, ...],
        requests: tuple[Ways, ...],
        responses: tuple[Ways, ...],
    ):
        self.plan = plan
        self.initiators = initiators
        self.channels = channels
        self.scratchpads = scratchpads
        self.requests = requests
        self.responses = responses
        pad = plan.scratchpad
        flits = {"request": (request_flit_layout(plan), requests), "response": (response_flit_layout(plan), responses)}
        arrays = {
            "order": (In(range(ORDERS)), initiators),
            "initiator": (In(MemorySignature(tags=plan.tags)), initiators),
            "channel": (Out(MemorySignature(tags=plan.hbm.tags)), len(channels)),
            "scratchpad": (
                Out(ScratchpadPort(address_bits=pad.address_bits, word_bytes=pad.word_bytes)),
                len(scratchpads),
            ),
        }
        for kind, (shape, ways) in flits.items():
            for plane, way in enumerate(ways):
                arrays[f"{kind}_arrivals_{plane}"] = (In(stream.Signature(shape)), len(way.arrives))
                arrays[f"{kind}_departures_{plane}"] = (Out(stream.Signature(shape)), len(way.leaves))
        place = flits["request"][0]["to"].shape
        super().__init__(
            {
                "x": In(place["x"].shape),
                "y": In(place["y"].shape),
                **{name: member.array(count) for name, (member, count) in arrays.items() if count},
            }
        )

    def ports(self, name: str) -> list:
        """The members of an array, none if there is no such array."""
        return list(getattr(self, name, ()))

    def elaborate(self, platform):
        m = Module()
        plan = self.plan
        initiators = [Initiator(plan) for _ in range(self.initiators)]
        for number, (initiator, user) in enumerate(zip(initiators, self.ports("initiator"), strict=True)):
            m.submodules[f"initiator_{number}"] = shared(initiator, platform)
            wiring.connect(m, wiring.flipped(user), initiator.user)
            m.d.comb += [
                initiator.place.x.eq(self.x),
                initiator.place.y.eq(self.y),
                initiator.place.local.eq(number),
                initiator.order.eq(self.order[number]),
            ]
        planes = [*self.channels, *self.scratchpads]
        targets = [Target(plan, tags=plan.hbm.tags) for _ in planes]
        for number, target in enumerate(targets):
            m.submodules[f"target_{number}"] = shared(target, platform)
        for target, channel in zip(targets, self.ports("channel"), strict=False):
            wiring.connect(m, target.memory, wiring.flipped(channel))
        pads = zip(targets[len(self.channels) :], self.ports("scratchpad"), strict=True)
        for number, (target, outside) in enumerate(pads):
            pad = ScratchpadMemory(plan.scratchpad, tags=plan.hbm.tags)
            m.submodules[f"scratchpad_{number}"] = shared(pad, platform)
            wiring.connect(m, target.memory, pad.memory)
            wiring.connect(m, pad.port, wiring.flipped(outside))

        for plane in range(plan.noc.planes):
            here = [target for target, its in zip(targets, planes, strict=True) if its == plane]
            asked = [initiator.requests[plane] for initiator in initiators]
            answered = [initiator.responses[plane] for initiator in initiators]
            self._router(m, platform, "request", plane, asked, [target.requests for target in here])
            self._router(m, platform, "response", plane, [target.responses for target in here], answered)
        return m

    def _router(self, m, platform, kind, plane, sources, sinks):
        asks = kind == "request"
        ways = (self.requests if asks else self.responses)[plane]
        router = Router(
            request_flit_layout(self.plan) if asks else response_flit_layout(self.plan),
            arrives=ways.arrives,
            leaves=ways.leaves,
            sources=len(sources),
            sinks=len(sinks),
            whole=asks,
            queue=self.plan.noc.queue if self.plan.noc.is_mesh else 0,
        )
        m.submodules[f"{kind}_router_{plane}"] = shared(router, platform)
        m.d.comb += [router.x.eq(self.x), router.y.eq(self.y)]
        arrivals = [wiring.flipped(each) for each in self.ports(f"{kind}_arrivals_{plane}")]
        departures = [wiring.flipped(each) for each in self.ports(f"{kind}_departures_{plane}")]
        for flits, arrival in zip([*arrivals, *sources], router.arrivals, strict=True):
            wiring.connect(m, flits, arrival)
        for departure, flits in zip(router.departures, [*departures, *sinks], strict=True):
            wiring.connect(m, departure, flits)
