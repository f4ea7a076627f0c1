"""What an engine's cycles went to."""

from collections import deque
from collections.abc import Callable
from enum import Enum

from openppu_sim.cycles.turns import NEVER

MANY = 1024
"""Spans beyond which those that are over are added up."""

KEPT = 1 << 16
"""Spans that are kept, at most: the last ones."""

Span = tuple[int, int, int]
"""A cause, its first cycle, and the one behind its last."""


class Account:
    """Spans of cycles, each with its cause, one behind the other; those to come may be known, too.

    Parameters
    ----------
    causes : Enum
        Numbered from 0 on.
    idle : int
        The cause of the first cycles.
    begin : int
        The first cycle.
    now : callable
        The present cycle: spans that end before may be forgotten, but for their cycles.
    """

    def __init__(
        self, causes: type[Enum], idle: int, *, begin: int = 0, now: Callable[[], int] = lambda: NEVER
    ) -> None:
        self.causes = causes
        self.end = begin
        """The cycle behind the last span."""
        self.current = idle
        """The cause of cycles behind it, as far as nothing else is known."""
        self._since: int | None = None
        self._kept: deque[Span] = deque(maxlen=KEPT)
        self._now = now
        self._totals = [0] * len(causes)
        self._spans: deque[Span] = deque()

    def add(self, cause: int, until: int) -> None:
        """The cycles from `end` to before ``until``, if there are any, went to a cause."""
        if until <= self.end:
            return
        spans, begin = self._spans, self.end
        if spans and spans[-1][0] == cause:
            begin = spans.pop()[1]
        spans.append((cause, begin, until))
        self.end = until
        if len(spans) > MANY:
            self._fold()

    def counts(self, now: int) -> dict[str, int]:
        """Cycles of each cause, by its lower-case name, before cycle ``now``."""
        found = list(self._totals)
        for cause, begin, end in (*self._spans, (self.current, self.end, now)):
            found[cause] += max(0, min(end, now) - begin)
        return {each.name.lower(): found[each.value] for each in self.causes}

    def watch(self, since: int | None) -> None:
        """Keep the spans from a cycle on, or none."""
        self._since = since
        self._kept.clear()

    def spans(self, now: int) -> list[Span]:
        """Those that are kept, before cycle ``now``."""
        found: list[Span] = []
        if self._since is None:
            return found
        for cause, begin, end in (*self._kept, *self._spans, (self.current, self.end, now)):
            begin, end = max(begin, self._since), min(end, now)
            if found and found[-1][0] == cause and found[-1][2] == begin:
                begin = found.pop()[1]
            if begin < end:
                found.append((cause, begin, end))
        return found

    def copy(self) -> "Account":
        """Another one, for what may come."""
        other = Account(self.causes, self.current, begin=self.end)
        other._totals, other._spans = list(self._totals), deque(self._spans)
        other._since, other._kept = self._since, self._kept
        return other

    def _fold(self) -> None:
        spans, now = self._spans, self._now()
        while len(spans) > 1 and spans[0][2] <= now:
            cause, begin, end = span = spans.popleft()
            self._totals[cause] += end - begin
            if self._since is not None:
                self._kept.append(span)
