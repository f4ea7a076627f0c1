"""Requests on their way from the initiators of the network to its targets."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from openppu.noc.plan import Plan

from openppu_sim.cycles.chip.events import PACKETS, Alarm, Events
from openppu_sim.cycles.chip.routers import Routers
from openppu_sim.cycles.turns import NEVER


@dataclass
class Packet:
    """A read, or a write with its words, that lies in one granule of a target."""

    initiator: int
    target: int
    write: bool
    word: int
    """The first, in the target."""

    count: int
    tag: int
    masked: bool
    """Some byte of a write is not to be written."""

    gone: Callable[[int], None]
    """Told of the clock in which each flit leaves the initiator."""

    tell: Callable[[int], None]
    """Told of the clock in which each word of the answer, or the acknowledge, is at the initiator."""

    @property
    def flits(self) -> int:
        """How many it has."""
        return self.count if self.write else 1


class Target(Protocol):
    """Takes packets, flit by flit, one packet after the other."""

    def ready(self, place: int, clock: int) -> bool:
        """Whether it takes a packet's flit of a number in a clock."""

    def take(self, packet: Packet, clock: int) -> None:
        """It takes a packet's first flit."""


@dataclass(slots=True)
class _Flit:
    at: int
    to: int
    place: int
    packet: Packet

    @property
    def end(self) -> bool:
        """It is the packet's last."""
        return self.place == self.packet.flits - 1


class Requests:
    """A flit a clock from each initiator, and one to each target.

    Parameters
    ----------
    events : Events
    plan : Plan
    targets : sequence of Target
    """

    def __init__(self, events: Events, plan: Plan, targets: Sequence[Target]) -> None:
        self.targets, self.planes = targets, plan.noc.planes
        places = plan.target_places
        self.waiting: list[deque[_Flit]] = [deque() for _ in plan.initiator_places]
        self.routers = [
            Routers(plan.noc, plan.initiator_places, places[plane :: self.planes], whole=True)
            for plane in range(self.planes)
        ]
        self._alarm = Alarm(events, self._step, PACKETS)

    def send(self, packet: Packet, at: int) -> None:
        """An initiator offers a packet from a clock on."""
        to = packet.target // self.planes
        self.waiting[packet.initiator].extend(_Flit(at, to, place, packet) for place in range(packet.flits))
        self._alarm.set(at)

    def _step(self, clock: int) -> int:
        gone: list[_Flit] = []
        for plane, routers in enumerate(self.routers):
            offers = {
                number: queue[0]
                for number, queue in enumerate(self.waiting)
                if queue and queue[0].at <= clock and queue[0].packet.target % self.planes == plane
            }
            taken = set()
            for to, flit in routers.choose(offers).items():
                assert isinstance(flit, _Flit)
                target = self.targets[flit.packet.target]
                if target.ready(flit.place, clock):
                    taken.add(to)
                    if not flit.place:
                        target.take(flit.packet, clock)
            for number in routers.move(taken):
                gone.append(offers[number])
                self.waiting[number].popleft()
        for flit in gone:
            flit.packet.gone(clock)
        times = [queue[0].at for queue in self.waiting if queue]
        if any(routers.busy for routers in self.routers):
            times.append(clock + 1)
        return max(clock + 1, min(times, default=NEVER))
