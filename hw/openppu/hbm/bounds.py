"""How long refreshes wait at most, whatever the requests are, and so, at which rate of refresh none comes too late.

Each number is proved of the RTL: ``docs/formal.md``. With `openppu.hbm.retry` or `openppu.hbm.hammer` at work, it takes
longer.
"""

import math
from fractions import Fraction

from openppu.hbm.device import BURST, Timing

BESIDE = (21, 17, 5, 3)
"""Clocks for which a command that takes one slot waits for the row bus at most, if after each ACT so many clocks
(0, 1, 2, 3) pass without one of the same pseudo-channel."""

ALONE = (21, 3, 2, 2)
"""Likewise, while its own pseudo-channel sends no ACT."""


def act_gap(timing: Timing) -> int:
    """Clocks after an ACT in which its pseudo-channel sends none, by tRRDS; an index of `BESIDE`."""
    return max(0, min(timing.tRRDS // 2 - 1, len(BESIDE) - 1))


def refresh_wait(timing: Timing) -> int:
    """Clocks that a refresh of one bank takes at most, from its choice to its command.

    Its bank's last data, or its row, goes first; then a PRE, on the row bus; tRP, or what is left of tRC; the distance
    from other row commands; and the row bus. The time is not counted for which the bank still refreshes (`rests`).
    """
    t, gap = timing, act_gap(timing)
    closing = _half(max(t.tRAS + 1, t.WL + BURST + t.tWR, t.tRTP))
    settled = max(closing + BESIDE[gap] + 1 + _half(t.tRP), _half(t.tRC))
    return settled + _half(max(t.tRRDS, t.tRRDL, t.tRREFD)) + ALONE[gap] + 1


def rests(timing: Timing) -> int:
    """Clocks of a round of refreshes in which it waits at most for banks that still refresh from the round before."""
    return _half(timing.tRFCSB)


def due(timing: Timing, *, banks: int, rate: Fraction | int = 1) -> int:
    """Clocks in which a refresh of one of so many banks becomes due, at ``rate`` times the refreshes of tREFI."""
    return math.floor(Fraction(timing.tREFI, 2 * banks) / rate)


def single_bank_keeps_up(timing: Timing, *, banks: int, rate: Fraction | int = 1) -> bool:
    """Whether with ``single_bank`` never more than eight tREFI are owed, whatever the requests are.

    What each refresh takes less than it may makes up for the rests of its round, and for the clock between two rounds.
    """
    return banks * (due(timing, banks=banks, rate=rate) - refresh_wait(timing)) >= rests(timing) + 1


def _half(clocks: int) -> int:
    """Controller clocks, rounded up, of so many memory clocks."""
    return (clocks + 1) // 2
