"""When a scratchpad takes what its ports offer, exactly, as long as no bit of it is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

LATENCY = 4
"""Cycles from the one in which a read is taken to that of its result."""

MERGE_CYCLES = 4
"""What a write takes that changes a part of a code word; all else takes one."""


@dataclass(frozen=True)
class Access:
    """What a port offers: to which bank; ``merges``: a write of a part of a code word."""

    bank: int
    merges: bool = False


class Scratchpad:
    """Turns of the ports at each bank.

    Parameters
    ----------
    banks : int
    ports : int
    """

    def __init__(self, *, banks: int, ports: int) -> None:
        self.ports = ports
        self.last = [ports - 1] * banks
        self.left = [0] * banks

    def step(self, offers: Sequence[Access | None]) -> list[bool]:
        """A cycle in which each port offers an access, or none; which of them are taken."""
        taken = [False] * self.ports
        for bank, left in enumerate(self.left):
            if left:
                self.left[bank] = left - 1
                continue
            for turn in range(1, self.ports + 1):
                port = (self.last[bank] + turn) % self.ports
                offer = offers[port]
                if offer is not None and offer.bank == bank:
                    taken[port] = True
                    self.last[bank] = port
                    self.left[bank] = MERGE_CYCLES - 1 if offer.merges else 0
                    break
        return taken


def most_wait(ports: int, *, merges: bool = False) -> int:
    """Cycles that an access waits at most for others; ``merges``: some are writes of a part of a code word."""
    cycles = MERGE_CYCLES if merges else 1
    return cycles - 1 + (ports - 1) * cycles
