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
from openppu_sim.cycles.hbm.port import RELEASE, Crossbar, Port
from openppu_sim.cycles.hbm.pseudo_channel import PseudoChannel
from openppu_sim.cycles.hbm.refresh import FAR
from openppu_sim.cycles.hbm.requests import Piece
from openppu_sim.cycles.hbm.row_bus import PCS, RowBus
from openppu_sim.cycles.hbm.write_buffer import WriteBuffer

At = Callable[[int, Callable[[], None]], None]
"""Does something in a clock."""


RESPONSE = 1
"""Clocks from a piece's turn to its first word."""

ACKNOWLEDGE = 1
"""From a pseudo-channel's taking a write to its acknowledge."""

ENABLED = 1
"""The clock in which the device takes commands; the bank that is refreshed first was chosen before."""


ACKNOWLEDGES = 8
"""Writes that a port has handed on, and whose acknowledges have not gone."""

Answer = Callable[[int, Callable[[int], None]], None]
"""Told of the clock from which a read's words, or a write's acknowledge, can go, and whom to tell when each goes."""


class LivePiece(Piece):
    """A piece, and whom to tell.

    ``next`` is called in the clock from which the port can take another.
    """

    __slots__ = ("answer", "is_taken", "left", "next")
    answer: Answer
    is_taken: bool
    left: int
    next: Callable[[], None]


class _LivePort(Port):
    def __init__(self, config: ChannelConfig, policy: Policy, number: int, buffers: list[WriteBuffer]) -> None:
        super().__init__(config, [], [], policy, number=number, buffers=buffers)
        self.owed: deque[LivePiece] = deque()
        """Writes whose acknowledges cannot go: that comes in their order."""
        self.unacknowledged = 0

    def has_room(self, piece: Piece, clock: int) -> bool:
        if piece.write and self.unacknowledged == ACKNOWLEDGES:
            self.wake = clock + 1
            return False
        return super().has_room(piece, clock)

    def words_taken(self, clock: int) -> int:
        """Words of the write that it has not handed on, up to this clock."""
        if self.came < 0 or self.last_at == FAR:
            return max(self.came, 0)
        return self.pieces[self.next].words - max(1, self.last_at - clock)

    def answered(self, piece: Piece, start: int) -> None:
        assert isinstance(piece, LivePiece)
        # Not known before its words go.
        self.responding_until = FAR
        self.freed.pop()
        piece.left = piece.words
        self._fetch(piece, start)
        piece.answer(start + RESPONSE, lambda clock: self._goes(piece, clock))

    def _fetch(self, piece: LivePiece, clock: int) -> None:
        """The next word is fetched; the last one's place is free again."""
        if piece.left == 1:
            self.freed.append((clock + RELEASE, piece.pc))

    def _goes(self, piece: LivePiece, clock: int) -> None:
        """A word goes."""
        piece.left -= 1
        self._fetch(piece, clock)
        if not piece.left:
            self.responding_until = clock
            self.respond(clock)

    def handed_on(self, piece: Piece, clock: int) -> None:
        assert isinstance(piece, LivePiece)
        self.unacknowledged += piece.write
        piece.next()

    def taken(self, piece: Piece, clock: int) -> None:
        assert isinstance(piece, LivePiece)
        piece.is_taken = True
        while self.owed and self.owed[0].is_taken:
            self.owed.popleft().answer(clock + ACKNOWLEDGE, self._acknowledges)

    def _acknowledges(self, clock: int) -> None:
        self.unacknowledged -= 1


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
        self.pcs = [PseudoChannel(config, settings, policy, index=index, returned=self._returned) for index in PCS]
        buffers = [pc.buffer for pc in self.pcs]
        self.ports = [_LivePort(config, policy, number, buffers) for number in range(config.ports)]
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
        taken: Callable[[], None],
        answer: Answer,
        *,
        write: bool,
        masked: bool = False,
    ) -> None:
        """A request in one granule is at a port in this clock.

        Parameters
        ----------
        word, words : int
            The first, in the channel, and how many.
        taken : function
            Called in the clock in which the port is done with it: another one may follow it then.
        answer : Answer
            Of a read, words go one a clock, and their clocks are told.
        masked : bool
            Some byte of a write is not to be written.
        """
        pc, bank, row = self._place(word // GRANULE)
        masked = masked and self.config.ecc != "none"
        self.count += 1
        piece = LivePiece(self.count, write, pc, bank, row, word >> LOWER, words, masked, True)
        piece.port, piece.tag, piece.is_taken = port, tag % self.config.tags, False
        piece.next, piece.answer = taken, answer
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
