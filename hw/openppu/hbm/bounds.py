"""How long refreshes and entries wait at most, whatever the requests are, and at which rate no refresh is too late.

``docs/formal.md`` says what of this is proved of the RTL. With `openppu.hbm.retry` or `openppu.hbm.hammer` at work, it
takes longer.
"""

import math
from fractions import Fraction

from openppu.hbm.config import GRANULE
from openppu.hbm.device import BURST, Timing
from openppu.hbm.direction import TURN
from openppu.hbm.refresh import LIMIT

BESIDE = (21, 17, 5, 3)
"""Clocks for which a command that takes one slot waits for the row bus at most, if after each ACT so many clocks
(0, 1, 2, 3) pass without one of the same pseudo-channel."""

ALONE = (21, 3, 2, 2)
"""Likewise, while its own pseudo-channel sends no ACT."""

ACT = 8
"""Clocks for which an ACT waits for the row bus at most."""


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


def refresh_disturbs(timing: Timing) -> int:
    """Clocks for which a refresh of one bank keeps off the commands of an entry of another one at most.

    It could go, or the PRE before it could, and both need the row bus; and after each, tRREFD and the bus.
    """
    t, gap = timing, act_gap(timing)
    could_go = BESIDE[gap] + 1 + _half(max(t.tRRDS, t.tRRDL, t.tRREFD)) + ALONE[gap] + 1
    return could_go + 2 * _after_refresh(timing)


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


def all_banks_wait(timing: Timing) -> int:
    """Clocks that a REF takes at most, from when its banks are to close: rows and the last REF; PREA; tRP, tRC."""
    t, alone = timing, ALONE[act_gap(timing)] + 1
    access = max(t.WL + BURST + t.tWR, t.tRTP)
    closing = max(_half(max(t.tRAS + 1, access)), _half(t.tRFC))
    return closing + alone + _half(max(t.tRC, access + t.tRP)) + alone


def all_banks_keep_up(timing: Timing, *, banks: int, rate: Fraction | int = 1) -> bool:
    """Whether with ``all_bank`` never more than eight tREFI are owed, whatever the requests are."""
    return all_banks_wait(timing) <= (banks - 2) * due(timing, banks=banks, rate=rate)


def open_wait(timing: Timing) -> int:
    """Clocks until an access of the oldest entry whose row is open, if it is aged, its direction the target."""
    t = timing
    turn = max(t.WL + BURST + t.tWTRL, t.tRTW)
    return 1 + max(_half(max(t.tRCDRD, t.tRCDWR) + 1), _half(turn)) + _half(max(t.tCCDL, t.tCCDR)) + 1


def oldest_wait(timing: Timing) -> int:
    """Clocks until an access of the oldest entry, if it is aged and its direction the target; without refreshes.

    Another row of its bank is closed, its own opened; others' ACTs and accesses keep it off for their distances alone.
    """
    t = timing
    access = max(t.WL + BURST + t.tWR, t.tRTP)
    closing = _half(max(t.tRAS + 1, access)) + BESIDE[act_gap(t)] + 1
    opening = _half(max(t.tRC, access + t.tRP)) + _half(t.tRRDL) + _half(max(t.tRRDS, t.tFAW, t.tRREFD)) + ACT + 1
    return closing + opening + open_wait(t)


def next_wait(timing: Timing) -> int:
    """Clocks from an access of such an entry to its next one."""
    return _half(max(timing.tCCDL, timing.tCCDR)) + 1


def served_wait(timing: Timing) -> int:
    """Clocks until such an entry has had all its accesses, eight at most."""
    return oldest_wait(timing) + (GRANULE - 1) * next_wait(timing)


def entry_wait(timing: Timing, *, entries: int, age_limit: int) -> int:
    """Clocks that an entry waits at most in a queue, with so many ``entries`` up to it; without refreshes.

    When it has waited for ``age_limit``, all before it have, too. Then the other direction may be the target until
    `TURN` + 1 of its oldest entries have gone, each of which ages and is served with all its accesses; then `TURN` of
    its own direction are served, or all up to it; and so on.

    Its data is there, and that of those before it: a write with old bytes to merge waits besides for its read, which
    is an entry of the reads; and what waits for such a write is not counted.
    """
    served = served_wait(timing)
    turns = -(-entries // TURN)
    return age_limit + turns * ((TURN + 1) * (age_limit + served) + 1) + entries * served


def entry_wait_beside_refreshes(
    timing: Timing, *, entries: int, age_limit: int, banks: int, all_banks: bool = False, rate: Fraction | int = 1
) -> int | None:
    """`entry_wait`, and what refreshes add: of one of so many ``banks``, or of all, at ``rate`` times those of tREFI.

    In so many clocks no more of them are sent than become due, and the eight tREFI that may be owed. Each of one bank
    keeps entries of others off for `refresh_disturbs`. An oldest entry whose own bank is refreshed begins anew; that
    happens twice to each of them, and beyond that no more often than rounds pass. A REF makes any begin anew.

    Returns
    -------
    int or None
        None if more may be owed, or refreshes could take all the time.
    """
    turns = -(-entries // TURN)
    oldest = turns * (TURN + 1) + entries
    calm = entry_wait(timing, entries=entries, age_limit=age_limit)
    if all_banks:
        keeps_up = all_banks_keep_up(timing, banks=banks, rate=rate)
        anew = all_banks_wait(timing) + _half(timing.tRFC) + oldest_wait(timing)
        share = anew / (Fraction(timing.tREFI, 2) / rate)
        once = (LIMIT + 2) * anew
    else:
        keeps_up = single_bank_keeps_up(timing, banks=banks, rate=rate)
        disturbs, often = refresh_disturbs(timing), due(timing, banks=banks, rate=rate)
        anew = refresh_wait(timing) + rests(timing) + _after_refresh(timing) + oldest_wait(timing)
        share = Fraction(disturbs, often) + Fraction(anew, banks * often)
        once = (LIMIT * banks + 2) * disturbs + (2 * oldest + LIMIT + 1) * anew
    return math.ceil((calm + once) / (1 - share)) if keeps_up and share < 1 else None


def _after_refresh(timing: Timing) -> int:
    """Clocks after a refresh in which an entry's command may wait for the same things again."""
    return _half(timing.tRREFD) + max(ACT, BESIDE[act_gap(timing)]) + 1


def _half(clocks: int) -> int:
    """Controller clocks, rounded up, of so many memory clocks."""
    return (clocks + 1) // 2
