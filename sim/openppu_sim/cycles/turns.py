"""Whose turn it is at a scratchpad's banks, of users that say from when on they ask."""

from collections.abc import Callable, Collection, Iterable, Sequence

from openppu_sim.cycles.scratchpad import MERGE_CYCLES

NEVER = 1 << 62
"""Not as far as is known."""


class RoundRobin:
    """As `openppu.common.choose.RoundRobin`.

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.last = width - 1

    def pick(self, wants: Iterable[int]) -> int:
        """Of those that want, of which there are some, the one whose turn it is; it is served."""
        last, width = self.last, self.width
        self.last = min(wants, key=lambda number: (number - last - 1) % width)
        return self.last


class Packets:
    """As `openppu.noc.turns.Turns`: packets of several streams, one after the other.

    Parameters
    ----------
    count : int
        Streams.
    whole : bool
        Packets come whole, even if their next flit is late.
    """

    __slots__ = ("_current", "_turns", "_under_way", "whole")

    def __init__(self, count: int, *, whole: bool) -> None:
        self.whole = whole
        self._turns = RoundRobin(count)
        self._under_way = False
        self._current = 0

    def choose(self, offers: Collection[int]) -> int:
        """Which of the streams that offer a flit, of which there are some, has its turn; -1 if one that offers none."""
        if self._under_way and self._current in offers:
            return self._current
        if self._under_way and self.whole:
            return -1
        self._current = self._turns.pick(offers)
        return self._current

    def settle(self, *, over: bool) -> None:
        """The flit of the chosen stream is not, or is, the last of its packet, and is taken (``over``)."""
        self._under_way = not over


class Ask:
    """A port of a scratchpad: the request that comes next."""

    __slots__ = ("at", "bank", "given", "merges")

    def __init__(self, given: Callable[[int], None] = lambda clock: None) -> None:
        self.at = NEVER
        """The clock from which it stands."""
        self.bank = 0
        self.merges = False
        """It writes a part of a code word."""
        self.given = given
        """Called with the clock in which it is taken; says what comes next in ``at`` and the rest."""


class Turns:
    """As `openppu_sim.cycles.scratchpad.Scratchpad`, for asks of which most cycles have none.

    Parameters
    ----------
    banks : int
    asks : sequence of Ask
        One a port.
    begin : int
        The first clock in which something is taken.
    """

    def __init__(self, banks: int, asks: Sequence[Ask], *, begin: int = 0) -> None:
        self.asks = list(asks)
        self._last = [len(self.asks) - 1] * banks
        self._free_at = [begin] * banks

    @property
    def next(self) -> int:
        """The first clock from which a request stands, as far as is known."""
        return min(ask.at for ask in self.asks)

    def step(self, clock: int) -> list[Ask]:
        """The requests that are taken in a clock."""
        free_at, last, ports = self._free_at, self._last, len(self.asks)
        chosen: dict[int, int] = {}
        for port, ask in enumerate(self.asks):
            bank = ask.bank
            if ask.at > clock or free_at[bank] > clock:
                continue
            other = chosen.get(bank)
            if other is None or (port - last[bank] - 1) % ports < (other - last[bank] - 1) % ports:
                chosen[bank] = port
        taken = []
        for bank, port in chosen.items():
            ask = self.asks[port]
            last[bank] = port
            free_at[bank] = clock + (MERGE_CYCLES if ask.merges else 1)
            taken.append(ask)
        for ask in taken:
            ask.at = NEVER
            ask.given(clock)
        return taken
