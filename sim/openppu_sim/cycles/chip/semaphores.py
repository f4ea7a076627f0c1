"""A chip's semaphores: one wait is granted a clock, one signal taken."""

from collections.abc import Callable
from dataclasses import dataclass

from openppu_sim.cycles.chip.events import EARLY, LATE, Events
from openppu_sim.cycles.turns import RoundRobin

MOST = (1 << 16) - 1


@dataclass
class _Wish:
    """A wait or a signal, of a number among all who may."""

    of: int
    semaphore: int
    value: int
    done: Callable[[], None]


class SemaphoreCycles:
    """As `openppu.command.semaphores.Semaphores`.

    Parameters
    ----------
    count : int
    events : Events
    queues : int
        Who waits; they signal, too, and behind them the other chips and the host.
    """

    def __init__(self, count: int, events: Events, queues: int) -> None:
        self.values = [0] * count
        self.events, self.others = events, queues
        self.waits: list[_Wish] = []
        self.signals: list[_Wish] = []
        self._lowers, self._raises = RoundRobin(queues), RoundRobin(queues + 2)
        self._granted = self._taken = self._looks = -1

    def wait(self, queue: int, semaphore: int, value: int, granted: Callable[[], None]) -> None:
        """Take so much, once it is there; ``granted`` is called in that clock."""
        self.waits.append(_Wish(queue, semaphore, value, granted))
        self._look_at(self.events.now)

    def signal(self, queue: int, semaphore: int, value: int, taken: Callable[[], None]) -> None:
        """Raise it; ``taken`` is called in the clock in which that is taken, and from the next it has the value."""
        self.signals.append(_Wish(queue, semaphore, value, taken))
        self._look_at(self.events.now)

    def _look_at(self, clock: int) -> None:
        if self._looks != clock:
            self._looks = clock
            self.events.at(clock, self._look, LATE)

    def _look(self) -> None:
        now = self.events.now
        if self._granted < now:
            wait = _next(self._lowers, [each for each in self.waits if self.values[each.semaphore] >= each.value])
            if wait is not None:
                self.waits.remove(wait)
                self.values[wait.semaphore] -= wait.value
                self._granted = now
                wait.done()
        if self.signals and self._taken < now:
            fits = [each for each in self.signals if self.values[each.semaphore] + each.value <= MOST]
            signal = _next(self._raises, fits)
            if signal is not None:
                self.signals.remove(signal)
                self._taken = now
                self.events.at(now + 1, self._raise(signal.semaphore, signal.value), EARLY)
                signal.done()
        if (self.waits and self._granted == now) or (self.signals and self._taken == now):
            self._look_at(now + 1)

    def _raise(self, semaphore: int, value: int) -> Callable[[], None]:
        def do() -> None:
            self.values[semaphore] += value
            self._look_at(self.events.now)

        return do


def _next(turns: RoundRobin, wishes: list[_Wish]) -> _Wish | None:
    """The wish whose turn it is; of one who has several, the oldest."""
    if not wishes:
        return None
    chosen = turns.pick(wish.of for wish in wishes)
    return next(wish for wish in wishes if wish.of == chosen)
