"""The solver for few chips: from event to event, each message on its own.

Links work in one of two ways. ``fair``: messages are cut through and share each link fairly, at max-min fair rates that
change whenever a message begins or ends. ``fifo``: each node passes whole messages on (store and forward), one after
the other, as ASTRA-sim's congestion-aware network does.

A chip begins a step once all messages of the step before have come to it; under ``fair``, once it has sent its own,
too. Where chips stream (`Endpoint.streams`; ``fair`` only), the first packets of these messages are enough, and its own
are not through before the last of these are, and a packet more.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from openppu_sim.cycles.link.network import Floats, Indices, Network, latency
from openppu_sim.cycles.link.schedule import Schedule, Step
from openppu_sim.cycles.link.steps import after_ns, first_share, start_ns

DISCIPLINES = ("fair", "fifo")
SMALL = 1e-6
"""Bytes that are none."""

BETWEEN = -1
"""The place of a chip that has left a step and not begun the next."""

MOST_MESSAGES = 200_000
"""Of a schedule: more would take minutes. `steps.solve` takes any number."""


@dataclass(frozen=True)
class Outcome:
    """When the last chip was done, and the bytes that each link passed."""

    time_ns: float
    link_bytes: Floats


def solve(schedule: Schedule, network: Network, *, discipline: str = "fair") -> Outcome:
    """Run a schedule.

    Raises
    ------
    ValueError
        If it has too many messages, or the discipline is none of ``DISCIPLINES``.
    """
    messages = sum(one.source.size * one.times for one in schedule)
    if messages > MOST_MESSAGES:
        raise ValueError(f"{messages:,} messages: at most {MOST_MESSAGES:,} are run one by one")
    if discipline not in DISCIPLINES:
        raise ValueError(f"discipline {discipline!r}: give one of {', '.join(DISCIPLINES)}")
    return (_Fair if discipline == "fair" else _Fifo)(schedule, network).run()


class _Events:
    """Chips that go through the steps, and a queue of what happens when."""

    streams = False

    def __init__(self, schedule: Schedule, network: Network) -> None:
        self.network = network
        self.steps = [one for one in schedule for _ in range(one.times) if one.source.size]
        prepared = {id(one): _Prepared(one, network) for one in self.steps}
        self.prepared = [prepared[id(one)] for one in self.steps]
        self.position = [BETWEEN] * network.chips
        self.sending = [0] * network.chips
        self.pending = np.stack([one.arrivals for one in self.prepared]) if self.steps else np.zeros((0, 0), np.int64)
        self.firsts = self.pending.copy()
        self.ready = np.full((len(self.steps), network.chips), -np.inf)
        self.queue: list[tuple[float, int, Callable[[float], None]]] = []
        self.count = 0
        self.end = 0.0
        self.link_bytes = np.zeros(len(network.rate))

    def at(self, time: float, work: Callable[[float], None]) -> None:
        """Do something at a time; at the same time, in the order of asking."""
        heapq.heappush(self.queue, (time, self.count, work))
        self.count += 1

    def run(self) -> Outcome:
        """All events, to the last."""
        start = start_ns(self.network, self.steps[0]) if self.steps else self.network.endpoint.start_ns
        for chip in range(self.network.chips):
            self.at(start, lambda now, chip=chip: self.enter(chip, 0, now))  # type: ignore[misc]
        while self.next_event():
            pass
        return Outcome(self.end, self.link_bytes)

    def next_event(self) -> bool:
        """Do what is next; False when nothing is left."""
        if not self.queue:
            return False
        now, _, work = heapq.heappop(self.queue)
        work(now)
        return True

    def enter(self, chip: int, place: int, now: float) -> None:
        """A chip begins a step: it sends, and goes on if nothing comes to it."""
        self.end = max(self.end, now)
        self.position[chip] = place
        if place == len(self.steps):
            return
        for message in self.prepared[place].of(chip):
            self.send(place, message, now)
        self.leave(chip, place, now)

    def leave(self, chip: int, place: int, now: float) -> None:
        """A chip goes on to the next step if all of this one has come and, where links are shared, is sent."""
        if self.position[chip] == place and self.firsts[place, chip] == 0 and self.sending[chip] == 0:
            ready = max(now, float(self.ready[place, chip]))
            self.position[chip] = BETWEEN
            self.at(ready, lambda then: self.enter(chip, place + 1, then))

    def enough(self, place: int, message: int, now: float) -> None:
        """So much of a message is there that it can be sent on; its reduction, and what a step costs, come on top."""
        one = self.prepared[place]
        chip = int(one.step.destination[message])
        self.ready[place, chip] = max(self.ready[place, chip], now + one.after[message])
        self.firsts[place, chip] -= 1
        self.leave(chip, place, now)

    def arrive(self, place: int, message: int, now: float) -> None:
        """A message is there in full."""
        one = self.prepared[place]
        chip = int(one.step.destination[message])
        self.end = max(self.end, now + one.after[message])
        self.pending[place, chip] -= 1
        if not self.streams:
            self.enough(place, message, now)

    def send(self, place: int, message: int, now: float) -> None:
        """Put a message on its way."""
        raise NotImplementedError


class _Prepared:
    """A step with what the events need of it."""

    def __init__(self, step: Step, network: Network) -> None:
        self.step = step
        self.paths: Indices = network.paths(step.source, step.destination)
        self.ways = [way[way >= 0].tolist() for way in self.paths]
        self.wire = network.endpoint.wire(step.size) * network.stretch(step.source, step.destination)
        self.latency = latency(network, self.paths)
        self.first = first_share(network, step)
        slowest = np.where(self.paths >= 0, network.rate[self.paths], np.inf).min(axis=1)
        self.lead = self.first * self.wire / slowest
        extra = network.endpoint.reduce_ns(step.size) if step.reduces else np.zeros(step.size.shape)
        self.after = extra + after_ns(network, step)
        self.arrivals = np.bincount(step.destination, minlength=network.chips)
        order = np.argsort(step.source, kind="stable")
        bounds = np.searchsorted(step.source[order], np.arange(network.chips + 1))
        self._messages = [order[bounds[chip] : bounds[chip + 1]].tolist() for chip in range(network.chips)]

    def of(self, chip: int) -> list[int]:
        """Messages that a chip sends."""
        return self._messages[chip]


class _Fifo(_Events):
    """Whole messages, one after the other on each link."""

    def __init__(self, schedule: Schedule, network: Network) -> None:
        super().__init__(schedule, network)
        self.free = np.zeros(len(network.rate))

    def send(self, place: int, message: int, now: float) -> None:
        """Wait for the first link."""
        self.hop(place, message, 0, now)

    def hop(self, place: int, message: int, number: int, now: float) -> None:
        """Take a link of the way as soon as it is free, and be at its end when all has passed."""
        one = self.prepared[place]
        way = one.ways[message]
        if number == len(way):
            self.arrive(place, message, now)
            return
        link = way[number]
        begin = max(now, float(self.free[link]))
        self.free[link] = begin + one.wire[message] / self.network.rate[link]
        self.link_bytes[link] += one.wire[message]
        through = self.network.forward_ns if number + 1 < len(way) else 0.0
        there = float(self.free[link] + self.network.alpha[link] + through)
        self.at(there, lambda then: self.hop(place, message, number + 1, then))


class _Fair(_Events):
    """Bytes flow along whole ways, at max-min fair rates."""

    def __init__(self, schedule: Schedule, network: Network) -> None:
        super().__init__(schedule, network)
        self.streams = network.endpoint.streams
        self.flows: list[tuple[int, int]] = []
        self.left: list[float] = []
        self.until_first: list[float] = []
        self.held: list[tuple[int, int]] = []
        self.full = np.full((len(self.steps), network.chips), -np.inf)
        self.rates: Floats | None = np.zeros(0)
        self.now = 0.0

    def send(self, place: int, message: int, now: float) -> None:
        """Add a flow; rates are found when time goes on."""
        one = self.prepared[place]
        self.link_bytes[one.ways[message]] += one.wire[message]
        self.sending[one.step.source[message]] += 1
        if one.wire[message] == 0:
            if self.streams:
                self.at(now + one.latency[message], lambda then: self.enough(place, message, then))
            self.drained(place, message, now)
            return
        self.flows.append((place, message))
        self.left.append(float(one.wire[message]))
        self.until_first.append(float(one.wire[message] * one.first[message]) if self.streams else np.inf)
        self.rates = None

    def drained(self, place: int, message: int, now: float) -> None:
        """A message is sent as far as its chip had it: to its end, unless what it is made of still comes."""
        one = self.prepared[place]
        chip = int(one.step.source[message])
        if self.pending[:place, chip].any():
            self.held.append((place, message))
            return
        last = self.full[:place, chip].max(initial=-np.inf) + one.lead[message]
        if last > now:
            self.at(last, lambda then: self.passed(place, message, then))
        else:
            self.passed(place, message, now)

    def passed(self, place: int, message: int, now: float) -> None:
        """The last byte of a message has left."""
        one = self.prepared[place]
        chip = int(one.step.source[message])
        self.sending[chip] -= 1
        self.leave(chip, place, now)
        self.at(now + one.latency[message], lambda then: self.arrive(place, message, then))

    def arrive(self, place: int, message: int, now: float) -> None:
        """A message is there in full, and so may be what a message waits for that is sent on."""
        super().arrive(place, message, now)
        one = self.prepared[place]
        chip = int(one.step.destination[message])
        self.full[place, chip] = max(self.full[place, chip], now + one.after[message])
        held, self.held = self.held, []
        for waiting in held:
            if self.prepared[waiting[0]].step.source[waiting[1]] == chip:
                self.drained(*waiting, now)
            else:
                self.held.append(waiting)

    def next_event(self) -> bool:
        """The next event of the queue, or the end of flows, whichever comes first."""
        if not self.flows:
            if self.queue:
                self.now = self.queue[0][0]
            return super().next_event()
        if self.queue and self.queue[0][0] <= self.now:
            return super().next_event()  # all that begins now, before rates are found
        if self.rates is None:
            ways = [self.prepared[place].ways[message] for place, message in self.flows]
            self.rates = fair_rates(ways, self.network.rate)
        left, until_first = np.array(self.left), np.array(self.until_first)
        ends = float(min((left / self.rates).min(), (until_first / self.rates).min()))
        soon = min(ends, self.queue[0][0] - self.now) if self.queue else ends
        left -= self.rates * soon
        until_first -= self.rates * soon
        self.now += soon
        for flow in np.flatnonzero(until_first <= SMALL).tolist():
            until_first[flow] = np.inf
            place, message = self.flows[flow]
            there = self.now + self.prepared[place].latency[message]
            self.at(there, lambda then, place=place, message=message: self.enough(place, message, then))  # type: ignore[misc]
        done = left <= SMALL
        if done.any():
            over = [self.flows[flow] for flow in np.flatnonzero(done).tolist()]
            self.flows = [flow for flow, ended in zip(self.flows, done, strict=True) if not ended]
            left, until_first = left[~done], until_first[~done]
            self.rates = None
            self.left, self.until_first = left.tolist(), until_first.tolist()
            for place, message in over:
                self.drained(place, message, self.now)
            return True
        self.left, self.until_first = left.tolist(), until_first.tolist()
        return True


def fair_rates(ways: list[list[int]], capacity: Floats) -> Floats:
    """Max-min fair rates of flows: none can have more without one that has no more than it having less.

    Parameters
    ----------
    ways : list of lists of int
        The links of each flow, at least one.
    capacity : ndarray of float64
        Of each link.
    """
    longest = max(map(len, ways))
    paths = np.array([way + [-1] * (longest - len(way)) for way in ways])
    left = np.append(capacity, np.inf)  # the last one stands for no link
    rates = np.zeros(len(ways))
    waiting = np.ones(len(ways), bool)
    while waiting.any():
        users = np.bincount(paths[waiting].ravel() % len(left), minlength=len(left))
        users[-1] = 0
        share = np.divide(left, users, out=np.full(len(left), np.inf), where=users > 0)
        least = share.min()
        full = np.append(share[:-1] <= least * (1 + 1e-9), False)
        now = waiting & full[paths].any(axis=1)
        rates[now] = least
        used = np.bincount(paths[now].ravel() % len(left), minlength=len(left))
        left[:-1] = np.maximum(left[:-1] - least * used[:-1], 0.0)
        waiting &= ~now
    return rates
