"""When the DMA's commands end, cycle by cycle: exact for one channel and a scratchpad that nobody else uses.

`LoadCycles` and `StoreCycles` are stepped through; what they ask of memory goes to `Memory` and `Put`, which are ideal
here: each stream goes on in every cycle, a request's first word comes ``latency`` cycles after the request was taken,
then one word a cycle, in order; an acknowledge comes ``latency`` cycles after a write's last word.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from openppu.common.memory import WORD_BYTES
from openppu.config import ChipConfig
from openppu.dma.cause import Cause
from openppu.scratchpad.config import CODE_BYTES

from openppu_sim.cycles.dma import BLOCK, SOURCES, Front, Job, Lane, Memory, PadRead, Port, Queue, jobs_of
from openppu_sim.reference import dma as reference

ENDS = 2
FINISHED = 4
SETTLED = 5
"""Cycles in which nothing is seen to move, after which nothing does until something comes from outside."""


class Join:
    """Words of memory; what several targets write of one becomes one."""

    def __init__(self) -> None:
        self.held: tuple[str, int, int] | None = None
        """``"data"``, ``"last"`` or ``"end"``, the word's number, a bit a byte that is written."""

    @property
    def moves(self) -> bool:
        """An end is on its way, which waits for nobody."""
        return self.held is not None and self.held[0] == "end"

    def cycle(self, lane: Lane, *, room: bool) -> tuple[str, int, bool] | None:
        """What goes on in this cycle: kind, number, and whether some byte is not written."""
        held, word = self.held, lane.word
        if held is None:
            self.held = self._take(lane)
            return None
        kind, number, mask = held
        if kind != "end":
            if word is None:
                return None
            if word[0] != "end" and word[1] == number:
                after = self._take(lane)
                assert after is not None
                self.held = after[0], number, mask | after[2]
                return None
            if word[0] != "end" and word[1] == number + 1:
                kind = "data"
        if not room:
            return None
        self.held = self._take(lane)
        return kind, number, mask != (1 << WORD_BYTES) - 1

    @staticmethod
    def _take(lane: Lane) -> tuple[str, int, int] | None:
        word, lane.word = lane.word, None
        if word is None:
            return None
        kind, number, first, after = word
        return kind, number, (1 << after) - (1 << first)


class Put:
    """Words into requests, requests into acknowledges."""

    def __init__(self, config: ChipConfig, latency: int = 0) -> None:
        self.dma, self.latency = config.dma, latency
        burst = config.dma.burst_words
        self.join = Join()
        self.words, self.asked, self.ends = Queue(2 * burst), Queue(2 * burst), Queue(ENDS)
        self.count = self.owed = self.command = 0
        self.queued = [0] * config.dma.tags
        self.pending = [0] * 4
        self.sending: deque[list[int]] = deque()
        self.acknowledges: deque[tuple[int, int, int]] = deque()
        self.masked = False
        self.moved = self.sent = self.waits = False
        """Something moved in the last cycle; a word went; something waited for memory."""

    def send(self, now: int, word: int, count: int, tag: int, command: int, masked: bool) -> bool:
        """A request goes, if it is taken; ``masked``: some byte of its words is not written."""
        self.sending.append([count, tag, command])
        return True

    def send_word(self, now: int) -> bool:
        """A word of the oldest request that has some left goes, if it is taken."""
        self.sending[0][0] -= 1
        if self.sending[0][0] == 0:
            _, tag, command = self.sending.popleft()
            self.acknowledges.append((now + self.latency, tag, command))
        return True

    def answer(self, now: int) -> None:
        """A write is acknowledged in this cycle, if one is due."""
        if self.acknowledges and self.acknowledges[0][0] <= now:
            _, tag, command = self.acknowledges.popleft()
            self.acknowledge(tag, command)

    def acknowledge(self, tag: int, command: int) -> None:
        """A write of a command is in memory."""
        self.queued[tag] -= 1
        self.pending[command] -= 1

    def begin(self) -> None:
        """Of a cycle."""
        for queue in (self.words, self.asked, self.ends):
            queue.begin()

    def cycle(self, now: int, lane: Lane, finished: Queue) -> bool:
        """Whether a command is over in this cycle."""
        burst = self.dma.burst_words
        self.moved = (
            lane.word is not None or self.join.moves or self.asked.out is not None or self.words.out is not None
        )
        pending, owed, queued = list(self.pending), self.owed, list(self.queued)
        self.waits = self.ends.out is not None and pending[self.ends.out] != 0
        over = self.ends.out is not None and pending[self.ends.out] == 0 and finished.room
        if over:
            self.ends.out = None
        head, end = self.asked.out, None
        if head is not None and head[0] == "end" and self.ends.room:
            end, self.asked.out = self.command, None
            self.command = (self.command + 1) % 4
        elif head is not None and head[0] != "end":
            _, first, count, masked = head
            tag = first // burst % self.dma.tags
            if queued[tag] < self.dma.tag_requests and self.send(now, first, count, tag, self.command, masked):
                self.asked.out = None
                self.owed += count
                self.queued[tag] += 1
                self.pending[self.command] += 1
            else:
                self.waits = True
        self.sent = self.words.out is not None and owed != 0 and self.send_word(now)
        if self.sent:
            self.words.out = None
            self.owed -= 1
        elif self.words.out is not None and owed:
            self.waits = True
        self.answer(now)
        word, request = None, None
        joined = self.join.cycle(lane, room=self.words.room and self.asked.room)
        if joined is not None:
            kind, number, masked = joined
            self.masked |= kind != "end" and masked
            word = None if kind == "end" else True
            if kind != "data" or number % burst == burst - 1:
                request = (kind, number - self.count, self.count + 1, self.masked)
                self.count, self.masked = 0, False
            else:
                self.count += 1
        self.words.end(word)
        self.asked.end(request)
        self.ends.end(end)
        return over


class _Engine:
    """What both have: the front, a lane, the ends that are told."""

    def __init__(self, config: ChipConfig, jobs: Iterable[Job], lane: Lane, *, store: bool) -> None:
        width = config.scratchpad.word_bytes
        self.front, self.port, self.lane = Front(list(jobs), width, store=store), Port(), lane
        self.sources, self.finished = Queue(SOURCES), Queue(FINISHED)
        self.moved = 0
        """The last cycle in which something was seen to move."""
        self.cause = Cause.IDLE
        """What the last cycle went to, if a command was there."""

    @property
    def tells(self) -> bool:
        """A command's end is told; take it with `told`, before this cycle's step."""
        return self.finished.out is not None

    def told(self) -> None:
        """The end that was told is known."""
        self.finished.out = None

    def _data(self) -> tuple[int, bool] | None:
        """The scratchpad's word that the data's next access is to, if there is one now; whether it merges."""
        raise NotImplementedError

    @property
    def wanted(self) -> tuple[int, bool] | None:
        """The scratchpad's word that is accessed next, if one is to be in this cycle; whether a part of a code word is
        written."""
        data, front = self._data(), self.front
        if self.port.next((data is not None, front.wants())) != 1:
            return data
        assert front.job is not None
        return front.job.list_at // self.front.read.word_bytes + front.read.gone, False

    @property
    def _checks(self) -> bool:
        front = self.front
        return bool(front.jobs) and (front.step < front.jobs[0].check - 1 or front.job is None)

    @property
    def rests(self) -> bool:
        """Nothing moves, and nothing will, unless a word, an acknowledge or a command comes."""
        return not (self._checks or self.lane.on_the_way or self.finished.out or self.finished.stored)

    def _account(self, *, moves: bool, refused: bool, waits: bool) -> None:
        if moves:
            self.cause = Cause.MOVE
        elif refused:
            self.cause = Cause.SCRATCHPAD
        else:
            self.cause = Cause.MEMORY if waits else Cause.WORK

    def _walk(self, now: int, *, user: int | None, over: bool) -> None:
        """The end of a cycle: what the front gives."""
        checks = self._checks
        source, target = self.front.cycle(now, self.sources, self.lane.targets, granted=user == 1, over=over)
        self.sources.end(source)
        self.lane.targets.end(target)
        if checks or user is not None or over or source is not None or target is not None:
            self.moved = now


class LoadCycles(_Engine):
    """The load engine.

    Parameters
    ----------
    config : ChipConfig
    jobs : iterable of Job
        To begin with; more may be put behind ``front.jobs``.
    memory : Memory
    """

    def __init__(self, config: ChipConfig, jobs: Iterable[Job], memory: Memory) -> None:
        lane = Lane(WORD_BYTES, config.scratchpad.word_bytes, config.dma.outstanding)
        super().__init__(config, jobs, lane, store=False)
        self.memory = memory

    def _data(self) -> tuple[int, bool] | None:
        word = self.lane.word
        if word is None or word[0] == "end":
            return None
        _, number, first, after = word
        return number, bool((first | after) % CODE_BYTES)

    def cycle(self, now: int, *, free: bool = True) -> None:
        """A cycle; ``free``: the scratchpad takes what is `wanted`."""
        front, lane, memory, sources, finished = self.front, self.lane, self.memory, self.sources, self.finished
        lane.begin()
        for queue in (sources, finished, front.read.queue, front.offsets):
            queue.begin()
        credit, queued = memory.free, list(memory.queued)
        waits, asked, memory.refused = memory.waits(now), self.wanted is not None, False
        over = lane.word is not None and lane.word[0] == "end" and finished.room
        user = self.port.choose((lane.word is not None and lane.word[0] != "end", front.wants()), free)
        if over or user == 0:
            lane.word = None
        finished.end(True if over else None)
        lane.pack()
        lane.turn()
        used = lane.extract(bool(memory.there) and memory.there[0] <= now)
        if used:
            memory.there.popleft()
        described = None
        piece = sources.out
        if piece is not None and (piece.end or piece.fill):
            if lane.sources.room:
                described, sources.out = piece, None
        elif piece is not None:
            first = memory.gone == 0
            goes, last = memory.ask(now, piece, lane.sources.room, credit, queued)
            described = piece if goes and first else None
            if last:
                sources.out = None
            if goes:
                self.moved = now
        lane.sources.end(described)
        self._account(moves=user == 0, refused=asked and not free, waits=waits or memory.refused)
        self._walk(now, user=user, over=over)
        memory.answer(now)
        memory.free += used
        if used or described is not None:
            self.moved = now


class StoreCycles(_Engine):
    """The store engine; as `LoadCycles`, with a ``put`` in place of the memory."""

    def __init__(self, config: ChipConfig, jobs: Iterable[Job], put: Put) -> None:
        width = config.scratchpad.word_bytes
        super().__init__(config, jobs, Lane(width, WORD_BYTES, 2 * BLOCK), store=True)
        self.put, self.read = put, PadRead(width)

    def _data(self) -> tuple[int, bool] | None:
        piece, read = self.sources.out, self.read
        room = len(self.lane.sources.stored) < self.lane.sources.depth
        if piece is None or not read.wants(piece, room):
            return None
        return piece.place // read.word_bytes + read.gone, False

    @property
    def rests(self) -> bool:
        """As of `LoadCycles`."""
        return super().rests and not self.read.on_the_way

    def cycle(self, now: int, *, free: bool = True) -> None:
        """A cycle; ``free``: the scratchpad takes what is `wanted`."""
        front, lane, read, sources, finished = self.front, self.lane, self.read, self.sources, self.finished
        lane.begin()
        self.put.begin()
        for queue in (sources, finished, read.queue, front.read.queue, front.offsets):
            queue.begin()
        asked = self.wanted is not None
        over = self.put.cycle(now, lane, finished)
        finished.end(True if over else None)
        lane.pack()
        lane.turn()
        used = lane.extract(read.queue.out is not None)
        if used:
            read.queue.out = None
        described = None
        piece = sources.out
        user = self.port.choose((read.wants(piece, lane.sources.room), front.wants()), free)
        if piece is not None and (piece.end or piece.fill):
            if lane.sources.room:
                described, sources.out = piece, None
        elif piece is not None and user == 0:
            described = piece if read.gone == 0 else None
            if read.go(now, piece):
                sources.out = None
        read.end(now, asked=user == 0, taken=used)
        lane.sources.end(described)
        self._account(moves=self.put.sent, refused=asked and not free, waits=self.put.waits)
        self._walk(now, user=user, over=over)
        if used or described is not None or self.put.moved:
            self.moved = now


def _predict(engine: LoadCycles | StoreCycles, count: int) -> tuple[list[int], list[int]]:
    ends: list[int] = []
    causes: list[int] = []
    while len(ends) < count:
        now = len(causes)
        if engine.tells:
            ends.append(now)
            engine.told()
        engine.cycle(now)
        causes.append(engine.cause)
    return ends, causes


def predict_load(
    config: ChipConfig, commands: Sequence[tuple[str, Mapping[str, int]]], memories: reference.Memories, *, latency: int
) -> tuple[list[int], list[int]]:
    """The cycle in which each command's end is told, and what each cycle goes to, up to the last end; the memories are
    changed as the commands do.

    Cycle 0 is the one in which the first command is offered; each other is offered in the cycle after the one before
    was taken.
    """
    jobs = jobs_of(config, commands, memories, store=False)
    return _predict(LoadCycles(config, jobs, Memory(config, latency)), len(jobs))


def predict_store(
    config: ChipConfig, commands: Sequence[tuple[str, Mapping[str, int]]], memories: reference.Memories, *, latency: int
) -> tuple[list[int], list[int]]:
    """As `predict_load`."""
    jobs = jobs_of(config, commands, memories, store=True)
    return _predict(StoreCycles(config, jobs, Put(config, latency)), len(jobs))
