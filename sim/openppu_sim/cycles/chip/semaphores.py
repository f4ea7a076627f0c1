"""A chip's semaphores: one wait is granted a clock, one signal taken."""

from collections import deque
from collections.abc import Callable

from openppu_sim.cycles.chip.events import EARLY, LATE, Events

MOST = (1 << 16) - 1


class SemaphoreCycles:
    """As `openppu.command.semaphores.Semaphores`; who waits longest goes first.

    Parameters
    ----------
    count : int
    events : Events
    """

    def __init__(self, count: int, events: Events) -> None:
        self.values = [0] * count
        self.events = events
        self.waits: list[tuple[int, int, Callable[[], None]]] = []
        self.signals: deque[tuple[int, int, Callable[[], None]]] = deque()
        self._granted = self._taken = self._looks = -1

    def wait(self, semaphore: int, value: int, granted: Callable[[], None]) -> None:
        """Take so much, once it is there; ``granted`` is called in that clock."""
        self.waits.append((semaphore, value, granted))
        self._look_at(self.events.now)

    def signal(self, semaphore: int, value: int, taken: Callable[[], None]) -> None:
        """Raise it; ``taken`` is called in the clock in which that is taken, and from the next it has the value."""
        self.signals.append((semaphore, value, taken))
        self._look_at(self.events.now)

    def _look_at(self, clock: int) -> None:
        if self._looks != clock:
            self._looks = clock
            self.events.at(clock, self._look, LATE)

    def _look(self) -> None:
        now = self.events.now
        if self._granted < now:
            for place, (semaphore, value, granted) in enumerate(self.waits):
                if self.values[semaphore] >= value:
                    del self.waits[place]
                    self.values[semaphore] -= value
                    self._granted = now
                    granted()
                    break
        if self.signals and self._taken < now:
            for place, (semaphore, value, taken) in enumerate(self.signals):
                if self.values[semaphore] + value <= MOST:
                    del self.signals[place]
                    self._taken = now
                    self.events.at(now + 1, self._raise(semaphore, value), EARLY)
                    taken()
                    break
        if (self.waits and self._granted == now) or (self.signals and self._taken == now):
            self._look_at(now + 1)

    def _raise(self, semaphore: int, value: int) -> Callable[[], None]:
        def do() -> None:
            self.values[semaphore] += value
            self._look_at(self.events.now)

        return do
