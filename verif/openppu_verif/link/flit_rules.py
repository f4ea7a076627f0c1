"""What docs/link.md asks of a side's flits, one by one, given what the other side's said: retry and credits.

A port that sends a flit again without need, answers a wish late, or names a missing flit too seldom loses nothing: no
packet tells. These rules do. Ports are not asked to be right to the clock: what a flit says may depend on what came
`SOONEST` clocks before, and must on what came `LATEST` before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from openppu.link.config import CHANNELS, LinkConfig

from openppu_verif.link.flits import Flit, flits
from openppu_verif.link.native import Run

SOONEST, LATEST = 4, 30
REFRESH = 8
"""Of so many flits one tells a channel's credit, changed or not; a changed one is told within as many."""
TIMEOUT_WINDOWS = 4


@dataclass(frozen=True, kw_only=True)
class Heard:
    """All that a side knows once a right flit has arrived."""

    clock: int
    expected: int
    """All flits before it have been passed on."""
    announced: int
    """All before it have been sent by the other side, as far as is known."""
    missing: frozenset[int]
    passed: tuple[int, ...]
    """Flits passed on, by channel."""
    acknowledged: int
    limits: tuple[int, ...]
    """Flits that may be sent since the start, by channel."""
    wish: int | None
    """What this flit asks for."""


def _extended(low: int, near: int) -> int:
    """The number nearest to ``near`` with these low 8 bits."""
    return near + (low - near + 128) % 256 - 128


def hear(arrivals: Sequence[Flit], config: LinkConfig) -> list[Heard]:
    """What is known at the start, and after each right flit."""
    expected = announced = acknowledged = 0
    early: dict[int, int] = {}
    passed, limits = [0] * CHANNELS, [0] * CHANNELS
    start = Heard(
        clock=0, expected=0, announced=0, missing=frozenset(), passed=tuple(passed), acknowledged=0,
        limits=tuple(limits), wish=None,
    )  # fmt: skip
    known = [start]
    for flit in arrivals:
        trailer = flit.trailer
        if not flit.right:
            continue
        number = _extended(trailer.sequence, expected)
        announced = max(announced, number + trailer.data)
        if trailer.data and expected <= number < expected + config.window:
            early.setdefault(number, trailer.channel)
        while expected in early:
            passed[early.pop(expected)] += 1
            expected += 1
        acknowledged = max(acknowledged, _extended(trailer.acknowledge, acknowledged))
        channel = trailer.credit_channel
        limits[channel] = max(limits[channel], _extended(trailer.credit, limits[channel]))
        known.append(
            Heard(
                clock=flit.arrives,
                expected=expected,
                announced=announced,
                missing=frozenset(set(range(expected, announced)) - set(early)),
                passed=tuple(passed),
                acknowledged=acknowledged,
                limits=tuple(limits),
                wish=_extended(trailer.missing, acknowledged) if trailer.missing_valid else None,
            )
        )
    return known


class Rules:
    """The rules for what one side sent.

    Parameters
    ----------
    done : Run
        With ``record``, and ``link.round_trip`` noted.
    side : str
    timeouts : int
        That the side has counted.
    taken_at_once : bool
        What it received never waited to be taken.
    """

    def __init__(self, done: Run, side: str, *, timeouts: int, taken_at_once: bool) -> None:
        self.config = done.config
        self.sent = flits(done, side)
        self.known = hear(flits(done, "b" if side == "a" else "a"), self.config)
        self.trips = [(clock, value) for clock, name, value in done.notes if name == f"{side}.link.round_trip"]
        self.timeouts = timeouts
        self.taken_at_once = taken_at_once

    def broken(self) -> Iterator[str]:
        """All that is not as it must be."""
        yield from self.receiving()
        yield from self.wishes()
        yield from self.sending()
        yield from self.answers()

    def _at(self, clock: int) -> int:
        """The place in ``known`` of what is known in a clock."""
        low, high = 0, len(self.known)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.known[middle].clock <= clock else (low, middle)
        return low

    def receiving(self) -> Iterator[str]:
        """Acknowledges all that has come in order, names what is missing, and gives each credit once."""
        told = [0] * CHANNELS
        last_told = [0] * CHANNELS
        idle = _idle(self.known, self.config)
        for place, flit in enumerate(self.sent):
            trailer = flit.trailer
            before = self.known[self._at(flit.tells - LATEST - self.config.window)]
            now = self.known[self._at(flit.tells - SOONEST)]
            number = _extended(trailer.acknowledge, before.expected)
            if not before.expected <= number <= now.expected:
                yield f"flit {place} acknowledges {number}, of {before.expected} to {now.expected}"
            known = self.known[self._at(flit.tells - LATEST)]
            if trailer.missing_valid:
                number = _extended(trailer.missing, now.expected)
                if number not in known.missing | now.missing:
                    yield f"flit {place} names {number} missing, of {sorted(known.missing | now.missing)}"
            channel = trailer.credit_channel
            if channel >= CHANNELS:
                yield f"flit {place} gives credit to channel {channel}"
                continue
            credit = _extended(trailer.credit, told[channel] or self.config.credits)
            most = self.config.credits + now.passed[channel]
            if not told[channel] <= credit <= most:
                yield f"flit {place} gives channel {channel} credit {credit}, after {told[channel]}, of {most}"
            told[channel], last_told[channel] = credit, place
            if place - min(last_told) > REFRESH * CHANNELS:
                yield f"flit {place}: channel {last_told.index(min(last_told))} has not been told its credit for long"
            if place >= REFRESH and self.taken_at_once:
                freed = idle[self._at(self.sent[place - REFRESH].tells - LATEST)]
                for each in range(CHANNELS):
                    if told[each] < self.config.credits + freed[each]:
                        yield f"flit {place}: channel {each} was told {told[each]}, {freed[each]} of it were taken"

    def wishes(self) -> Iterator[str]:
        """Each missing flit is named as long as it is, in turn."""
        begun: dict[int, int] = {}
        for place, heard in enumerate(self.known):
            for number in list(begun):
                if number not in heard.missing:
                    yield from self._named(number, begun.pop(number), place)
            for number in heard.missing:
                begun.setdefault(number, place)

    def _named(self, number: int, first: int, behind: int) -> Iterator[str]:
        since, until = self.known[first].clock + LATEST, self.known[behind].clock - LATEST
        most = max(len(heard.missing) for heard in self.known[first:behind]) + 2
        silent = 0
        for flit in self.sent:
            if since < flit.tells < until:
                named = flit.trailer.missing_valid and flit.trailer.missing == number % 256
                silent = 0 if named else silent + 1
                if silent > most:
                    yield f"flit {number} is missing, and not named by {silent} flits from clock {since} on"
                    return

    def sending(self) -> Iterator[str]:
        """New flits have numbers in order, room in the window, and a credit; the others name the next number."""
        following = 0
        spent = [0] * CHANNELS
        for place, flit in enumerate(self.sent):
            trailer = flit.trailer
            number = _extended(trailer.sequence, following)
            known = self.known[self._at(flit.begins - SOONEST)]
            if not trailer.data and number != following:
                yield f"flit {place} names {number} as the next one, not {following}"
            if trailer.data and number == following:
                following += 1
                spent[trailer.channel] += 1
                if number - known.acknowledged >= self.config.window:
                    yield f"flit {place} is new, {number}, while {known.acknowledged} is not acknowledged"
                if spent[trailer.channel] > known.limits[trailer.channel]:
                    yield f"flit {place} is new, without a credit of channel {trailer.channel}"
            elif trailer.data and not 0 <= following - number <= self.config.window:
                yield f"flit {place} has the number {number}, the next one is {following}"

    def answers(self) -> Iterator[str]:
        """What is asked for is sent again before anything else; nothing is without having been asked for."""
        first_of: dict[int, Flit] = {}
        begins: dict[int, list[int]] = {}
        following = unasked = 0
        for place, flit in enumerate(self.sent):
            if not flit.trailer.data:
                continue
            number = _extended(flit.trailer.sequence, following)
            begins.setdefault(number, []).append(place)
            if number == following:
                following += 1
                first_of[number] = flit
                continue
            if number not in first_of:
                yield f"flit {place} sends {number} again, which never was sent"
                continue
            first = first_of[number]
            if (flit.payload, flit.trailer.channel, flit.trailer.used, flit.trailer.cut) != (
                first.payload, first.trailer.channel, first.trailer.used, first.trailer.cut,
            ):  # fmt: skip
                yield f"flit {place} sends {number} again, with something else in it"
            known = self.known[self._at(flit.begins - LATEST)]
            if number < known.acknowledged:
                yield f"flit {place} sends {number} again, though all before {known.acknowledged} have arrived"
            earlier = begins[number][-2]
            if not any(self._may_answer(earlier, heard) for heard in self._asking(number, earlier, flit.begins)):
                unasked += 1
                if unasked > self.timeouts:
                    yield f"flit {place} sends {number} again, which nobody asked for since it was flit {earlier}"
        yield from self._unanswered(begins)

    def _asking(self, number: int, after: int, until: int) -> list[Heard]:
        """Who asked for a flit from a place in ``sent`` on, until a clock."""
        since = self.sent[after].begins
        return [heard for heard in self.known if since < heard.clock <= until - SOONEST and heard.wish == number]

    def _age(self, place: int, clock: int) -> int:
        """Flits that have been sent since one began."""
        return sum(flit.ends < clock for flit in self.sent[place : place + 4 * self.config.window])

    def _trip(self, clock: int) -> int:
        """The round trip as it was measured by then, in flits."""
        return next((value for at, value in reversed(self.trips) if at <= clock), 0)

    def _may_answer(self, place: int, heard: Heard) -> bool:
        return self._age(place, heard.clock + LATEST) > self._trip(heard.clock)

    def _unanswered(self, begins: dict[int, list[int]]) -> Iterator[str]:
        """Between a wish and its answer nothing is sent but other flits that are sent again."""
        news = set(places[0] for places in begins.values())
        for heard in self.known:
            if heard.wish is None:
                continue
            places = begins.get(heard.wish, [])
            before = [place for place in places if self.sent[place].begins < heard.clock]
            if not before or heard.wish < heard.acknowledged:
                continue
            latest = max(self._trip(clock) for clock in range(heard.clock, heard.clock + LATEST))
            if self._age(before[-1], heard.clock - LATEST) <= latest + 1:
                continue
            for place in range(before[-1] + 1, len(self.sent)):
                flit = self.sent[place]
                if flit.begins <= heard.clock + LATEST:
                    if place in places:
                        break
                    continue
                if place in places or self.known[self._at(flit.begins)].acknowledged > heard.wish:
                    break
                if place in news or not flit.trailer.data:
                    yield f"flit {place} goes before {heard.wish}, which was asked for in clock {heard.clock}"
                    break


def _idle(known: Sequence[Heard], config: LinkConfig) -> list[tuple[int, ...]]:
    """Flits by channel that have certainly been taken at each place, when all that takes them never waits."""
    free, taken, result = 0, known[0].passed, []
    for before, heard in zip([known[0], *known], known, strict=False):
        if free <= heard.clock:
            taken = before.passed
        count = sum(heard.passed) - sum(before.passed)
        free = max(free, heard.clock) + count * (config.beats + 2)
        if not count and free <= heard.clock:
            taken = heard.passed
        result.append(taken)
    return result
