"""Processes that wait for each other's results, worked out as far as these are known."""

from collections import deque
from collections.abc import Iterator
from typing import Any

KEPT = 4096
"""Results that a line remembers."""


class Line:
    """Results in order, the newest of which are remembered.

    Parameters
    ----------
    ready : list
        Of `Processes`: where those go that have waited for one more.
    """

    def __init__(self, ready: list["Process"]) -> None:
        self.count = 0
        self.waiting: list[Process] = []
        self._ready = ready
        self._items: deque[Any] = deque(maxlen=KEPT)

    def put(self, item: Any) -> None:
        """One more."""
        self.count += 1
        self._items.append(item)
        if self.waiting:
            self._ready += self.waiting
            self.waiting.clear()

    def __getitem__(self, number: int) -> Any:
        return self._items[number - self.count]


Process = Iterator[Line]
"""Goes on until it needs one more result of the line that it yields."""


class Processes:
    """Some that make results for each other."""

    def __init__(self) -> None:
        self._ready: list[Process] = []

    def line(self) -> Line:
        """A new one."""
        return Line(self._ready)

    def begin(self, *processes: Process) -> None:
        """Begin with some more."""
        self._ready += processes

    def run(self) -> None:
        """Go on as far as is known."""
        ready = self._ready
        while ready:
            process = ready.pop()
            next(process).waiting.append(process)
