"""Answers on their way from the targets of the network to its initiators: words of reads, and acknowledges."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from openppu.noc.plan import Plan

from openppu_sim.cycles.chip.events import PACKETS, Alarm, Events
from openppu_sim.cycles.chip.routers import Flit, Routers
from openppu_sim.cycles.turns import NEVER, Packets, RoundRobin

Clock = Callable[[int], None]
"""Told of a clock."""


@dataclass(slots=True)
class Answer:
    """A word that was read, or an acknowledge, for an initiator from a clock on.

    ``went`` is told when it leaves the target, ``came`` when it is at the initiator.
    """

    at: int
    to: int
    end: bool
    went: Clock
    came: Clock


@dataclass(slots=True)
class _Source:
    """A target: words and acknowledges in turns."""

    words: deque[Answer] = field(default_factory=deque)
    acknowledges: deque[Answer] = field(default_factory=deque)
    turns: RoundRobin = field(default_factory=lambda: RoundRobin(2))
    held: deque[Answer] | None = None
    """Of what was offered, and has not gone."""

    def offer(self, clock: int) -> Answer | None:
        """What it offers in a clock."""
        if self.held is None:
            queues = (self.words, self.acknowledges)
            wants = [place for place, queue in enumerate(queues) if queue and queue[0].at <= clock]
            if not wants:
                return None
            self.held = queues[self.turns.pick(wants)]
        return self.held[0]

    def go(self, clock: int) -> None:
        """What it offers goes."""
        assert self.held is not None
        queue, self.held = self.held, None
        queue.popleft().went(clock)


class Answers:
    """A flit a clock from each target, and one to each initiator, which takes it at once.

    Parameters
    ----------
    events : Events
    plan : Plan
    """

    def __init__(self, events: Events, plan: Plan) -> None:
        self.planes = plan.noc.planes
        places, initiators = plan.target_places, plan.initiator_places
        self.sources = [_Source() for _ in places]
        self.routers = [
            Routers(plan.noc, places[plane :: self.planes], initiators, whole=False) for plane in range(self.planes)
        ]
        self.turns = [Packets(self.planes, whole=False) for _ in initiators]
        self._alarm = Alarm(events, self._step, PACKETS)

    def read(self, target: int, words: int, answer: Answer) -> None:
        """Words for an initiator, the first from a clock on."""
        self.sources[target].words.extend(
            Answer(answer.at, answer.to, answer.end and left == 1, answer.went, answer.came)
            for left in range(words, 0, -1)
        )
        self._alarm.set(answer.at)

    def acknowledge(self, target: int, answer: Answer) -> None:
        """An acknowledge for an initiator."""
        self.sources[target].acknowledges.append(answer)
        self._alarm.set(answer.at)

    def _step(self, clock: int) -> int:
        reached: list[dict[int, Flit]] = []
        for plane, routers in enumerate(self.routers):
            offers = {}
            for number, source in enumerate(self.sources[plane :: self.planes]):
                flit = source.offer(clock)
                if flit is not None:
                    offers[number] = flit
            reached.append(routers.choose(offers))
        came: list[Answer] = []
        taken: list[set[int]] = [set() for _ in self.routers]
        for to in {to: None for flits in reached for to in flits}:
            turns = self.turns[to]
            plane = turns.choose([plane for plane, flits in enumerate(reached) if to in flits])
            answer = reached[plane][to]
            turns.settle(over=answer.end)
            taken[plane].add(to)
            assert isinstance(answer, Answer)
            came.append(answer)
        for plane, routers in enumerate(self.routers):
            for number in routers.move(taken[plane]):
                self.sources[number * self.planes + plane].go(clock)
        for answer in came:
            answer.came(clock)
        times = [queue[0].at for source in self.sources for queue in (source.words, source.acknowledges) if queue]
        if any(routers.busy for routers in self.routers):
            times.append(clock + 1)
        return max(clock + 1, min(times, default=NEVER))
