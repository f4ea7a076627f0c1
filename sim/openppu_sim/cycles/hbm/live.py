"""A channel that is asked while it runs, by whatever else runs at the same time."""

from collections import deque
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.accounts import Accounts
from openppu_sim.cycles.hbm.address import LOWER, split
from openppu_sim.cycles.hbm.channel import step
from openppu_sim.cycles.hbm.policy import Policy
from openppu_sim.cycles.hbm.port import Crossbar, Port
from openppu_sim.cycles.hbm.pseudo_channel import PseudoChannel
from openppu_sim.cycles.hbm.requests import Piece
from openppu_sim.cycles.hbm.row_bus import PCS, RowBus

At = Callable[[int, Callable[[], None]], None]
"""Does something in a clock."""


ENABLED = 1
"""The clock in which the device takes commands; the bank that is refreshed first was chosen before."""


class LivePiece(Piece):
    """A piece, and whom to tell: of a read the clock behind which its words come, of a write that in which it is in.

    ``next`` is called in the clock from which the port can take another. ``comes`` is called in the clock behind
    which a read's words could come, and calls what it is given, in the same clock, with the clocks that they wait.
    """

    __slots__ = ("comes", "next", "taken_at", "tell")
    comes: Callable[[Callable[[int], None]], None]
    next: Callable[[], None]
    taken_at: int
    tell: Callable[[int], None]


class _LivePort(Port):
    def __init__(self, config: ChannelConfig, policy: Policy, at: At) -> None:
        super().__init__(config, [], [], entries=policy.port_entries)
        self.at = at
        self.owed: deque[LivePiece] = deque()
        """Writes that are not acknowledged: that comes in their order, one a clock."""
        self.acknowledged = -1

    def answered(self, piece: Piece, start: int) -> None:
        assert isinstance(piece, LivePiece)
        piece.comes(lambda late: self._comes(piece, start, late))

    def _comes(self, piece: LivePiece, start: int, late: int) -> None:
        """The first word of a piece waits, and those behind it with it."""
        end = self.responding_until = start + late + piece.words
        if piece.words > 1:
            free, pc = self.freed.pop()
            self.freed.append((free + late, pc))
        if self.unanswered:
            self.at(end, lambda: self.respond(end))
        piece.tell(start + late)

    def handed_on(self, piece: Piece, clock: int) -> None:
        assert isinstance(piece, LivePiece)
        piece.next()

    def taken(self, piece: Piece, clock: int) -> None:
        assert isinstance(piece, LivePiece)
        if not piece.write:
            return
        piece.taken_at = clock
        while self.owed and self.owed[0].taken_at >= 0:
            self.acknowledged = max(clock, self.acknowledged + 1)
            self.owed.popleft().tell(self.acknowledged)


class LiveChannel:
    """As `openppu_sim.cycles.hbm.channel.run_channel`, but a request may come in any clock.

    Parameters
    ----------
    config : ChannelConfig
    settings : Settings
    at : function of a clock and a function
        Has the second one called in that clock.
    """

    def __init__(self, config: ChannelConfig, settings: Settings, at: At) -> None:
        policy = Policy()
        self.config, self.settings, self.at = config, settings, at
        self.ports = [_LivePort(config, policy, at) for _ in range(config.ports)]
        self.pcs = [PseudoChannel(config, settings, policy, index=index, returned=self._returned) for index in PCS]
        for pc in self.pcs:
            pc.refresher.begin = ENABLED
        self.crossbars = [Crossbar(list(self.ports), index) for index in PCS]
        self.bus = RowBus(policy.patience)
        self.due = -1
        self.count = 0
        self.counted = [Accounts(), Accounts()]
        """Of each pseudo-channel; see `freeze`."""
        self._taken = [Accounts(), Accounts()]
        self._wake(0)

    def freeze(self, clock: int) -> None:
        """Take the counters: ``counted`` is then what was counted between the last two times, as far as it is known."""
        for place, pc in enumerate(self.pcs):
            now = pc.accounts.copy()
            now.clocks = clock
            now.idle["no_request"] += clock - sum(now.idle.values()) - now.accesses
            self.counted[place] = now.since(self._taken[place])
            self._taken[place] = now

    def ask(
        self,
        clock: int,
        port: int,
        tag: int,
        word: int,
        words: int,
        tell: Callable[[int], None],
        taken: Callable[[], None],
        comes: Callable[[Callable[[int], None]], None],
        *,
        write: bool,
        masked: bool = False,
    ) -> None:
        """A request in one granule is at a port in this clock.

        Parameters
        ----------
        word, words : int
            The first, in the channel, and how many.
        tell : function
            As of `LivePiece`.
        taken : function
            Called in the clock in which the port is done with it: another one may follow it then.
        comes : function
            As of `LivePiece`.
        masked : bool
            Some byte of a write is not to be written.
        """
        pc, bank, row = self._place(word // GRANULE)
        masked = masked and self.config.ecc != "none"
        self.count += 1
        piece = LivePiece(self.count, write, pc, bank, row, word >> LOWER, words, masked, True)
        piece.port, piece.tag, piece.taken_at = port, tag % self.config.tags, -1
        piece.tell, piece.next, piece.comes = tell, taken, comes
        at = self.ports[port]
        if write:
            at.owed.append(piece)
        assert at.arrivals is not None
        if at.next == len(at.pieces):
            at.pieces.clear()
            at.arrivals.clear()
            at.offered.clear()
            at.next = 0
        at.pieces.append(piece)
        at.arrivals.append(clock)
        at.wake = min(at.wake, clock)
        self._wake(clock)

    def _place(self, granule: int) -> tuple[int, int, int]:
        return place_of(granule, self.config, self.settings)

    def _returned(self, piece: Piece, ready_at: int) -> None:
        piece.ready_at = ready_at
        port = self.ports[piece.port]
        self.at(ready_at, lambda: port.respond(ready_at))

    def _wake(self, clock: int) -> None:
        if self.due < 0 or clock < self.due:
            self.due = clock
            self.at(clock, lambda: self._step(clock))

    def _step(self, clock: int) -> None:
        if clock != self.due:
            return  # another one came before
        step(clock, self.pcs, self.crossbars, self.bus)
        for port in self.ports:
            if port.wake <= clock:
                port.step(clock)
                for pc, waiting in zip(self.pcs, port.waiting, strict=True):
                    if waiting:
                        pc.wake = min(pc.wake, clock + 1)
        self.due = -1
        self._wake(max(clock + 1, min(*(pc.wake for pc in self.pcs), *(port.wake for port in self.ports))))


@lru_cache(maxsize=1 << 16)
def place_of(granule: int, config: ChannelConfig, settings: Settings) -> tuple[int, int, int]:
    """Pseudo-channel, bank and row of a granule of a channel."""
    places = split(np.array([granule * GRANULE]), config, settings)
    return int(places.pc[0]), int(places.bank[0]), int(places.row[0])
