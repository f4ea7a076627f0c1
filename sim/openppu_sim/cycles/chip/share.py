"""Several users of one way into the network."""

from collections.abc import Callable

from openppu_sim.cycles.chip.events import EARLY, LATE
from openppu_sim.cycles.chip.network import Initiator
from openppu_sim.cycles.turns import RoundRobin


class Share:
    """As `openppu.common.memory_share.MemoryShare`: its users take turns; a write's words follow two clocks behind it.

    Parameters
    ----------
    initiator : Initiator
    users : int
        Their numbers are the tags of their requests.
    """

    def __init__(self, initiator: Initiator, users: int) -> None:
        self.initiator = initiator
        self.events = initiator.network.events
        self.waiting: dict[int, tuple[int, int, Callable[[int, int], None], bool, Callable[[], None]]] = {}
        """Of each user, its request."""
        self._turns = RoundRobin(users)
        self._held = -1
        """Who has the turn, and waits for the network."""
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
        self.waiting[tag] = (word, count, told, write, taken)
        self.events.at(self.events.now, self._look, LATE)

    def _look(self) -> None:
        now = self.events.now
        if not self.waiting:
            return
        if self._held < 0 and self._taken < now:
            self._held = self._turns.pick(self.waiting)
        if self._taken == now or not self.initiator.free:
            if self._taken == now or not self.initiator.pieces:
                self.events.at(now + 1, self._look)
            return
        tag, self._held = self._held, -1
        word, count, told, write, taken = self.waiting.pop(tag)
        self._taken = now
        self.initiator.ask(word, count, told, write=write, tag=tag)
        if write:
            for place in range(count):
                self.events.at(now + 2 + place, self.initiator.give, EARLY)
        taken()
        if self.waiting:
            self.events.at(now + 1, self._look)
