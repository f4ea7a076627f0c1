"""The tile's counters: cycles by cause, and what was taken and given."""

from openppu.common.counters import counters_layout
from openppu.tile.command import Cause

EVENTS = ("commands", "refused", "results")
"""Commands run, commands refused, results taken. Rows issued are the cycles of ``compute``."""

COUNTERS = counters_layout(Cause, EVENTS)
