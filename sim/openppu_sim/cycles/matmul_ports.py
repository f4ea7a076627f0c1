"""The cycles of the matmul engine on a scratchpad that others use, too.

The rules are those of `openppu_sim.cycles.matmul_engine`, which is quicker where nobody else is. Here each part is a
process that goes on as far as is known when its requests to the scratchpad were taken.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

from openppu.config import ChipConfig
from openppu.formats.operand import FORMATS
from openppu.formats.spec import INT8
from openppu.matmul.convert import Convert
from openppu.matmul.result_store import SPARE
from openppu.matmul.sizes import Sizes, result_grain
from openppu.scratchpad.config import CODE_BYTES

from openppu_sim.cycles.lines import Process, Processes
from openppu_sim.cycles.matmul_engine import ADDENDS, BLOCKS, CHECK, LEAST_ROWS, NESTS
from openppu_sim.cycles.tile_account import Issued, TileAccount
from openppu_sim.cycles.turns import NEVER, Ask
from openppu_sim.lowering.matmul import Addend, MatmulCommand, Result

_BITS = {fmt.code: fmt.bits for fmt in (*FORMATS.values(), INT8)}


@dataclass
class _Work:
    """A command."""

    command: MatmulCommand
    refused: bool
    taken: int
    number: int
    go: int = 0


class _Port:
    """A port of the scratchpad: when its requests were taken."""

    def __init__(self, processes: Processes) -> None:
        self.taken = processes.line()
        self.ask = Ask(self.taken.put)
        self.last = -1

    def request(self, clock: int, bank: int, *, merges: bool = False) -> Process:
        """Ask from a clock on; over when it is taken."""
        count, ask = self.taken.count, self.ask
        ask.at, ask.bank, ask.merges = clock, bank, merges
        while self.taken.count == count:
            yield self.taken
        self.last = self.taken[count]


class _Operand:
    """Fetch, ring and offer of one operand's rows."""

    def __init__(self, engine: "MatmulPorts", side: int) -> None:
        self.port = _Port(engine.processes)
        self.side = side
        self.rows = max(LEAST_ROWS, BLOCKS * side)
        line = engine.processes.line
        self.nests, self.popped = line(), line()
        """Commands, and when each was begun with."""
        self.tile_popped = line()
        self.ended = line()
        """When all of a command has come."""
        self.readable = line()
        """Of rows or blocks: from when on, and how much of the ring is in use then."""
        self.reads, self.offered, self.taken = line(), line(), line()
        """When each row is read in the ring, when offered to the tile, when taken."""
        self.released = line()
        self.asked = line()
        """When the tile asks for each row, which it does ahead of them."""
        self.took = -1


class MatmulPorts:
    """An engine whose requests stand in ``asks``, those of A, B, C and D.

    Parameters
    ----------
    chip : ChipConfig
    latency : int
        Cycles from a read to its result.
    hears : bool
        An end that is told is taken at once; else in the cycle that `hear` is called with.
    begin : int
        The first cycle.
    now : callable
        As of `openppu_sim.cycles.account.Account`.

    Members
    -------
    account : TileAccount
        Where the tile's cycles went.
    asks : tuple of Ask
    dispatched : Line
        Of each command the first cycle in which the next one can be taken.
    finished : Line
        Of each command the cycle in which its end is told.
    """

    def __init__(
        self,
        chip: ChipConfig,
        latency: int = 4,
        *,
        hears: bool = True,
        begin: int = 0,
        now: Callable[[], int] = lambda: NEVER,
    ) -> None:
        self.config, self.latency, self.hears = chip.tile, latency, hears
        self.bank_bytes = chip.scratchpad.bank_words * chip.scratchpad.word_bytes
        self.processes = processes = Processes()
        tile = chip.tile
        self.side_a, self.side_b = tile.rows, max(tile.rows, tile.columns)
        self.returned = tile.rows * tile.latency + 3
        self.readable = tile.rows * tile.latency + tile.columns + 5
        self.convert = Convert.latency(Sizes.of(chip))
        self.commands = chip.matmul.commands
        line = processes.line
        self.a, self.b = _Operand(self, self.side_a), _Operand(self, self.side_b)
        self.c, self.d = _Port(processes), _Port(processes)
        self.asks = (self.a.port.ask, self.b.port.ask, self.c.ask, self.d.ask)
        self.works, self.runs, self.adding, self.writing, self.reading = line(), line(), line(), line(), line()
        self.adds_popped, self.adds_ended = line(), line()
        self.addends, self.addends_used = line(), line()
        self.swaps, self.loaded = line(), line()
        """When the tile has begun with each block, and when it has each block's weights."""
        self.results, self.drained, self.handed = line(), line(), line()
        """Of each row of results: when its last partial sum was issued, when read out, when handed on."""
        self.writes_ended = line()
        self.dispatched, self.popped, self.finished, self.heard = line(), line(), line(), line()
        self.free: list[int | None] = [0] * tile.accumulators
        self.issued = line()
        """Of each row of activations all that decided when it was issued: `Issued`."""
        self._head: Callable[..., Issued] = partial(Issued, 0, 0)
        processes.begin(self._dispatch(), self._finish(), self._add(), self._issue(), self._load())
        processes.begin(self._drain(), self._hand(), self._write())
        for operand in (self.a, self.b):
            processes.begin(self._fetch(operand), self._read(operand), self._ask(operand))
        self.account = TileAccount(self, begin=begin, now=now)
        processes.run()

    def take(self, command: MatmulCommand, refused: bool, clock: int) -> None:
        """A command is taken in a clock, not before the one before it was `dispatched`."""
        self.works.put(_Work(command, refused, clock, self.works.count))
        self.processes.run()

    def hear(self, clock: int) -> None:
        """The end that is told is taken in this cycle."""
        self.heard.put(clock)
        self.processes.run()

    def settle(self) -> None:
        """Work out what follows from the requests that were taken."""
        self.processes.run()

    def _dispatch(self) -> Process:
        runs = adds = 0
        while True:
            number = self.dispatched.count
            while self.works.count <= number:
                yield self.works
            work: _Work = self.works[number]
            go = work.taken + CHECK
            if number >= self.commands:
                while self.popped.count <= number - self.commands:
                    yield self.popped
                go = max(go, self.popped[number - self.commands] + 1)
            if not work.refused:
                if runs >= NESTS:
                    for line in (self.a.popped, self.b.popped, self.a.tile_popped, self.b.tile_popped):
                        while line.count <= runs - NESTS:
                            yield line
                        go = max(go, line[runs - NESTS] + 1)
                if work.command.addend == Addend.SCRATCHPAD:
                    if adds >= NESTS:
                        while self.adds_popped.count <= adds - NESTS:
                            yield self.adds_popped
                        go = max(go, self.adds_popped[adds - NESTS] + 1)
                    adds += 1
                if work.command.after and number:
                    while self.popped.count <= number - 1:
                        yield self.popped
                    go = max(go, self.popped[number - 1] + 1)
                runs += 1
            work.go = go
            if not work.refused:
                self.runs.put(work)
                if work.command.addend == Addend.SCRATCHPAD:
                    self.adding.put(work)
                if work.command.result != Result.NONE:
                    self.writing.put(work)
            self.reading.put(work)
            self.dispatched.put(go)

    def _finish(self) -> Process:
        runs = adds = writes = 0
        last = -1
        while True:
            number = self.finished.count
            while self.reading.count <= number:
                yield self.reading
            work: _Work = self.reading[number]
            popped = max(work.go + 1, last + 1)
            if not work.refused:
                for operand in (self.a, self.b):
                    while operand.ended.count <= runs:
                        yield operand.ended
                    popped = max(popped, operand.ended[runs])
                runs += 1
                if work.command.addend == Addend.SCRATCHPAD:
                    while self.adds_ended.count <= adds:
                        yield self.adds_ended
                    popped = max(popped, self.adds_ended[adds])
                    adds += 1
                if work.command.result != Result.NONE:
                    while self.writes_ended.count <= writes:
                        yield self.writes_ended
                    popped = max(popped, self.writes_ended[writes])
                    writes += 1
            if not self.hears and number:
                while self.heard.count <= number - 1:
                    yield self.heard
                popped = max(popped, self.heard[number - 1])
            last = popped
            self.popped.put(popped)
            self.finished.put(popped + 1)

    def coming(self) -> Issued:
        """Of the row that is issued next what is known."""
        return self._head()

    # Operands: from the scratchpad to the ring, and out of it.

    def _fetch(self, operand: _Operand) -> Process:
        port, side, latency = operand.port, operand.side, self.latency
        used = released = given = 0
        requests = self._requests_a if operand is self.a else self._requests_b
        while True:
            number = operand.ended.count
            while self.runs.count <= number:
                yield self.runs
            work: _Work = self.runs[number]
            popped = max(work.go + 1, port.last)
            operand.popped.put(popped)
            earliest = popped + 1
            for address, block, ends in requests(work.command):
                if block >= 0:  # the first of a block, or one that follows
                    if block == 0:
                        used = -(-used // side) * side + side
                else:
                    used += 1
                clock = max(earliest, port.last + 1)
                if block <= 0:
                    while released < used - operand.rows:
                        while operand.released.count <= given:
                            yield operand.released
                        released, when = operand.released[given]
                        given += 1
                        clock = max(clock, when)
                yield from port.request(clock, address // self.bank_bytes)
                if ends:
                    operand.readable.put((port.last + latency + 2, used))
            operand.ended.put(port.last + latency + 1)

    def _requests_a(self, command: MatmulCommand) -> Iterator[tuple[int, int, bool]]:
        """Of A: each word's address; its place in a block that is turned, or -1; whether it completes something."""
        rows, stride = self.config.rows, command.a_stride
        size = _BITS[command.format] // 8
        k_blocks, k_last, n_blocks, _ = self._blocks(command)
        for k, _ in product(range(k_blocks), range(n_blocks)):
            depth = k_last if k == k_blocks - 1 else rows
            if not command.transpose_a:
                base = command.a_address + k * size * rows
                for row in range(command.m):
                    yield base + row * stride, -1, True
                continue
            for block in range(-(-command.m // rows)):
                base = command.a_address + k * rows * stride + block * size * rows
                for row in range(depth):
                    yield base + row * stride, row, row == depth - 1

    def _requests_b(self, command: MatmulCommand) -> Iterator[tuple[int, int, bool]]:
        rows, columns, stride = self.config.rows, self.config.columns, command.b_stride
        size = _BITS[command.format] // 8
        k_blocks, k_last, n_blocks, n_last = self._blocks(command)
        for k, n in product(range(k_blocks), range(n_blocks)):
            if not command.transpose_b:
                base = command.b_address + k * rows * stride + n * size * columns
                for row in range(k_last if k == k_blocks - 1 else rows):
                    yield base + row * stride, -1, True
                continue
            base = command.b_address + k * size * rows + n * columns * stride
            count = n_last if n == n_blocks - 1 else columns
            for row in range(count):
                yield base + row * stride, row, row == count - 1

    def _blocks(self, command: MatmulCommand) -> tuple[int, int, int, int]:
        rows, columns = self.config.rows, self.config.columns
        k_blocks, n_blocks = -(-command.k // rows), -(-command.n // columns)
        return k_blocks, command.k - (k_blocks - 1) * rows, n_blocks, command.n - (n_blocks - 1) * columns

    def _read(self, operand: _Operand) -> Process:
        """Reads rows of the ring, each when the one before it was offered."""
        works = seen = 0
        is_a = operand is self.a
        while True:
            while self.runs.count <= works:
                yield self.runs
            command: MatmulCommand = self.runs[works].command
            works += 1
            for gives_back, fresh in self._rows_a(command) if is_a else self._rows_b(command):
                if fresh:
                    while operand.readable.count <= seen:
                        yield operand.readable
                    readable, used = operand.readable[seen]
                    seen += 1
                number = operand.reads.count
                clock = readable
                if number:
                    while operand.offered.count <= number - 1:
                        yield operand.offered
                    clock = max(clock, operand.offered[number - 1] - 1)
                if gives_back:
                    operand.released.put((used, clock + 1))
                operand.reads.put(clock)

    def _rows_a(self, command: MatmulCommand) -> Iterator[tuple[bool, bool]]:
        """Rows of A: whether the ring gets its place back, and whether it waits for what has come last."""
        k_blocks, _, n_blocks, _ = self._blocks(command)
        rows, last = self.config.rows, command.m - 1
        for _ in range(k_blocks * n_blocks):
            for row in range(command.m):
                if command.transpose_a:
                    yield row % rows == rows - 1 or row == last, row % rows == 0
                else:
                    yield True, True

    def _rows_b(self, command: MatmulCommand) -> Iterator[tuple[bool, bool]]:
        k_blocks, k_last, n_blocks, _ = self._blocks(command)
        for k, _ in product(range(k_blocks), range(n_blocks)):
            depth = k_last if k == k_blocks - 1 else self.config.rows
            for row in range(depth):
                yield not command.transpose_b or row == depth - 1, not command.transpose_b or row == 0

    def _offer(self, operand: _Operand) -> Process:
        """The next row is offered, and the tile has asked for it."""
        number = operand.offered.count
        while operand.reads.count <= number:
            yield operand.reads
        operand.offered.put(max(operand.reads[number] + 2, operand.took + 1))
        while operand.asked.count <= number:
            yield operand.asked

    def _ask(self, operand: _Operand) -> Process:
        """The tile asks for rows, so many ahead of those that it has taken."""
        works, clock, outstanding = 0, -1, self.config.outstanding
        while True:
            while self.runs.count <= works:
                yield self.runs
            work: _Work = self.runs[works]
            works += 1
            clock = max(work.go + 1, clock)
            operand.tile_popped.put(clock)
            for _ in self._rows_a(work.command) if operand is self.a else self._rows_b(work.command):
                number = operand.asked.count - outstanding
                clock += 1
                if number >= 0:
                    while operand.taken.count <= number:
                        yield operand.taken
                    clock = max(clock, operand.taken[number] + 1)
                operand.asked.put(clock)

    def _load(self) -> Process:
        """Weights come into the tile: not before the block before is in use."""
        b, works = self.b, 0
        while True:
            while self.runs.count <= works:
                yield self.runs
            work: _Work = self.runs[works]
            works += 1
            k_blocks, k_last, n_blocks, _ = self._blocks(work.command)
            for k, _ in product(range(k_blocks), range(n_blocks)):
                for row in range(k_last if k == k_blocks - 1 else self.config.rows):
                    yield from self._offer(b)
                    clock = max(b.offered[b.offered.count - 1], b.asked[b.taken.count] + 1, b.took + 1)
                    if row == 0 and self.loaded.count:
                        while self.swaps.count <= self.loaded.count - 1:
                            yield self.swaps
                        clock = max(clock, self.swaps[self.loaded.count - 1])
                    b.took = clock
                    b.taken.put(clock)
                self.loaded.put(b.took + 1)

    def _issue(self) -> Process:
        """Rows of activations go through the tile."""
        a, works, last, addend, back = self.a, 0, -1, 0, 0
        accumulators = self.config.accumulators
        while True:
            self._head = partial(Issued, self.results.count, back)
            while self.runs.count <= works:
                yield self.runs
            work: _Work = self.runs[works]
            works += 1
            command = work.command
            k_blocks, _, n_blocks, _ = self._blocks(command)
            for k, n in product(range(k_blocks), range(n_blocks)):
                adds = k == 0 and command.addend == Addend.SCRATCHPAD
                writes = k == k_blocks - 1 and command.result != Result.NONE
                for row in range(command.m):
                    place = (command.accumulator + n * command.m + row) % accumulators
                    adds_at = addend if adds else None
                    self._head = partial(self._known, work.go, last, back, self.swaps.count - (row > 0), adds_at, place)
                    yield from self._offer(a)
                    while self.loaded.count <= self.swaps.count - (row > 0):
                        yield self.loaded
                    clock = max(a.offered[a.offered.count - 1], a.asked[a.taken.count] + 1, last + 1)
                    clock = max(clock, self.loaded[self.swaps.count - (row > 0)])
                    while self.free[place] is None:
                        yield self.drained
                    clock = max(clock, self.free[place] or 0)
                    if adds:
                        while self.addends.count <= addend:
                            yield self.addends
                        clock = max(clock, self.addends[addend])
                        addend += 1
                        self.addends_used.put(clock)
                    self.issued.put(self._head(issued=clock))
                    if row == 0:
                        self.swaps.put(clock)
                    last = a.took = clock
                    a.taken.put(clock)
                    self.free[place] = None if writes else clock + self.returned
                    back = back if writes else clock + self.returned
                    if writes:
                        self.results.put((clock, place))

    def _known(
        self, come: int, last: int, back: int, block: int, addend: int | None, place: int, *, issued: int = NEVER
    ) -> Issued:
        """Of a row, behind the one that was issued last."""
        number, asked, offered = self.a.taken.count, self.a.asked, self.a.offered
        is_there = min(asked.count, offered.count) > number
        free = self.free[place]
        return Issued(
            results=self.results.count,
            back=back,
            come=come,
            asked=asked[number] if asked.count > number else NEVER,
            there=max(offered[number], asked[number] + 1, last + 1) if is_there else NEVER,
            loaded=self.loaded[block] if self.loaded.count > block else NEVER,
            addend=0 if addend is None else self.addends[addend] if self.addends.count > addend else NEVER,
            free=NEVER if free is None else free,
            issued=issued,
        )

    # Addends and results.

    def _add(self) -> Process:
        columns = self.config.columns
        while True:
            number = self.adds_ended.count
            while self.adding.count <= number:
                yield self.adding
            work: _Work = self.adding[number]
            command = work.command
            popped = max(work.go + 1, self.c.last)
            self.adds_popped.put(popped)
            n_blocks = self._blocks(command)[2]
            for n, row in product(range(n_blocks), range(command.m)):
                clock = max(popped + 1, self.c.last + 1)
                place = self.addends.count - ADDENDS
                if place >= 0:
                    while self.addends_used.count <= place:
                        yield self.addends_used
                    clock = max(clock, self.addends_used[place] + 1)
                address = command.c_address + n * 4 * columns + row * command.c_stride
                yield from self.c.request(clock, address // self.bank_bytes)
                self.addends.put(self.c.last + self.latency + 1)
            self.adds_ended.put(self.c.last + self.latency + 1)

    def _drain(self) -> Process:
        """Rows of results are read out of the accumulators, each when the one before it has been handed on."""
        while True:
            number = self.drained.count
            while self.results.count <= number:
                yield self.results
            issued, place = self.results[number]
            clock = issued + self.readable
            if number:
                while self.handed.count <= number - 1:
                    yield self.handed
                clock = max(clock, self.handed[number - 1])
            self.free[place] = clock + 1
            self.drained.put(clock)

    def _hand(self) -> Process:
        """They go into the conversion, while there is room behind it."""
        depth = self.convert + SPARE
        while True:
            number = self.handed.count
            while self.drained.count <= number:
                yield self.drained
            clock = self.drained[number] + 1
            if number >= depth:
                while self.d.taken.count <= number - depth:
                    yield self.d.taken
                clock = max(clock, self.d.taken[number - depth] + 1)
            self.handed.put(clock)

    def _write(self) -> Process:
        columns = self.config.columns
        while True:
            number = self.writes_ended.count
            while self.writing.count <= number:
                yield self.writing
            command: MatmulCommand = self.writing[number].command
            size = 4 if command.result == Result.SUMS else _BITS[command.result_format] // 8
            _, _, n_blocks, n_last = self._blocks(command)
            together = result_grain(columns, size)
            for n, row in product(range(n_blocks), range(command.m)):
                place = self.d.taken.count
                while self.handed.count <= place:
                    yield self.handed
                clock = max(self.handed[place] + self.convert + 1, self.d.last + 1)
                if command.result == Result.KEPT:  # nothing is written
                    self.d.last = clock
                    self.d.taken.put(clock)
                    continue
                address = command.d_address + n * size * columns + row * command.d_stride
                written = -(-(n_last if n == n_blocks - 1 else columns) * size // together) * together
                merges = bool((address | written) % CODE_BYTES)
                yield from self.d.request(clock, address // self.bank_bytes, merges=merges)
            self.writes_ended.put(self.d.last + 1)
