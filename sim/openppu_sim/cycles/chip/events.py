"""Things that happen at clocks to come."""

from collections.abc import Callable
from heapq import heappop, heappush

from openppu_sim.cycles.turns import NEVER

EARLY, NORMAL, PACKETS, LATE, TURNS, LAST = range(6)
"""Turns within a clock: what comes from registers; what depends on it; which packets the network takes; what looks at
all that happened; whose requests the scratchpads take; what follows from that."""


class Events:
    """Does what is due, in the order of clocks."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, clock: int, do: Callable[[], None], turn: int = NORMAL) -> None:
        """Do something in a clock that is not over yet."""
        self._count += 1
        heappush(self._heap, (max(clock, self.now), turn, self._count, do))

    def run(self, until: int) -> None:
        """Do all that is due before clock ``until``, which it is then."""
        heap = self._heap
        while heap and heap[0][0] < until:
            clock, _, _, do = heappop(heap)
            self.now = clock
            do()
        self.now = max(self.now, until)


class Alarm:
    """Does something in the earliest of the clocks for which it is set; once, whatever is set for that clock then.

    Parameters
    ----------
    events : Events
    do : callable
        Given the clock; returns the next one for which it is set, later than that, or `NEVER`.
    turn : int
        Within a clock.
    """

    def __init__(self, events: Events, do: Callable[[int], int], turn: int) -> None:
        self._events, self._do, self._turn = events, do, turn
        self._due = NEVER

    def set(self, clock: int) -> None:
        """Go off in a clock that is not over yet, if not before."""
        clock = max(clock, self._events.now)
        if clock < self._due:
            self._due = clock
            self._events.at(clock, lambda: self._go(clock), self._turn)

    def _go(self, clock: int) -> None:
        if clock != self._due:
            return  # another one came before
        due = self._do(clock)
        self._due = NEVER
        if due < NEVER:
            self.set(due)
