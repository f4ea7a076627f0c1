"""The cycles of the matmul engine, row by row: the timing rules of ``docs/matmul.md``.

Every event happens in the first cycle that the rules allow, and in a fixed order, so its cycle is the maximum of a few
earlier ones plus constants. Exact for streams and ports that are always ready (a scratchpad without conflicts), with
`tile.outstanding` of 4 or more and a scratchpad that answers within 15 cycles. As soon as a K block of a command leaves
things as it found them, all but the last are taken in one step. `openppu_sim.cycles.matmul_ports` has the engine on a
scratchpad that others use, too.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from openppu.config import ChipConfig
from openppu.matmul.convert import Convert
from openppu.matmul.sizes import Sizes

from openppu_sim.lowering.matmul import Addend, MatmulCommand, Result

CHECK = 8
"""Cycles from a command that is taken to its dispatch."""
NESTS = 2
ADDENDS = 16
LEAST_ROWS, BLOCKS = 32, 4


@dataclass(frozen=True, kw_only=True)
class EngineReport:
    """When commands begin and end.

    Parameters
    ----------
    taken, finished : tuple of int
        The cycle of each command's handshakes; the first is taken in cycle 0.
    rows : int
        Activation rows issued: cycles of the tile that did something.
    bound : int
        Sum over all blocks of max(m, R): what the tile could do it in.
    """

    taken: tuple[int, ...]
    finished: tuple[int, ...]
    rows: int
    bound: int

    @property
    def cycles(self) -> int:
        """From the first command taken to the last one finished, both included."""
        return self.finished[-1] + 1 if self.finished else 0


def predict(
    commands: Iterable[tuple[MatmulCommand, bool]], chip: ChipConfig, *, scratchpad_latency: int = 4
) -> EngineReport:
    """Predict the cycles of commands that are offered back to back.

    Parameters
    ----------
    commands : iterable of (MatmulCommand, bool)
        Each with whether it is refused.
    chip : ChipConfig
    scratchpad_latency : int
        Cycles from a read to its result.
    """
    engine = EngineCycles(chip, scratchpad_latency)
    for command, refused in commands:
        engine.run(command, refused)
    return EngineReport(
        taken=tuple(engine.taken), finished=tuple(engine.finished), rows=engine.tile.rows, bound=engine.bound
    )


class _Nests:
    """A queue of nests and the walk behind it."""

    def __init__(self) -> None:
        self.pops: deque[int] = deque([-1] * NESTS, maxlen=NESTS)
        self.last_step = -1

    def room(self) -> int:
        """First cycle in which another nest can be put."""
        return self.pops[0] + 1

    def begin(self, dispatched: int) -> int:
        """Take a nest; the cycle of its first step."""
        popped = max(dispatched + 1, self.last_step)
        self.pops.append(popped)
        return popped + 1


class _Operand:
    """Fetch, ring and offer of one operand's rows."""

    def __init__(self, side: int, latency: int, outstanding: int) -> None:
        self.nests = _Nests()
        self.side, self.latency = side, latency
        self.rows = max(LEAST_ROWS, BLOCKS * side)
        self.used = self.released = 0
        self.releases: deque[tuple[int, int]] = deque()
        self.offered = self.taken = -1
        # The tile's own requests, which are answered long before they are needed.
        self.asked = -1
        self.tile_pops: deque[int] = deque([-1] * NESTS, maxlen=NESTS)
        self.consumed: deque[int] = deque([-1] * outstanding, maxlen=outstanding)
        self.earliest = 0

    def begin(self, dispatched: int) -> None:
        self.earliest = self.nests.begin(dispatched)
        popped = max(dispatched + 1, self.asked)
        self.tile_pops.append(popped)
        self.asked = popped

    def room(self) -> int:
        return max(self.nests.room(), self.tile_pops[0] + 1)

    def _request(self, until: int) -> int:
        """A read once ``until`` rows have been given back."""
        cycle = max(self.earliest, self.nests.last_step + 1)
        while self.released < until:
            self.released, when = self.releases.popleft()
            cycle = max(cycle, when)
        self.nests.last_step = cycle
        return cycle

    def plain(self) -> int:
        """Fetch a row; the cycle from which it can be read in the ring."""
        cycle = self._request(self.used + 1 - self.rows)
        self.used += 1
        return cycle + self.latency + 2

    def block(self, rows: int) -> int:
        """Fetch a block; the cycle from which its columns can be read."""
        first = -(-self.used // self.side) * self.side
        cycle = self._request(first + self.side - self.rows)
        for _ in range(rows - 1):
            cycle = self._request(0)
        self.used = first + self.side
        return cycle + self.latency + 2

    def offer(self, readable: int, gives_back: bool) -> int:
        """Read a row or column of what has come last; the cycle from which the tile is offered it."""
        read = max(readable, self.offered - 1)
        if gives_back:
            self.releases.append((self.used, read + 1))
        self.offered = max(read + 2, self.taken + 1)
        asked = max(self.asked + 1, self.consumed[0] + 1)
        self.asked = asked
        return max(self.offered, asked + 1)

    def take(self, cycle: int) -> None:
        self.taken = cycle
        self.consumed.append(cycle)

    def state(self, now: int) -> tuple[object, ...]:
        """All that decides what comes next; cycles relative to ``now``, rows to those in use."""
        releases = tuple((until - self.used, cycle - now) for until, cycle in self.releases)
        consumed = tuple(cycle - now for cycle in self.consumed)
        times = (self.nests.last_step - now, self.offered - now, self.taken - now, self.asked - now)
        return self.used % self.side, self.used - self.released, releases, consumed, times

    def later(self, cycles: int) -> None:
        """Move all that has happened by so many cycles."""
        self.releases = deque((until, cycle + cycles) for until, cycle in self.releases)
        self.consumed = deque((cycle + cycles for cycle in self.consumed), maxlen=self.consumed.maxlen)
        self.nests.last_step += cycles
        self.offered += cycles
        self.taken += cycles
        self.asked += cycles


class _Tile:
    """Accumulators, and when rows are issued and read out."""

    def __init__(self, chip: ChipConfig) -> None:
        tile = chip.tile
        self.returned = tile.rows * tile.latency + 3
        self.readable = tile.rows * tile.latency + tile.columns + 5
        self.accumulators = tile.accumulators
        self.free = [0] * tile.accumulators
        self.last_issue = self.last_swap = self.last_read_out = -1
        self.rows = 0


class EngineCycles:
    """An engine, command by command: ``dispatched`` is the first cycle in which the next can be taken."""

    def __init__(self, chip: ChipConfig, latency: int = 4) -> None:
        self.config, self.latency = chip.tile, latency
        rows, columns = chip.tile.rows, chip.tile.columns
        self.tile = _Tile(chip)
        self.a = _Operand(rows, latency, chip.tile.outstanding)
        self.b = _Operand(max(rows, columns), latency, chip.tile.outstanding)
        self.c = _Nests()
        self.addends: deque[int] = deque([-1] * ADDENDS, maxlen=ADDENDS)
        self.convert = Convert.latency(Sizes.of(chip))
        self.pops: deque[int] = deque([-1] * chip.matmul.commands, maxlen=chip.matmul.commands)
        self.dispatched = 0
        self.taken: list[int] = []
        self.finished: list[int] = []
        self.bound = 0

    def run(self, command: MatmulCommand, refused: bool) -> None:
        """Work out a command's cycles."""
        self.taken.append(self.dispatched)
        go = max(self.dispatched + CHECK, self.pops[0] + 1)
        ends = [self.pops[-1] + 1]
        if not refused:
            go = max(go, self.a.room(), self.b.room())
            if command.addend == Addend.SCRATCHPAD:
                go = max(go, self.c.room())
            if command.after:
                go = max(go, self.pops[-1] + 1)
            ends += self._compute(command, go)
        self.dispatched = go
        popped = max(go + 1, *ends) if len(ends) > 1 else max(go + 1, ends[0])
        self.pops.append(popped)
        self.finished.append(popped + 1)

    def _compute(self, command: MatmulCommand, go: int) -> list[int]:
        """The cycles from which `Finish` knows each thing that ends."""
        rows, columns = self.config.rows, self.config.columns
        m, k_blocks, n_blocks = command.m, -(-command.k // rows), -(-command.n // columns)
        k_last = command.k - (k_blocks - 1) * rows
        n_last = command.n - (n_blocks - 1) * columns
        adds = command.addend == Addend.SCRATCHPAD
        writes = command.result != Result.NONE
        a, b, tile = self.a, self.b, self.tile
        a.begin(go)
        b.begin(go)
        add_from = self.c.begin(go) if adds else 0
        self.bound += k_blocks * n_blocks * max(m, rows)
        tile.rows += k_blocks * n_blocks * m

        k_block = 0
        before: tuple[object, ...] = ()
        while k_block < k_blocks:
            started = tile.last_issue
            depth = k_last if k_block == k_blocks - 1 else rows
            self._k_block(command, depth, n_last, adds and k_block == 0, writes and k_block == k_blocks - 1, add_from)
            k_block += 1
            # K blocks but the last follow each other in the same pattern, as soon as one leaves what it found.
            if k_blocks - k_block > 2:
                state, before = before, self._state(command)
                if state == before:
                    times = k_blocks - k_block - 1
                    self._later(command, times * (tile.last_issue - started))
                    k_block += times
        ends = [a.nests.last_step + self.latency + 1, b.nests.last_step + self.latency + 1]
        if adds:
            ends.append(self.c.last_step + self.latency + 1)
        if writes:
            ends.append(tile.last_read_out + 1 + self.convert + 1 + 1)
        return ends

    def _k_block(
        self, command: MatmulCommand, depth: int, n_last: int, adds: bool, writes: bool, add_from: int
    ) -> None:
        """A turn of the outermost loop: ``depth`` rows of weights a block; it ``adds`` C, or ``writes`` results."""
        a, b, tile = self.a, self.b, self.tile
        rows, columns = self.config.rows, self.config.columns
        n_blocks = -(-command.n // columns)
        for n_block in range(n_blocks):
            # Weights: not before the block before is in use.
            readable = b.block(n_last if n_block == n_blocks - 1 else columns) if command.transpose_b else 0
            for row in range(depth):
                if not command.transpose_b:
                    readable = b.plain()
                offered = b.offer(readable, not command.transpose_b or row == depth - 1)
                b.take(max(offered, b.taken + 1, tile.last_swap if row == 0 else 0))
            loaded = b.taken + 1

            for row in range(command.m):
                if not command.transpose_a:
                    readable = a.plain()
                elif row % rows == 0:
                    readable = a.block(depth)
                ends_block = not command.transpose_a or row % rows == rows - 1 or row == command.m - 1
                issue = max(a.offer(readable, ends_block), tile.last_issue + 1, loaded)
                place = (command.accumulator + n_block * command.m + row) % tile.accumulators
                issue = max(issue, tile.free[place])
                if adds:
                    issue = max(issue, self._addend(add_from))
                    self.addends.append(issue)
                if row == 0:
                    tile.last_swap = issue
                a.take(issue)
                tile.last_issue = issue
                if writes:
                    tile.last_read_out = max(issue + tile.readable, tile.last_read_out + 1)
                    tile.free[place] = tile.last_read_out + 1
                else:
                    tile.free[place] = issue + tile.returned

    def _places(self, command: MatmulCommand) -> list[int]:
        """The command's rows of accumulators."""
        count = min(command.m * -(-command.n // self.config.columns), self.tile.accumulators)
        return [(command.accumulator + row) % self.tile.accumulators for row in range(count)]

    def _state(self, command: MatmulCommand) -> tuple[object, ...]:
        """All that decides what comes next, relative to the last issue."""
        now, tile = self.tile.last_issue, self.tile
        free = tuple(tile.free[place] - now for place in self._places(command))
        return self.a.state(now), self.b.state(now), tile.last_swap - now, free

    def _later(self, command: MatmulCommand, cycles: int) -> None:
        """Let time pass in which everything repeats."""
        self.a.later(cycles)
        self.b.later(cycles)
        self.tile.last_issue += cycles
        self.tile.last_swap += cycles
        for place in self._places(command):
            self.tile.free[place] += cycles

    def _addend(self, earliest: int) -> int:
        """Fetch a row of C; the cycle from which the tile is offered it."""
        cycle = max(earliest, self.c.last_step + 1, self.addends[0] + 1)
        self.c.last_step = cycle
        return cycle + self.latency + 1
