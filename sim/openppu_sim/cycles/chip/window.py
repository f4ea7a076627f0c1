"""The host's window to a chip's memory, as `openppu.hbm.axi.AxiPort` serves it: a burst at a time."""

from collections import deque
from dataclasses import dataclass

from openppu.hbm.axi_writes import PIECES, WORDS
from openppu.hbm.config import GRANULE

from openppu_sim.cycles.chip.network import Initiator

REQUEST = 2
"""Clocks from a read's address, or a piece's last beat, to its request."""

BEAT = 1
"""From a write's address to its first beat."""

WORD = 2
"""From a beat to the first clock in which it can go as a word."""


@dataclass
class _Piece:
    """Words of a write in one granule: they are all there behind the beat of number ``end``."""

    word: int
    count: int
    masked: bool
    end: int


class WindowWrite:
    """A burst that writes: each piece of it is requested once its words have come.

    Parameters
    ----------
    window : Initiator
    word, words : int
        The first, and how many.
    ragged : (bool, bool)
        Bytes of the first, of the last are not written.
    """

    def __init__(self, window: Initiator, word: int, words: int, ragged: tuple[bool, bool]) -> None:
        self.window, self.events = window, window.network.events
        self.words = words
        self.over: int | None = None
        """The clock of its last acknowledge, once that is known."""
        self.pieces: deque[_Piece] = deque()
        at, end = word, word + words
        while at < end:
            after = min(end, (at // GRANULE + 1) * GRANULE)
            masked = (at == word and ragged[0]) or (after == end and ragged[1])
            self.pieces.append(_Piece(at, after - at, masked, after - word))
            at = after
        self._beats: deque[int] = deque()
        """The clocks of those whose words have not gone."""
        self._come = 0
        self._complete: deque[int] = deque()
        """The clocks in which pieces that are not requested were complete."""
        self._ends = {piece.end for piece in self.pieces}
        self._left = len(self.pieces)
        self._offered_at: int | None = None
        self.events.at(self.events.now + BEAT, self._cycle)

    def _cycle(self) -> None:
        now, window = self.events.now, self.window
        pieces, words = len(self._complete), len(self._beats)
        if self._offered_at is not None and self._offered_at <= now and window.free:
            piece = self.pieces.popleft()
            self._offered_at = None
            window.ask(piece.word, piece.count, self._told, write=True, masked=piece.masked)
        if self._offered_at is None and self._complete and self._complete[0] < now:
            self._complete.popleft()
            self._offered_at = now + 1
        if self._beats and self._beats[0] + WORD <= now and window.word_free:
            self._beats.popleft()
            window.give()
        if self._come < self.words and words < WORDS and (self._come + 1 not in self._ends or pieces < PIECES):
            self._come += 1
            self._beats.append(now)
            if self._come in self._ends:
                self._complete.append(now)
        if self._beats or self._come < self.words or self.pieces:
            self.events.at(now + 1, self._cycle)

    def _told(self, clock: int, _: int) -> None:
        self._left -= 1
        if not self._left:
            self.over = clock


class WindowRead:
    """A burst that reads: one request.

    Parameters
    ----------
    window : Initiator
    word, words : int
    """

    def __init__(self, window: Initiator, word: int, words: int) -> None:
        self.window, self.events = window, window.network.events
        self.word, self.words, self._left = word, words, words
        self.over: int | None = None
        """The clock behind its last word's, once that is known."""
        self.events.at(self.events.now + REQUEST, self._begin)

    def _begin(self) -> None:
        if not self.window.free:
            self.events.at(self.events.now + 1, self._begin)
            return
        self.window.ask(self.word, self.words, self._told, write=False)

    def _told(self, clock: int, words: int) -> None:
        self._left -= words
        if not self._left:
            self.over = clock + words
