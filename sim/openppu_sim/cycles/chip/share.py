"""Several users of one way into the network."""

from collections import deque
from collections.abc import Callable

from openppu_sim.cycles.chip.events import EARLY, LATE
from openppu_sim.cycles.chip.network import Initiator


class Share:
    """Takes requests in the order in which they came; a write's words follow two clocks behind it.

    Parameters
    ----------
    initiator : Initiator
    """

    def __init__(self, initiator: Initiator) -> None:
        self.initiator = initiator
        self.events = initiator.network.events
        self.waiting: deque[tuple[int, int, Callable[[int, int], None], bool, int, Callable[[], None]]] = deque()
        initiator.on_free = self._look
        self._taken = -1

    def ask(
        self,
        word: int,
        count: int,
        told: Callable[[int, int], None],
        taken: Callable[[], None],
        *,
        write: bool = False,
        tag: int = 0,
    ) -> None:
        """A request from now on; ``taken`` is called in the clock in which it is taken; else as of `Initiator`."""
        self.waiting.append((word, count, told, write, tag, taken))
        self.events.at(self.events.now, self._look, LATE)

    def _look(self) -> None:
        now = self.events.now
        if not self.waiting:
            return
        if self._taken == now or not self.initiator.free:
            if self._taken == now or not self.initiator.pieces:
                self.events.at(now + 1, self._look)
            return
        word, count, told, write, tag, taken = self.waiting.popleft()
        self._taken = now
        self.initiator.ask(word, count, told, write=write, tag=tag)
        if write:
            for place in range(count):
                self.events.at(now + 2 + place, self.initiator.give, EARLY)
        taken()
        if self.waiting:
            self.events.at(now + 1, self._look)
