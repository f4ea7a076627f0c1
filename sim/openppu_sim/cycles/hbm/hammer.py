"""The neighbours of rows that are activated often: when they are refreshed, and what that keeps a bank from."""

from openppu.hbm.config import ChannelConfig
from openppu.hbm.hammer_table import WORDS
from openppu.hbm.settings import Settings

from openppu_sim.cycles.hbm.banks import Banks
from openppu_sim.cycles.hbm.refresh import FAR, Refresher

WALK = 3
"""Clocks, beside the table's words, from an ACT, or the end of a row's service, until the bank is blocked or free."""


class Table:
    """The rows of a bank that are activated often; follows `openppu.hbm.hammer_table.HammerTable`, but for the clocks
    that a new window takes."""

    def __init__(self, entries: int, threshold: int) -> None:
        self.threshold = threshold
        self.rows = [-1] * entries
        self.counts = [0] * entries
        self.places: dict[int, int] = {}
        self.others = 0
        self.window = 0

    def count(self, row: int, window: int) -> int:
        """An ACT of a row, in a window of this number; the activations that are counted now."""
        if window != self.window:
            self.window = window
            self._begin()
        place = self.places.get(row, -1)
        if place < 0:
            place = next((at for at, count in enumerate(self.counts) if count <= self.others), -1)
            if place < 0:
                self.others += 1
                if self.others + 1 >= self.threshold:
                    self._begin()
                return self.others
            self.places.pop(self.rows[place], None)
            self.places[row] = place
            self.rows[place], self.counts[place] = row, self.others
        self.counts[place] += 1
        return self.counts[place]

    def forget(self, row: int) -> None:
        """A row's neighbours are refreshed: its count begins anew."""
        if row in self.places:
            self.counts[self.places[row]] = 0

    def due(self) -> int:
        """A row that has come to the threshold meanwhile, or -1."""
        return next((r for r, c in zip(self.rows, self.counts, strict=True) if c >= self.threshold), -1)

    def _begin(self) -> None:
        """A window begins."""
        self.others = 0
        self.counts = [count if count >= self.threshold else 0 for count in self.counts]


class Hammer:
    """Serves the banks whose tables have found a row, one by one; follows `openppu.hbm.hammer.Hammer`.

    Attributes
    ----------
    blocked : set of int
        Banks that get no other command.
    opens, closes : bool
        The neighbour ``row`` of the chosen ``bank`` is to be activated; a row of the bank is to be closed.
    wake : int
        The next clock in which something may change by itself.
    """

    def __init__(self, config: ChannelConfig, settings: Settings, banks: Banks, refresher: Refresher) -> None:
        self.banks = banks
        self.refresher = refresher
        self.entries = config.hammer_entries
        self.words = min(self.entries, WORDS)
        self.most_row = config.organisation.rows - 1
        self.threshold = settings.hammer_threshold
        self.window = settings.hammer_window * settings.timing.tREFI
        self.steps = 2 * settings.hammer_reach
        self.tables: dict[int, Table] = {}
        self.blocked: set[int] = set()
        self.found: dict[int, int] = {}
        self.later: list[tuple[int, int, int]] = []
        self.bank = -1
        self.row = self.aggressor = 0
        self.step = 0
        self.opens = self.closes = False
        self.last_act = 0
        self.opens_at = 0
        self.free_at = 0
        self.wake = FAR

    def activated(self, bank: int, row: int, clock: int) -> None:
        """An ACT was granted in a clock."""
        table = self.tables.get(bank)
        if table is None:
            table = self.tables[bank] = Table(self.entries, self.threshold)
        count = table.count(row, 2 * clock // self.window)
        if bank == self.bank and self.opens and row == self.row:
            self.opens = False
            self.last_act = clock
        elif count >= self.threshold and bank not in self.found and row in table.places:
            table.forget(row)
            self.found[bank] = row
            self.later.append((clock + self.words + WALK, bank, row))
            self.wake = min(self.wake, self.later[0][0])

    def advance(self, clock: int) -> None:
        """Go on to a clock."""
        while self.later and self.later[0][0] <= clock:
            _, bank, row = self.later.pop(0)
            if row < 0:
                self.blocked.discard(bank)
            else:
                self.blocked.add(bank)
                self.found[bank] = row
                self.free_at = max(self.free_at, clock + 1)
        if self.bank < 0:
            waiting = [bank for bank in self.blocked if bank in self.found]
            if waiting and clock >= self.free_at:
                self.bank = min(waiting)
                self.aggressor = self.found[self.bank]
                self.step = 0
                self._open()
                self.free_at = clock + 1
        elif not self.opens and self.banks.row[self.bank] < 0 and clock >= self.free_at:
            self.step += 1
            if self.step == self.steps:
                self._leave(clock)
            else:
                self._open()
                self.opens_at = 2 * clock + 2
            self.free_at = clock + 1
        self.wake = clock + 1 if self.blocked else self.later[0][0] if self.later else FAR

    def _open(self) -> None:
        """On to the neighbour at distance -1, 1, -2, 2."""
        distance = self.step // 2 + 1
        self.row = self.aggressor + (distance if self.step % 2 else -distance)
        self.opens = 0 <= self.row <= self.most_row
        self.closes = True

    def _leave(self, clock: int) -> None:
        """The bank is done, unless one of its rows has come to the threshold by this."""
        bank = self.bank
        table = self.tables[bank]
        del self.found[bank]
        row = table.due()
        if row >= 0:
            table.forget(row)
        # The table is searched once it has counted the last ACT.
        begins = max(clock + 1, self.last_act + self.words + WALK)
        self.later.append((begins + self.words + WALK, bank, row))
        self.bank = -1
        self.opens = self.closes = False
        self.free_at = clock + 2

    @property
    def free(self) -> bool:
        """No refresh has taken the bank."""
        return self.bank >= 0 and not self.refresher.blocks(self.bank)

    def holds(self, ck: int) -> bool:
        """Whether no other ACT may come in the clock whose last CK this is."""
        b, bank = self.banks, self.bank
        return self.opens and self.free and b.row[bank] < 0 and max(b.act_at[bank], self.opens_at) <= ck

    def act_from(self) -> int:
        """The CK from which on the bank may get its ACT, but for the rules of the pseudo-channel."""
        b = self.banks
        return max(b.act_at[self.bank], b.row_at[b.group[self.bank]])

    def close_from(self) -> int:
        """The CK from which on the bank's row may be closed; `FAR` if it is not to be."""
        b, bank = self.banks, self.bank
        return max(b.pre_at[bank], b.rest_at) if self.closes and self.free and b.row[bank] >= 0 else FAR
