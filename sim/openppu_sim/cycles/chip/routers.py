"""The routers of a plane of the network, flit for flit, as `openppu.noc.router` has them."""

from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from openppu.noc.config import NocConfig
from openppu.noc.plan import Place

from openppu_sim.cycles.turns import Packets

NORTH, SOUTH, WEST, EAST, LOCAL = range(5)
"""Sides of a router, as inputs and as outputs; from `LOCAL` on, its sources, or its sinks."""

STEPS = {NORTH: (0, -1), SOUTH: (0, 1), WEST: (-1, 0), EAST: (1, 0)}
OPPOSITE = {NORTH: SOUTH, SOUTH: NORTH, WEST: EAST, EAST: WEST}


class Flit(Protocol):
    """What goes to a sink; the last of its packet is its ``end``."""

    @property
    def to(self) -> int: ...
    @property
    def end(self) -> bool: ...


@dataclass
class _Router:
    x: int
    y: int
    queues: dict[int, deque[Flit]] = field(default_factory=dict)
    turns: dict[int, Packets] = field(default_factory=dict)


@dataclass(slots=True)
class _Move:
    """The flit that an output has chosen of an input."""

    router: _Router
    output: int
    input: int
    flit: Flit


class Routers:
    """Sources put flits in, sinks take them; a router of a mesh takes a clock, and holds what cannot go on.

    In each clock first `choose`, then `move`.

    Parameters
    ----------
    noc : NocConfig
    sources, sinks : sequence of Place
    whole : bool
        Packets stay together.
    """

    def __init__(self, noc: NocConfig, sources: Sequence[Place], sinks: Sequence[Place], *, whole: bool) -> None:
        self.room = noc.queue if noc.is_mesh else 0
        self.sources, self.sinks, self.whole = sources, sinks, whole
        self._width = LOCAL + max(place.local for place in sources) + 1
        self._routers = {(x, y): _Router(x, y) for x in range(noc.columns) for y in range(noc.rows)}
        self._moves: list[_Move] = []
        self._offers: Mapping[int, Flit] = {}

    @property
    def busy(self) -> bool:
        """Some flit is on its way."""
        return any(queue for router in self._routers.values() for queue in router.queues.values())

    def choose(self, offers: Mapping[int, Flit]) -> dict[int, Flit]:
        """What each sink is offered in this clock, in which sources offer flits."""
        self._offers = offers
        self._moves = []
        if not self.room:
            (router,) = self._routers.values()
            self._choose(router, {LOCAL + self.sources[source].local: flit for source, flit in offers.items()})
        else:
            for router in self._routers.values():
                self._choose(router, {side: queue[0] for side, queue in router.queues.items() if queue})
        return {move.flit.to: move.flit for move in self._moves if move.output >= LOCAL}

    def _choose(self, router: _Router, heads: Mapping[int, Flit]) -> None:
        wants: dict[int, dict[int, Flit]] = {}
        for side, flit in heads.items():
            wants.setdefault(self._output(router, self.sinks[flit.to]), {})[side] = flit
        for output, those in wants.items():
            if output not in router.turns:
                router.turns[output] = Packets(self._width, whole=self.whole)
            chosen = router.turns[output].choose(those)
            if chosen >= 0:
                self._moves.append(_Move(router, output, chosen, those[chosen]))

    def _output(self, router: _Router, to: Place) -> int:
        """Along x first, then along y."""
        if to.x != router.x:
            return EAST if to.x > router.x else WEST
        if to.y != router.y:
            return SOUTH if to.y > router.y else NORTH
        return LOCAL + to.local

    def _queue(self, x: int, y: int, side: int) -> deque[Flit]:
        return self._routers[x, y].queues.setdefault(side, deque())

    def move(self, taken: Container[int]) -> list[int]:
        """Let flits go where there is room, to sinks those that are ``taken``; the sources whose flits have gone."""
        pops: list[deque[Flit]] = []
        pushes: list[tuple[deque[Flit], Flit]] = []
        gone = []
        for move in self._moves:
            router, flit = move.router, move.flit
            if move.output >= LOCAL:
                goes = flit.to in taken
            else:
                step = STEPS[move.output]
                queue = self._queue(router.x + step[0], router.y + step[1], OPPOSITE[move.output])
                goes = len(queue) < self.room
                if goes:
                    pushes.append((queue, flit))
            router.turns[move.output].settle(over=goes and flit.end)
            if goes and self.room:
                pops.append(router.queues[move.input])
            elif goes:
                gone += [source for source, each in self._offers.items() if each is flit]
        if self.room:
            for source, flit in self._offers.items():
                place = self.sources[source]
                queue = self._queue(place.x, place.y, LOCAL + place.local)
                if len(queue) < self.room:
                    pushes.append((queue, flit))
                    gone.append(source)
        for queue in pops:
            queue.popleft()
        for queue, flit in pushes:
            queue.append(flit)
        return gone
