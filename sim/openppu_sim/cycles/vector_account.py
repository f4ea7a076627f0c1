"""Where the vector unit's cycles went: the causes of ``docs/vector.md``."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from openppu.vector.cause import Cause

from openppu_sim.cycles.account import Account

BEGINS = 0
"""Cycles from the one in which streams begin to the first that is the run's."""

STOPS = 2
"""Cycles from the one in which the program's end finds all done to the first that is not the run's."""


class VectorAccount(Account):
    """An account of commands, and of the rows of runs.

    Parameters
    ----------
    begin : int
        The first cycle.
    now : callable
        As of `Account`.
    """

    def __init__(self, *, begin: int, now: Callable[[], int]) -> None:
        super().__init__(Cause, Cause.IDLE, begin=begin, now=now)

    def begin(self, clock: int) -> None:
        """A command is taken."""
        self.add(Cause.IDLE, clock)
        self.current = Cause.COMMAND

    def end_command(self, clock: int) -> None:
        """Its end is taken."""
        self.add(Cause.COMMAND, clock + 1)
        self.current = Cause.IDLE

    def begin_run(self, clock: int) -> None:
        """The streams of a run begin."""
        self.add(Cause.COMMAND, clock + BEGINS)
        self.current = Cause.SEQUENCE

    def end_run(self, clock: int) -> None:
        """The program's end finds all done."""
        self.add(Cause.SEQUENCE, clock + STOPS)
        self.current = Cause.COMMAND

    def rows(self, times: NDArray[np.int64]) -> None:
        """Rows are issued, each as soon as what it reads is written."""
        self.add(Cause.DEPENDENCE, int(times[0]))
        for place in np.flatnonzero(np.diff(times) > 1):
            self.add(Cause.COMPUTE, int(times[place]) + 1)
            self.add(Cause.DEPENDENCE, int(times[place + 1]))
        self.add(Cause.COMPUTE, int(times[-1]) + 1)
