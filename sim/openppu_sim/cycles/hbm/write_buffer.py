"""The data of the writes that wait in a pseudo-channel."""

from collections import deque
from dataclasses import dataclass

from openppu_sim.cycles.hbm.queue import Entry
from openppu_sim.cycles.hbm.refresh import FAR


@dataclass
class Fill:
    """Words of a write on their way from a port, from a clock on; all are here by ``ready_at``."""

    begin: int
    words: int
    entries: list[Entry]
    port: int
    ready_at: int = 0


class WriteBuffer:
    """Slots, and when what is in them becomes complete.

    Words come one a clock, but in a clock in which the old bytes of another one are stored.

    Attributes
    ----------
    slots : int
        Free ones.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.fills: deque[Fill] = deque()
        self.merges: deque[tuple[int, Entry]] = deque()
        self.releases: deque[int] = deque()
        self.free_at = 0
        self.stores: deque[int] = deque()
        """Clocks in which old bytes are stored."""

    def complete(self, clock: int) -> list[Entry]:
        """Entries whose data has become complete by this clock; slots that are released become free."""
        complete = []
        while self.fills and self.fills[0].ready_at <= clock:
            for entry in self.fills.popleft().entries:
                entry.filled = True
                complete.append(entry)
        while self.merges and self.merges[0][0] <= clock:
            entry = self.merges.popleft()[1]
            entry.merged = True
            complete.append(entry)
        while self.releases and self.releases[0] <= clock:
            self.releases.popleft()
            self.slots += 1
        return [entry for entry in complete if entry.filled and entry.merged]

    def wake(self) -> int:
        """The next clock in which an entry becomes complete."""
        fill = self.fills[0].ready_at if self.fills else FAR
        return min(fill, self.merges[0][0]) if self.merges else fill

    def fill(self, entries: list[Entry], clock: int, words: int, port: int) -> None:
        """Take a slot for entries that wait for the same words of a port, which were accepted in this clock."""
        self.slots -= 1
        fill = Fill(max(self.free_at, clock + 1), words, entries, port)
        self.schedule(fill)
        self.fills.append(fill)

    def behind(self, port: int, clock: int) -> int:
        """Words of accepted writes that a port still holds in a clock."""
        words = 0
        for fill in self.fills:
            if fill.port == port and fill.ready_at > clock:
                gone = clock - fill.begin - sum(fill.begin <= each < clock for each in self.stores)
                words += fill.words - max(0, gone)
        return words

    def store(self, clock: int) -> None:
        """Old bytes are stored in a clock to come."""
        earliest = self.fills[0].begin if self.fills else clock
        while self.stores and self.stores[0] < min(earliest, self.free_at):
            self.stores.popleft()
        self.stores.append(clock)
        free_at = 0
        for fill in self.fills:
            fill.begin = max(fill.begin, free_at)
            self.schedule(fill)
            free_at = fill.ready_at

    def schedule(self, fill: Fill) -> None:
        """Work out when all words of a write are here."""
        at = fill.begin + fill.words
        for clock in self.stores:
            at += fill.begin <= clock < at
        fill.ready_at = self.free_at = at

    def merge(self, entry: Entry, clock: int) -> None:
        """The old bytes of a write will be here by this clock."""
        self.merges.append((clock, entry))

    def release(self, clock: int) -> None:
        """A slot can be used again from this clock on."""
        self.releases.append(clock)
