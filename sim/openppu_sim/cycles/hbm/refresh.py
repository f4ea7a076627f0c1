"""When a pseudo-channel refreshes, and which bank."""

from collections.abc import Callable

from openppu.hbm.settings import Refresh, Settings

from openppu_sim.cycles.hbm.banks import Banks
from openppu_sim.cycles.hbm.policy import Policy

REFSB = "REFSB"
PRE = "PRE"
PREA = "PREA"
REF = "REF"

FAR = 1 << 60
"""A clock that never comes."""


class Refresher:
    """Counts what is owed, and asks for commands when they cost least; follows `openppu.hbm.refresh.RefreshTimer`.

    Attributes
    ----------
    chosen : int
        The bank to refresh next, or -1.
    closing : bool
        All banks are to be closed for a REF.
    in_vain : bool
        No bank could be chosen, and no entry has come or gone since.
    """

    def __init__(self, banks: Banks, settings: Settings, policy: Policy) -> None:
        self.banks = banks
        self.limit = policy.refresh_limit * banks.count
        self.enabled = settings.refresh_enable
        self.whole = settings.refresh == Refresh.ALL_BANK
        # Two CK a clock, a refresh of one bank each tREFI / banks.
        self.step = 2 * banks.count
        self.period = settings.timing.tREFI
        self.begin = 0
        """The clock from which refreshes become due."""
        self.paid = 0
        self.done = 0
        self.chosen = -1
        self.closing = False
        self.in_vain = self.was_urgent = False

    def debt(self, clock: int) -> int:
        """Refreshes of a bank that are owed in a clock, or if negative, done ahead."""
        return (clock - self.begin) * self.step // self.period - self.paid

    def regular(self, clock: int) -> bool:
        """Whether, with nothing else to do, each refresh that becomes due is all that will be done."""
        if not self.enabled:
            return True
        debt = self.debt(clock)
        return debt < self.banks.count and not self.closing if self.whole else debt < 2 - self.limit and self.chosen < 0

    def pass_over(self, periods: int) -> int:
        """Do what becomes due in so many tREFI; return the number of commands."""
        if not self.enabled:
            return 0
        self.paid += periods * self.banks.count
        return periods if self.whole else periods * self.banks.count

    def blocks(self, bank: int) -> bool:
        """Whether a bank gets no other command."""
        return bank == self.chosen or self.closing

    def request(self) -> tuple[str, int, int] | None:
        """The command to send next, its bank, and the CK from which on it may come."""
        b = self.banks
        if self.closing:
            still_open = [bank for bank in range(b.count) if b.row[bank] >= 0]
            if still_open:
                return PREA, 0, max(b.rest_at, *(b.pre_at[bank] for bank in still_open))
            return REF, 0, max(b.rest_at, *b.act_at)
        bank = self.chosen
        if bank < 0:
            return None
        if b.row[bank] >= 0:
            return PRE, bank, max(b.rest_at, b.pre_at[bank])
        return REFSB, bank, max(b.rest_at, b.act_at[bank], b.space_at, b.row_at[b.group[bank]])

    def holds(self, ck: int) -> bool:
        """Whether no ACT may come in the clock whose last CK this is, for the refresh could."""
        if self.closing:
            return True
        bank = self.chosen
        return bank >= 0 and self.banks.row[bank] < 0 and self.banks.act_at[bank] <= ck

    def choose(self, clock: int, *, near: Callable[[], set[int]], idle: bool, granted: str | None) -> int:
        """Decide on the next clock, after the commands of this one; return the clock to ask again at the latest.

        ``near`` gives the banks that are needed soon.
        ``granted`` is the command of `request` that was sent in this clock.
        """
        b = self.banks
        debt = self.debt(clock)
        if granted == REF:
            self.paid += b.count
            self.done = 0
            self.closing = False
        elif granted == REFSB:
            self.paid += 1
            self.done |= 1 << self.chosen
            self.chosen = -1
            if self.done == (1 << b.count) - 1:
                # The next round begins a clock later.
                self.done = 0
                return clock + 1
        if not self.enabled:
            return FAR
        if self.whole:
            if not self.closing and granted != REF:
                owed = debt if idle else debt - (self.limit - b.count) + b.count
                self.closing = owed >= b.count
                due = b.count if idle else self.limit - b.count
                return clock + 1 if self.closing else self._clock_of(due)
            return FAR if self.closing else clock + 1
        if self.chosen >= 0:
            return FAR
        resting = max(b.refreshed_until)
        refreshing = resting > 2 * clock - 1
        ahead = idle and debt - (granted == REFSB) > -self.limit and not refreshing
        if debt > (granted == REFSB) or ahead:
            urgent = 2 * debt >= self.limit
            if self.in_vain and urgent == self.was_urgent:
                return FAR if urgent else self._clock_of(self.limit // 2)
            self.chosen = self._choice(clock, near(), urgent=urgent)
            self.in_vain, self.was_urgent = self.chosen < 0, urgent
            return clock + 1 if self.chosen >= 0 else FAR
        wake = self._clock_of(1)
        if idle:
            wake = min(wake, max(self._clock_of(1 - self.limit), (resting >> 1) + 1 if refreshing else 0))
        return max(wake, clock + 1)

    def _clock_of(self, debt: int) -> int:
        """The first clock at which so much is owed."""
        return self.begin - (-(self.paid + debt) * self.period // self.step)

    def _choice(self, clock: int, near: set[int], *, urgent: bool) -> int:
        """A bank of this round that is not needed, a closed one first; if it has to be, any of the round."""
        b = self.banks
        ck = 2 * clock + 1
        left = [bank for bank in range(b.count) if not self.done >> bank & 1]
        quiet = [bank for bank in left if bank not in near]
        for bank in quiet:
            if b.row[bank] < 0 and b.act_at[bank] <= ck:
                return bank
        if quiet:
            return quiet[0]
        return left[0] if urgent else -1
