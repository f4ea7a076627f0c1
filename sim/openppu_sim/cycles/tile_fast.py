"""The tile's cycles with streams that never stall, weight block by weight block instead of cycle by cycle.

Every event of the tile (a command taken, a weight row consumed, an activation row issued, a result read out) happens
in the first cycle that the rules of ``docs/tile.md`` allow, and in a fixed order, so its cycle is the maximum of a few
earlier cycles plus constants. With free streams, answers one cycle after their requests and ``tile.outstanding`` of at
least 2, most of the rules never decide:

- After a block has waited, ``outstanding`` operands are there, and the next request is answered before they are used.
- A command is taken late only while the two before it wait in a queue for a fetcher to finish the third before it. Its
  operands are there 4 cycles after the third's last request. By then the third's last operand is used, and one of each
  of the two in the queue, unless the first has a single row and the second a single weight row.

So command j (from 0) has its first operands in cycle j + 3 after the first is taken, or they are not what it waits
for. Sequences with refused commands, or with such tiny ones, are simulated cycle by cycle. What remains:

- The last of a block's R' weight rows is consumed R' - 1 cycles after the first. The first comes after the block
  before, and not before the first activation row of the block before.
- A block's first activation row comes after its last weight row.
- An activation row comes after the row before, and R*L + 3 cycles after the last use of its accumulator row
  (R*L + C + 6 if that use was emitted).

So the rows of a block form a few runs of one row a cycle, mostly one. Within a command, K block follows K block in the
same pattern: as soon as one repeats the one before, all but the last are taken in one step.
"""

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

from openppu.config import TileConfig

from openppu_sim.cycles.tile import Cause, CycleReport, simulate
from openppu_sim.lowering.tile import TileCommand


def predict(commands: Iterable[TileCommand], config: TileConfig) -> CycleReport:
    """Predict exactly what `openppu_sim.cycles.tile.simulate` reports when no stream stalls, but for the timeline.

    Takes about 10 microseconds for each N block of a command, however many K blocks and rows it has.

    Parameters
    ----------
    commands : iterable of TileCommand
        In the order in which they are given, back to back.
    config : TileConfig
        The tile.
    """
    commands = list(commands)
    if not _is_regular(commands, config):
        return simulate(commands, config)

    array = _Array(config)
    results = fill = 0
    for index, command in enumerate(commands):
        fill += max(0, index + 2 - array.last_issue)
        array.run(command, index + 3)
        results += command.m * command.n_blocks if command.emit else 0

    rows = sum(command.rows for command in commands)
    totals = dict.fromkeys(Cause, 0) | {
        Cause.COMPUTE: rows,
        Cause.WEIGHTS: array.waits_weights,
        Cause.DEPENDENCE: array.waits_dependence,
        Cause.FILL: fill,
        Cause.DRAIN: array.last_busy - array.last_issue,
    }
    return CycleReport(
        cycles=(array.last_result if results else array.last_busy) + 1,
        busy_cycles=array.last_busy + 1,
        totals=tuple(totals.values()),
        commands=len(commands),
        refused=0,
        rows=rows,
        results=results,
    )


def _is_regular(commands: list[TileCommand], config: TileConfig) -> bool:
    """Whether no command is taken so late that it waits for its first operands, as the module's text explains."""
    if not commands or any(command.is_refused(config) for command in commands):
        return False
    return not any(one.rows == 1 and other.weight_rows(config) == 1 for one, other in pairwise(commands))


class _Array:
    """Loader, issue and accumulators: when weight blocks load and rows issue. Cycle 0 takes the first command."""

    def __init__(self, config: TileConfig) -> None:
        self.rows, self.accumulators = config.rows, config.accumulators
        self.returned = config.rows * config.latency + 3
        self.emitted = config.rows * config.latency + config.columns + 6
        # Cycles of the last activation row, the last weight row, the last block's first activation row.
        self.last_issue = self.last_load = self.last_swap = -1
        # Last cycle with a busy accumulator or a waiting result; cycle in which the last result is taken.
        self.last_busy = self.last_result = -1
        self.waits_weights = self.waits_dependence = 0
        # Rows issued one a cycle whose accumulators may be busy, oldest first: accumulator row of the first, rows,
        # cycle of the first, cycles from issue until the accumulator is free.
        self._runs: deque[tuple[int, int, int, int]] = deque()

    def run(self, command: TileCommand, earliest: int) -> None:
        """Run a command whose first operands may be there in cycle ``earliest``."""
        state: tuple[object, ...] | None = None
        figures = self._figures()
        left = command.k_blocks - 1
        while left:
            self._run_k_block(command, earliest, self.rows, self.returned)
            left -= 1
            figures_before, figures = figures, self._figures()
            state_before, state = state, self._state()
            if state == state_before:
                self._repeat(left, figures_before)
                left = 0
        delay = self.emitted if command.emit else self.returned
        self._run_k_block(command, earliest, command.k_last, delay)
        # An emitted row is free when its result is taken, the others a cycle after they were last busy.
        if command.emit:
            self.last_result = self.last_issue + delay
        self.last_busy = max(self.last_busy, self.last_issue + delay - (not command.emit))

    def _run_k_block(self, command: TileCommand, earliest: int, weight_rows: int, delay: int) -> None:
        """Load and issue one K block: all its N blocks."""
        base = command.accumulator
        for _ in range(command.n_blocks):
            self.last_load = max(self.last_load + 1, self.last_swap, earliest) + weight_rows - 1
            ready = max(self.last_issue + 1, earliest)
            loaded = max(ready, self.last_load + 1)
            self.waits_weights += loaded - ready
            self.last_swap = self._issue(base, min(command.m, self.accumulators), loaded, delay)
            for done in range(self.accumulators, command.m, self.accumulators):
                self._issue(base, min(command.m - done, self.accumulators), self.last_issue + 1, delay)
            base += command.m

    def _issue(self, base: int, count: int, ready: int, delay: int) -> int:
        """Issue rows to the accumulators from ``base`` on, and return the cycle of the first.

        ``count``: rows, at most one an accumulator. ``ready``: the first row issues in this cycle or later. ``delay``:
        cycles from issue until an accumulator is free.
        """
        runs, accumulators = self._runs, self.accumulators
        while runs and runs[0][1] + runs[0][2] - 1 + self.emitted <= ready:
            runs.popleft()

        # bounds[row] = cycle means that row + i issues in cycle + i or later.
        bounds = {0: ready}
        for run_base, run_count, run_start, run_delay in runs:
            row = (run_base - base) % accumulators
            cycle = run_start + run_delay
            if row < count and cycle - row > ready:
                bounds[row] = max(cycle, bounds.get(row, 0))
            wrapped = accumulators - row
            if run_count > wrapped:
                bounds[0] = max(cycle + wrapped, bounds[0])

        row, cycle = 0, bounds[0]
        for next_row, next_cycle in sorted(bounds.items()):
            if next_cycle - next_row > cycle - row:
                runs.append(((base + row) % accumulators, next_row - row, cycle, delay))
                row, cycle = next_row, next_cycle
        runs.append(((base + row) % accumulators, count - row, cycle, delay))
        self.last_issue = cycle + count - row - 1
        self.waits_dependence += self.last_issue - (ready + count - 1)
        return bounds[0]

    def _figures(self) -> tuple[int, int, int]:
        return self.last_issue, self.waits_weights, self.waits_dependence

    def _state(self) -> tuple[object, ...]:
        """All that decides what comes next, relative to the last issue."""
        now = self.last_issue
        runs = [(base, count, start - now, delay) for base, count, start, delay in self._runs]
        return self.last_load - now, self.last_swap - now, runs

    def _repeat(self, times: int, before: tuple[int, int, int]) -> None:
        """Go through ``times`` more K blocks like the last, which began with the figures ``before``."""
        changes = (now - then for now, then in zip(self._figures(), before, strict=True))
        cycles, weights, dependence = (times * change for change in changes)
        self.last_issue += cycles
        self.last_load += cycles
        self.last_swap += cycles
        self.waits_weights += weights
        self.waits_dependence += dependence
        self._runs = deque((base, count, start + cycles, delay) for base, count, start, delay in self._runs)
