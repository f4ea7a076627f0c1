"""Where the cycles of a matmul engine's tile went: the causes of ``docs/tile.md``, from the clocks of its events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openppu_sim.cycles.account import Account, Span
from openppu_sim.cycles.lines import KEPT, Line, Process
from openppu_sim.cycles.tile import Cause
from openppu_sim.cycles.turns import NEVER

if TYPE_CHECKING:
    from openppu_sim.cycles.matmul_ports import MatmulPorts


@dataclass(slots=True)
class Issued:
    """A row: how many results come of those before it, and when the others have come back; when its command came, when
    the tile asked for it; from when on it has its activations, its block's weights, its addend, its accumulator; when
    it was issued."""

    results: int
    back: int
    come: int = NEVER
    asked: int = NEVER
    there: int = NEVER
    loaded: int = NEVER
    addend: int = NEVER
    free: int = NEVER
    issued: int = NEVER


class TileAccount:
    """Goes through the rows of an engine, as far as they are known.

    Parameters
    ----------
    engine : MatmulPorts
    begin : int
        The first cycle.
    now : callable
        As of `Account`.
    """

    def __init__(self, engine: "MatmulPorts", *, begin: int, now: Callable[[], int]) -> None:
        self.engine = engine
        self.account = Account(Cause, Cause.IDLE, begin=begin, now=now)
        self._number = self._held = 0
        engine.processes.begin(self._process())

    def counts(self, now: int) -> dict[str, int]:
        """Cycles by cause, before cycle ``now``, and events."""
        engine = self.engine
        return self._known().counts(now) | {
            "commands": _before(engine.runs, now, lambda work: work.go),
            "refused": 0,
            "results": _before(engine.handed, now, int),
        }

    def watch(self, since: int | None) -> None:
        """As of `Account.watch`."""
        self.account.watch(since)

    def spans(self, now: int) -> list[Span]:
        """As of `Account.spans`."""
        return self._known().spans(now)

    def _known(self) -> Account:
        """The account with what is known of the row that comes next."""
        found, engine, held = self.account.copy(), self.engine, self._held
        for number in range(self._number, engine.issued.count):
            self._add(found, engine.issued[number])
        self._add(found, engine.coming())
        self._held = held
        return found

    def _process(self) -> Process:
        engine = self.engine
        while True:
            while engine.issued.count <= self._number:
                yield engine.issued
            row: Issued = engine.issued[self._number]
            if row.come > self.account.end:
                while engine.handed.count < row.results:
                    yield engine.handed
            self._add(self.account, row)
            self._number += 1

    def _add(self, account: Account, row: Issued) -> None:
        if row.come > account.end:
            account.add(Cause.DRAIN, min(self._drained(row), row.come))
            account.add(Cause.IDLE, row.come)
        account.add(Cause.FILL, row.asked + 1)
        account.add(Cause.ACTIVATIONS, row.there)
        account.add(Cause.WEIGHTS, row.loaded)
        account.add(Cause.ADDENDS, row.addend)
        if row.free > account.end:
            self._busy(account, row.free)
        account.add(Cause.COMPUTE, row.issued + 1)

    def _drained(self, row: Issued) -> int:
        """From when on nothing of those before it is in the accumulators, or waits."""
        handed = self.engine.handed
        if handed.count < row.results:
            return NEVER
        return max(row.back, handed[row.results - 1] + 1 if row.results else 0)

    def _busy(self, account: Account, until: int) -> None:
        """The row's accumulator is busy: is a result held by its taker meanwhile?"""
        drained, handed = self.engine.drained, self.engine.handed
        number = max(self._held, drained.count - KEPT)
        while number < drained.count:
            begin, end = drained[number] + 1, handed[number] if number < handed.count else NEVER
            if begin >= until:
                break
            if end > account.end:
                account.add(Cause.DEPENDENCE, min(begin, until))
                account.add(Cause.OUTPUT, min(end, until))
            if end >= until:
                break
            number += 1
        self._held = number
        account.add(Cause.DEPENDENCE, until)


def _before(line: Line, now: int, clock_of: Callable[[Any], int]) -> int:
    """How many of a line's items come before cycle ``now``; those known already that do not are the last ones."""
    count = line.count
    while count and clock_of(line[count - 1]) >= now:
        count -= 1
    return count
