"""The parts of the DMA's cycle model; `openppu_sim.cycles.dma_engine` puts them together."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openppu.command.error import Error
from openppu.common.memory import WORD_BYTES
from openppu.config import ChipConfig
from openppu.formats.operand import formats_named

from openppu_sim.reference import dma as reference

PLAIN, PICTURE = 6, 11
"""Cycles in which a command is checked; an im2col."""

CONVERT_CYCLES = 7
CONVERT_ROOM = 10
ELEMENTS = 8
"""Converted a cycle."""

SOURCES = 2
PAD_LATENCY = 4
PAD_READS = 16
BLOCK = 32


class Queue:
    """Items that are there the cycle after they came; one waits at the output beside those stored."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.stored: deque[Any] = deque()
        self.out: Any = None
        self.room = True

    def begin(self) -> None:
        """Of a cycle: whether there is room in it."""
        self.room = len(self.stored) < self.depth

    def end(self, item: Any = None) -> None:
        """Of a cycle, when what was wanted has been taken: what came in."""
        if self.out is None and self.stored:
            self.out = self.stored.popleft()
        elif self.out is None:
            self.out = item
            return
        if item is not None:
            self.stored.append(item)


@dataclass
class Piece:
    """Bytes to read or write from ``place`` on; the ``end`` of a command has none."""

    place: int = 0
    size: int = 0
    fill: bool = False
    block_last: bool = False
    end: bool = False
    converts: tuple[int, int] | None = None
    turns: bool = False
    element: int = 1


@dataclass
class Chunk:
    """Up to 32 bytes on their way."""

    size: int
    last: bool
    piece: Piece


@dataclass
class Block:
    """Of a transposition: what has been collected."""

    rows: int = 0
    columns: int = 0
    piece: Piece = field(default_factory=Piece)


@dataclass
class Step:
    """Of a walk: sources and targets that may go in the same cycle, or, of a block, each on its own."""

    sources: list[Piece]
    targets: list[Piece]
    is_block: bool = False
    indexed: bool = False


def steps_of(name: str, fields: Mapping[str, int], memories: reference.Memories) -> Iterator[Step]:
    """The walk through a right command."""
    of = {**dict.fromkeys(("source", "target", "transpose", "value"), 0), **fields}
    if name.startswith("FILL"):
        of["source"] = of["target"] = of["format"]
    size, new_size = reference.SIZES[of["source"]], reference.SIZES[of["target"]]
    converts = (size, new_size) if of["source"] != of["target"] else None
    if of["transpose"]:
        yield from _blocks(name, of, size, new_size, converts)
        return
    for row in reference.rows(name, of, memories):
        target = Piece(row.written[0], len(row.written))
        if row.read is None:
            source = Piece(0, len(row.written), fill=True)
        else:
            source = Piece(row.read[0], len(row.read), converts=converts, element=size)
        yield Step([source], [target], indexed=name in ("GATHER", "SCATTER"))


def _blocks(
    name: str, of: Mapping[str, int], size: int, new_size: int, converts: tuple[int, int] | None
) -> Iterator[Step]:
    read_side, written_side = ("memory", "scratchpad") if name == "LOAD" else ("scratchpad", "memory")
    most = BLOCK // size
    rows, columns = of["count_0"], of["row"] // size
    turns = [range(of[f"count_{d}"]) for d in (3, 2, 1)]
    for outer in ((a, b, c) for a in turns[0] for b in turns[1] for c in turns[2]):
        starts = [
            of[side] + sum(n * of[f"{side}_stride_{d}"] for d, n in zip((3, 2, 1), outer, strict=True))
            for side in (read_side, written_side)
        ]
        for top in range(0, rows, most):
            for left in range(0, columns, most):
                height, width = min(most, rows - top), min(most, columns - left)
                read = starts[0] + top * of[f"{read_side}_stride_0"] + left * size
                written = starts[1] + left * of[f"{written_side}_stride_0"] + top * new_size
                yield Step(
                    [
                        Piece(
                            read + r * of[f"{read_side}_stride_0"],
                            width * size,
                            block_last=r == height - 1,
                            converts=converts,
                            turns=True,
                            element=size,
                        )
                        for r in range(height)
                    ],
                    [Piece(written + c * of[f"{written_side}_stride_0"], height * new_size) for c in range(width)],
                    is_block=True,
                )


class PadRead:
    """Words of a scratchpad, in order."""

    def __init__(self, word_bytes: int) -> None:
        self.word_bytes = word_bytes
        self.queue = Queue(PAD_READS)
        self.free, self.gone = PAD_READS, 0
        self.on_the_way: deque[int] = deque()

    def wants(self, piece: Piece | None, described_room: bool) -> bool:
        """Whether it asks for a word in this cycle."""
        if piece is None or piece.end or piece.fill or not self.free:
            return False
        return bool(self.gone) or described_room

    def go(self, now: int, piece: Piece) -> bool:
        """A word is asked for; whether it is the piece's last."""
        words = (piece.place % self.word_bytes + piece.size + self.word_bytes - 1) // self.word_bytes
        self.on_the_way.append(now + PAD_LATENCY)
        self.gone = 0 if self.gone + 1 == words else self.gone + 1
        return self.gone == 0

    def end(self, now: int, *, asked: bool, taken: bool) -> None:
        """Of a cycle."""
        arrives = bool(self.on_the_way) and self.on_the_way[0] == now
        if arrives:
            self.on_the_way.popleft()
        self.queue.end(True if arrives else None)
        self.free += taken - asked


class Port:
    """Turns at the scratchpad's port; who waits for the scratchpad keeps it."""

    def __init__(self) -> None:
        self.last = 1
        self.held = False

    def next(self, wants: tuple[bool, bool]) -> int | None:
        """Of the two users, the one whose request stands."""
        if self.held:
            return self.last
        order = (1, 0) if self.last == 0 else (0, 1)
        for user in order:
            if wants[user]:
                return user
        return None

    def choose(self, wants: tuple[bool, bool], free: bool) -> int | None:
        """The one that is served, if the scratchpad is ``free``."""
        user = self.next(wants)
        if user is None:
            return None
        self.last, self.held = user, not free
        return user if free else None


@dataclass
class Job:
    """A command: how long it is checked; its walk; of one with indices, how many, and where their list begins."""

    check: int
    steps: list[Step]
    indices: int = 0
    list_at: int = 0
    error: int = 0

    @property
    def right(self) -> bool:
        """It is not refused."""
        return not self.error


class Front:
    """Checks, and the walk: what is read and written, as fast as the queues take it."""

    def __init__(self, jobs: Sequence[Job], word_bytes: int, *, store: bool) -> None:
        self.jobs = deque(jobs)
        self.store = store
        self.read = PadRead(word_bytes)
        self.lanes = word_bytes // 4
        self.offsets = Queue(SOURCES)
        self.product = False
        self.state = "others"
        self.asked = False
        self.left = self.index_at = 0
        self.step = 0
        self.job: Job | None = None
        self.walking = False
        self.place = 0
        self.row = self.column = 0
        self.under_way = 0

    def wants(self) -> bool:
        """Whether a word of a list is asked for in this cycle."""
        return self.state != "others" and not self.asked and self.read.wants(self._list(), True)

    def _list(self) -> Piece | None:
        return Piece(self.job.list_at, 4 * self.job.indices) if self.job is not None and self.job.right else None

    def cycle(
        self, now: int, sources: Queue, targets: Queue, *, granted: bool, over: bool
    ) -> tuple[Piece | None, Piece | None]:
        """What goes to the queues in this cycle."""
        source = target = None
        released = False
        given = self.job is not None and (self.state == "give" or (self.state == "others" and not self.job.indices))
        if self.walking:
            assert self.job is not None
            if not self.job.right or self.place == len(self.job.steps):
                if sources.room and targets.room:
                    source = target = Piece(end=True)
                    released, self.walking = True, False
            elif self.job.steps[self.place].is_block:
                source, target = self._block(self.job.steps[self.place], sources, targets)
            elif sources.room and targets.room and (self.offsets.out or not self.job.indices):
                source, target = self.job.steps[self.place].sources[0], self.job.steps[self.place].targets[0]
                self.offsets.out = None
                self.place += 1
        elif given:
            self.walking, self.place = True, 0
        self._admit(now, granted=granted, released=released)
        self._check(released)
        self.under_way += released - over
        return source, target

    def _admit(self, now: int, *, granted: bool, released: bool) -> None:
        """Lists are read, first to be checked, then index by index."""
        state, job, taken = self.state, self.job, False
        put = None
        if state == "others" and job is not None and job.indices and (self.store or self.under_way == 0):
            self.state, self.asked = "check", False
            self.left, self.index_at = job.indices, job.list_at // 4 % self.lanes
        elif state == "check" and self.read.queue.out:
            assert job is not None
            self.read.queue.out, taken = None, True
            self.left -= self.lanes - self.index_at
            self.index_at = 0
            if self.left <= 0:
                self.state = "give"
        elif state == "give":
            put = self._serve()
            taken = put[1]
        if granted:
            assert job is not None
            if self.read.go(now, Piece(job.list_at, 4 * job.indices)):
                self.asked = True
        self.read.end(now, asked=granted, taken=taken)
        if state == "check" and self.state == "give":
            assert job is not None
            self.asked = False
            self.left, self.index_at = job.indices, job.list_at // 4 % self.lanes
        self.offsets.end(True if put and put[0] else None)
        if state == "give" and released:
            self.state = "others"

    def _serve(self) -> tuple[bool, bool]:
        """Whether an offset goes into the queue, and whether a word of the list is used up."""
        room = self.offsets.room
        goes = self.product and room
        taken = False
        takes = bool(self.read.queue.out) and self.left > 0 and (not self.product or room)
        if takes:
            if self.left == 1 or self.index_at == self.lanes - 1:
                self.read.queue.out, taken = None, True
            self.left -= 1
            self.index_at = (self.index_at + 1) % self.lanes
        if not self.product or room:
            self.product = takes
        return goes, taken

    def _block(self, step: Step, sources: Queue, targets: Queue) -> tuple[Piece | None, Piece | None]:
        source = target = None
        if self.row < len(step.sources) and sources.room:
            source = step.sources[self.row]
            self.row += 1
        if self.column < len(step.targets) and targets.room:
            target = step.targets[self.column]
            self.column += 1
        if self.row == len(step.sources) and self.column == len(step.targets):
            self.place += 1
            self.row = self.column = 0
        return source, target

    def _check(self, released: bool) -> None:
        finished = None
        if self.jobs:
            if self.step < self.jobs[0].check - 1:
                self.step += 1
            elif self.job is None or released:
                finished = self.jobs.popleft()
                self.step = 0
        if released:
            self.job = None
        if finished is not None:
            self.job = finished


class Memory:
    """Words read, in order.

    Parameters
    ----------
    config : ChipConfig
    latency : int
        From a request to its first word.
    """

    def __init__(self, config: ChipConfig, latency: int = 0) -> None:
        dma = config.dma
        self.dma, self.latency = dma, latency
        self.free = dma.outstanding
        self.queued = [0] * dma.tags
        self.waiting: deque[tuple[int, int, int]] = deque()
        self.there: deque[int] = deque()
        self.gone = 0
        self.refused = False
        """A request was not taken in this cycle."""

    def send(self, now: int, word: int, count: int, tag: int) -> bool:
        """A request goes, if it is taken."""
        self.waiting.append((now + self.latency, count, tag))
        return True

    def answer(self, now: int) -> None:
        """A word arrives in this cycle, if one is due."""
        if self.waiting and self.waiting[0][0] <= now:
            due, left, tag = self.waiting.popleft()
            self.arrive(now, tag, last=left == 1)
            if left > 1:
                self.waiting.appendleft((due, left - 1, tag))

    def waits(self, now: int) -> bool:
        """Words are on their way, and the next is not there."""
        return self.free != self.dma.outstanding and not (self.there and self.there[0] <= now)

    def arrive(self, now: int, tag: int, *, last: bool) -> None:
        """A word is here; its place shows it two cycles later."""
        self.there.append(now + 2)
        if last:
            self.queued[tag] -= 1

    def ask(self, now: int, piece: Piece, described_room: bool, free: int, queued: Sequence[int]) -> tuple[bool, bool]:
        """Whether a request of the piece goes, and whether it is its last."""
        burst = self.dma.burst_words
        words = (piece.place % WORD_BYTES + piece.size + WORD_BYTES - 1) // WORD_BYTES
        address = piece.place // WORD_BYTES + self.gone
        count = min(words - self.gone, burst - address % burst)
        tag = address // burst % self.dma.tags
        if free < count or queued[tag] == self.dma.tag_requests or not (self.gone or described_room):
            return False, False
        if not self.send(now, address, count, tag):
            self.refused = True
            return False, False
        self.free -= count
        self.queued[tag] += 1
        last = self.gone + count == words
        self.gone = 0 if last else self.gone + count
        return True, last


class Lane:
    """From words to words."""

    def __init__(self, read_bytes: int, written_bytes: int, depth: int) -> None:
        self.read_bytes, self.written_bytes = read_bytes, written_bytes
        self.sources, self.targets = Queue(depth), Queue(depth)
        self.chunk: Chunk | None = None
        self.turned: Chunk | None = None
        self.word: tuple[str, int, int, int] | None = None
        """What it is, its number, and its bytes: the first, and the one behind the last."""
        self.number = self.first = 0
        self.read_done = self.read_at = 0
        self.blocks: deque[Block] = deque()
        self.filling = Block()
        self.fill_at = 0
        self.column = 0
        self.part = 0
        self.on_the_way: deque[tuple[int, Chunk]] = deque()
        self.converted = Queue(CONVERT_ROOM)
        self.inside = 0
        self.done = self.at = 0
        self.flush = False

    def begin(self) -> None:
        """Of a cycle."""
        for queue in (self.sources, self.targets, self.converted):
            queue.begin()

    def pack(self) -> None:
        """The chunk that is next goes into a word; ``word`` is free if it was taken."""
        inside = self.inside
        chunk = self.converted.out
        passes = False
        if inside == 0 and self.turned is not None and self.turned.piece.converts is None:
            chunk, passes = self.turned, True
        free = self.word is None
        took = False
        target = self.targets.out
        if chunk is not None and target is not None:
            end = chunk.piece.end
            place = target.place % self.written_bytes if self.done == 0 else self.at
            finishes = not end and self.done + chunk.size == target.size
            completes = finishes or place + chunk.size >= self.written_bytes
            may = free and not completes and not end if self.flush else free or not (completes or end)
            if may:
                took = True
                number = target.place // self.written_bytes if self.done == 0 else self.number
                first = place if self.done == 0 else self.first
                after = min(place + chunk.size, self.written_bytes)
                if self.flush:
                    self.word, self.flush = ("last", self.number, 0, self.at), False
                elif end or completes:
                    last = finishes and place + chunk.size <= self.written_bytes
                    self.word = ("end" if end else "last" if last else "data", number, first, after)
                if not end:
                    self.number = number + completes
                    self.first = 0 if completes else first
                    self.flush = finishes and place + chunk.size > self.written_bytes
                    self.done = 0 if finishes else self.done + chunk.size
                    self.at = (place + chunk.size) % self.written_bytes
                if end or finishes:
                    self.targets.out = None
                if passes:
                    self.turned = None
                else:
                    self.converted.out = None
                    self.inside -= 1
        if not took and free and self.flush:
            self.word, self.flush = ("last", self.number, 0, self.at), False
        self._convert(inside)

    def _convert(self, inside: int) -> None:
        item = None
        if self.on_the_way and self.on_the_way[0][0] == 0:
            item = self.on_the_way.popleft()[1]
        self.on_the_way = deque((left - 1, chunk) for left, chunk in self.on_the_way)
        self.converted.end(item)
        chunk = self.turned
        if chunk is None or chunk.piece.converts is None or inside == CONVERT_ROOM:
            return
        size, new_size = chunk.piece.converts
        left = chunk.size // size - ELEMENTS * self.part
        count = min(left, ELEMENTS)
        self.on_the_way.append((CONVERT_CYCLES - 1, Chunk(count * new_size, False, chunk.piece)))
        self.inside += 1
        if left <= ELEMENTS:
            self.turned, self.part = None, 0
        else:
            self.part += 1

    def turn(self) -> None:
        """A row of a block comes in, or a column goes out."""
        full = list(self.blocks)
        chunk = self.chunk
        free = self.turned is None
        if full and free:
            block = full[0]
            self.turned = Chunk(block.rows * block.piece.element, True, block.piece)
            self.column += 1
            if self.column == block.columns:
                self.column = 0
                self.blocks.popleft()
        if chunk is None:
            return
        if chunk.piece.turns:
            if len(full) == 2:
                return
            self.fill_at += chunk.size
            self.chunk = None
            if chunk.last:
                self.filling.rows += 1
                if chunk.piece.block_last:
                    self.filling.columns = self.fill_at // chunk.piece.element
                    self.filling.piece = chunk.piece
                    self.blocks.append(self.filling)
                    self.filling = Block()
                self.fill_at = 0
        elif not full and free:
            self.turned, self.chunk = chunk, None

    def extract(self, word_there: bool) -> bool:
        """A chunk is cut off, if there is one and room for it; whether a word is used up."""
        piece = self.sources.out
        if piece is None or self.chunk is not None:
            return False
        if piece.end:
            self.chunk, self.sources.out = Chunk(0, True, piece), None
            return False
        if not piece.fill and not word_there:
            return False
        place = 0 if piece.fill else piece.place % self.read_bytes if self.read_done == 0 else self.read_at
        space = WORD_BYTES - place % WORD_BYTES
        left = piece.size - self.read_done
        last = left <= space
        size = left if last else space
        self.chunk = Chunk(size, last, piece)
        self.read_done = 0 if last else self.read_done + size
        self.read_at = (place + size) % self.read_bytes
        if last:
            self.sources.out = None
        return not piece.fill and (last or place + size == self.read_bytes)


def jobs_of(
    config: ChipConfig, commands: Sequence[tuple[str, Mapping[str, int]]], memories: reference.Memories, *, store: bool
) -> list[Job]:
    """Commands as the front sees them; the memories are changed as the commands do."""
    formats = tuple(fmt for fmt in formats_named(config.tile.formats) if fmt.is_float)
    jobs = []
    for name, of in commands:
        cycles = PICTURE if name == "IM2COL" else PLAIN
        known = {**dict.fromkeys(("source", "target", "saturate", "transpose", "value"), 0), **of}
        if name.startswith("FILL"):
            known["source"] = known["target"] = known["format"]
        first = reference.check(name, known, memories, store=store, formats=formats, compute_units=config.compute_units)
        indices = of["count"] if name in ("GATHER", "SCATTER") and first == Error.OKAY else 0
        steps: list[Step] = []
        before = None
        if first == Error.OKAY:
            before = reference.Memories(memories.hbm, memories.scratchpad.copy(), memories.remote)
        outcome = reference.run(name, of, memories, store=store, formats=formats, compute_units=config.compute_units)
        if before is not None and outcome.error == Error.OKAY:
            steps = list(steps_of(name, of, before))
        if first not in (Error.OKAY, Error.BOUNDS):
            cycles = 1
        ended: Any = outcome.error
        jobs.append(Job(cycles, steps, indices, of.get("indices", 0), int(ended.value)))
    return jobs
