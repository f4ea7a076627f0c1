"""The reads, or the writes, that wait in a pseudo-channel."""

from operator import attrgetter

from openppu_sim.cycles.hbm.requests import Piece

_AGE = attrgetter("number")


class Entry:
    """Work that waits: a piece of a request, or the old words that a masked write has to read first.

    Parameters
    ----------
    piece : Piece
    number : int
        Grows with the arrival.
    birth : int
        Clock of the arrival.
    filled, merged : bool
        Its words are in the write buffer; so are the old bytes. Ready if both.
    write : Entry, optional
        Of a read for a merge, the write that waits for it.
    """

    __slots__ = ("bank", "birth", "filled", "left", "merged", "number", "piece", "row", "write")

    def __init__(
        self, piece: Piece, number: int, birth: int, *, filled: bool, merged: bool, write: "Entry | None" = None
    ) -> None:
        self.piece = piece
        self.number = number
        self.birth = birth
        self.bank = piece.bank
        self.row = piece.row
        self.left = piece.words
        self.filled = filled
        self.merged = merged
        self.write = write


class Queue:
    """Entries in the order of their arrival, sorted by bank and by whether their row is open.

    Attributes
    ----------
    order : list of Entry
        The oldest first.
    hits, conflicts, misses : dict of int to list of Entry
        Of each bank that has any, the ready entries whose row is open; those for which another row is; those whose bank
        is closed. The oldest first.
    unready : list of Entry
        Those that wait for data.
    granules : dict of int to int
        How many entries each granule has, for those that have any.
    hit_count, ready_count : int
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.order: list[Entry] = []
        self.hits: dict[int, list[Entry]] = {}
        self.conflicts: dict[int, list[Entry]] = {}
        self.misses: dict[int, list[Entry]] = {}
        self.unready: list[Entry] = []
        self.granules: dict[int, int] = {}
        self.hit_count = 0
        self.ready_count = 0

    def join(self, entry: Entry, open_row: int) -> None:
        """Take in the youngest entry; ``open_row`` of its bank, -1 if none."""
        self.order.append(entry)
        granule = entry.piece.granule
        self.granules[granule] = self.granules.get(granule, 0) + 1
        if entry.filled and entry.merged:
            self._sort_in(entry, open_row)
        else:
            self.unready.append(entry)

    def keeps_out(self, offer: Piece) -> bool:
        """Whether an entry of this queue of writes must go before the offered piece may join."""
        if offer.granule not in self.granules:
            return False
        # Writes with nothing to merge stay in their order.
        return (
            not offer.write
            or offer.masked
            or any(not entry.merged and entry.piece.granule == offer.granule for entry in self.unready)
        )

    def ready(self, entry: Entry, open_row: int) -> None:
        """Its data is complete."""
        self.unready.remove(entry)
        self._sort_in(entry, open_row)

    def _sort_in(self, entry: Entry, open_row: int) -> None:
        self.ready_count += 1
        if open_row < 0:
            kind = self.misses
        elif entry.row == open_row:
            kind = self.hits
            self.hit_count += 1
        else:
            kind = self.conflicts
        entries = kind.setdefault(entry.bank, [])
        entries.append(entry)
        if len(entries) > 1 and entries[-2].number > entry.number:
            entries.sort(key=_AGE)

    def leave(self, entry: Entry) -> None:
        """The oldest hit of its bank is done."""
        self.order.remove(entry)
        granule = entry.piece.granule
        if self.granules[granule] == 1:
            del self.granules[granule]
        else:
            self.granules[granule] -= 1
        entries = self.hits[entry.bank]
        if len(entries) == 1:
            del self.hits[entry.bank]
        else:
            entries.pop(0)
        self.hit_count -= 1
        self.ready_count -= 1

    def opened(self, bank: int, row: int) -> None:
        """A row was opened."""
        entries = self.misses.pop(bank, None)
        if entries is None:
            return
        hits = [entry for entry in entries if entry.row == row]
        if hits:
            self.hits[bank] = hits
            self.hit_count += len(hits)
        if len(hits) < len(entries):
            self.conflicts[bank] = [entry for entry in entries if entry.row != row]

    def closed(self, bank: int) -> None:
        """The row of a bank was closed."""
        hits, conflicts = self.hits.pop(bank, None), self.conflicts.pop(bank, None)
        if hits is None:
            if conflicts is not None:
                self.misses[bank] = conflicts
            return
        self.hit_count -= len(hits)
        self.misses[bank] = hits if conflicts is None else sorted(hits + conflicts, key=_AGE)
