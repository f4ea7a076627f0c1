"""The data of the writes that wait in a pseudo-channel."""

from collections import deque

from openppu_sim.cycles.hbm.queue import Entry
from openppu_sim.cycles.hbm.refresh import FAR


class WriteBuffer:
    """Slots, and when what is in them becomes complete.

    Attributes
    ----------
    slots : int
        Free ones.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.fills: deque[tuple[int, Entry]] = deque()
        self.merges: deque[tuple[int, Entry]] = deque()
        self.releases: deque[int] = deque()
        self.free_at = 0

    def complete(self, clock: int) -> list[Entry]:
        """Entries whose data has become complete by this clock; slots that are released become free."""
        ready = []
        for waiting in (self.fills, self.merges):
            while waiting and waiting[0][0] <= clock:
                entry = waiting.popleft()[1]
                if waiting is self.fills:
                    entry.filled = True
                else:
                    entry.merged = True
                if entry.filled and entry.merged:
                    ready.append(entry)
        while self.releases and self.releases[0] <= clock:
            self.releases.popleft()
            self.slots += 1
        return ready

    def wake(self) -> int:
        """The next clock in which an entry becomes complete."""
        fill = self.fills[0][0] if self.fills else FAR
        return min(fill, self.merges[0][0]) if self.merges else fill

    def fill(self, entries: list[Entry], clock: int, words: int) -> None:
        """Take a slot for entries that wait for the same words, which were accepted in this clock."""
        self.slots -= 1
        ready_at = self.filled_at(clock, words)
        self.fills.extend((ready_at, entry) for entry in entries)

    def filled_at(self, clock: int, words: int) -> int:
        """From when on the words of a write that was accepted in this clock are here: they come one a clock."""
        self.free_at = max(self.free_at, clock + 1) + words
        return self.free_at

    def merge(self, entry: Entry, clock: int) -> None:
        """The old bytes of a write will be here by this clock."""
        self.merges.append((clock, entry))

    def release(self, clock: int) -> None:
        """A slot can be used again from this clock on."""
        self.releases.append(clock)
