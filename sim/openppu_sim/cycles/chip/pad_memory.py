"""A scratchpad as the network reaches it, as `openppu.scratchpad.memory_port.ScratchpadMemory`."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from openppu.common.memory import WORD_BYTES
from openppu.scratchpad.scratchpad import Scratchpad

from openppu_sim.cycles.chip.pad import OUTSIDE, Pad
from openppu_sim.cycles.turns import Ask

TAKEN = 1
"""Clocks from a request to its first access."""

ACKNOWLEDGE = 1
"""From a write's last access to its acknowledge."""

RESPONSE = Scratchpad.LATENCY + 1
"""From a read's access to its word."""

Answer = Callable[[int, bool], None]


@dataclass
class _Request:
    arrives: int
    word: int
    count: int
    write: bool
    answer: Answer
    done: int = 0


class PadMemory:
    """Requests one after the other, an access a clock at most.

    Parameters
    ----------
    pad : Pad
    """

    def __init__(self, pad: Pad) -> None:
        self.pad, self.events = pad, pad.events
        self.requests: deque[_Request] = deque()
        self.moved = -1
        self.access = Ask(self._given)
        pad.join(OUTSIDE, [self.access], lambda: None)

    def ask(self, arrives: int, word: int, count: int, answer: Answer, *, write: bool) -> None:
        """A request at a clock; ``answer`` is told when each word, or the acknowledge, can go; if it is the last."""
        self.requests.append(_Request(arrives, word, count, write, answer))
        if len(self.requests) == 1:
            self._next()

    def _next(self) -> None:
        request = self.requests[0]
        # A write's words come behind it, one a clock.
        self.access.at = max(request.arrives + TAKEN + request.done * request.write, self.moved + 1)
        self.access.bank = (request.word + request.done) * WORD_BYTES // self.pad.bank_bytes
        self.pad.look()

    def _given(self, clock: int) -> None:
        request = self.requests[0]
        request.done += 1
        self.moved = clock
        end = request.done == request.count
        if end:
            self.requests.popleft()
        if not request.write:
            request.answer(clock + RESPONSE, end)
        elif end:
            request.answer(clock + ACKNOWLEDGE, end)
        if self.requests:
            self._next()
