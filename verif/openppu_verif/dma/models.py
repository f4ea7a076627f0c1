"""A memory and a scratchpad at the ports of a DMA engine, in Amaranth's simulator."""

import random
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.common.memory import WORD_BYTES
from openppu_sim.reference.dma import Memories

from openppu_verif.ends import Put, Take

Bytes = NDArray[np.uint8]


@dataclass
class Touched:
    """What an engine read and wrote, as addresses of words read and of bytes written."""

    memory_read: set[int]
    memory_written: set[int]
    scratchpad_read: set[int]
    scratchpad_written: set[int]

    @classmethod
    def nothing(cls) -> "Touched":
        """At the beginning."""
        return cls(set(), set(), set(), set())


@dataclass
class Timing:
    """``latency``: cycles from a request to its first word; ``spread``: at most so many more, at random.

    ``rate``: how often a stream goes on in a cycle; ``wrong``: how often a word or an acknowledge has an error.
    """

    latency: int = 20
    spread: int = 0
    rate: float = 1.0
    wrong: float = 0.0


@dataclass
class Read:
    """A request on its way."""

    tag: int
    words: list[int]
    due: int


class MemoryPort:
    """Answers the requests of a port: in order within a tag, else in any order."""

    def __init__(self, port: Any, memories: Memories, timing: Timing, chance: random.Random, touched: Touched) -> None:
        self.memories, self.timing, self.chance, self.touched = memories, timing, chance, touched
        self.requests = Take(port.requests, chance, timing.rate)
        self.words = Take(port.words, chance, timing.rate)
        self.responses = Put(port.responses, chance, timing.rate)
        self.acknowledges = Put(port.acknowledges, chance, timing.rate)
        self.reads: list[Read] = []
        self.writes: deque[Any] = deque()
        self.asked: list[list[int]] = []  # the words of each write
        self.written: list[tuple[int, int]] = []
        self.answering: Read | None = None
        self.acknowledging: list[tuple[int, int]] = []
        self.errors = 0

    def drive(self, ctx: Any, cycle: int) -> None:
        """Before anything is looked at in a cycle."""
        if self.answering is None:
            first: dict[int, Read] = {}
            for read in self.reads:
                first.setdefault(read.tag, read)
            due = [read for read in first.values() if read.due <= cycle]
            if due:
                self.answering = self.chance.choice(due) if self.timing.spread else due[0]
                self.reads.remove(self.answering)
                words = self.answering.words
                for place, word in enumerate(words):
                    wrong = self.chance.random() < self.timing.wrong
                    self.errors += wrong
                    memory, at = self.memories.at(word)
                    self.responses.waiting.append(
                        {
                            "data": int.from_bytes(memory[at : at + WORD_BYTES].tobytes(), "little"),
                            "tag": self.answering.tag,
                            "last": place == len(words) - 1,
                            "error": wrong,
                            "corrected": 0,
                        }
                    )
        tags = dict.fromkeys(tag for _, tag in self.acknowledging)
        for tag in tags:
            due_at, _ = next(each for each in self.acknowledging if each[1] == tag)
            if due_at <= cycle:
                self.acknowledging.remove((due_at, tag))
                wrong = self.chance.random() < self.timing.wrong
                self.errors += wrong
                self.acknowledges.waiting.append({"tag": tag, "error": wrong})
                break
        for end in (self.requests, self.words, self.responses, self.acknowledges):
            end.drive(ctx)

    def sample(self, ctx: Any, cycle: int) -> None:
        """After all is settled."""
        request = self.requests.sample(ctx)
        if request is not None:
            assert request.address % WORD_BYTES == 0
            words = [request.address + WORD_BYTES * number for number in range(request.last + 1)]
            if request.write:
                self.writes.append((words, request.tag, 0))
                self.asked.append(words)
            else:
                self.touched.memory_read |= set(words)
                self.reads.append(Read(request.tag, words, cycle + self.later()))
        word = self.words.sample(ctx)
        if word is not None:
            assert self.writes, "a word without a request"
            words, tag, place = self.writes.popleft()
            memory, at = self.memories.at(words[place])
            for byte in range(WORD_BYTES):
                if word.mask >> byte & 1:
                    self.touched.memory_written.add(words[place] + byte)
                    memory[at + byte] = word.data >> 8 * byte & 0xFF
            if place + 1 < len(words):
                self.writes.appendleft((words, tag, place + 1))
            else:
                self.acknowledging.append((cycle + self.later(), tag))
        self.responses.sample(ctx)
        self.acknowledges.sample(ctx)
        if self.answering is not None and not self.responses.waiting:
            self.answering = None

    def later(self) -> int:
        """Cycles to wait."""
        return self.timing.latency + self.chance.randint(0, self.timing.spread)


class Pad:
    """A scratchpad's port: each read has its result a fixed number of cycles later."""

    LATENCY = 4

    def __init__(
        self, port: Any, scratchpad: Bytes, word_bytes: int, timing: Timing, chance: random.Random, touched: Touched
    ) -> None:
        self.port, self.scratchpad, self.word_bytes, self.timing = port, scratchpad, word_bytes, timing
        self.chance, self.touched = chance, touched
        self.requests = Take(port.requests, chance, timing.rate)
        self.results: deque[tuple[int, int]] = deque()
        self.errors = 0

    def drive(self, ctx: Any, cycle: int) -> None:
        """Before anything is looked at in a cycle."""
        self.requests.drive(ctx)
        here = bool(self.results) and self.results[0][0] == cycle
        ctx.set(self.port.results.valid, here)
        if here:
            _, value = self.results.popleft()
            wrong = self.chance.random() < self.timing.wrong
            self.errors += wrong
            ctx.set(self.port.results.payload, {"data": value, "error": wrong, "corrected": 0})

    def sample(self, ctx: Any, cycle: int) -> None:
        """After all is settled."""
        request = self.requests.sample(ctx)
        if request is None:
            return
        start = request.address * self.word_bytes
        if request.write:
            for byte in range(self.word_bytes):
                if request.mask >> byte & 1:
                    self.touched.scratchpad_written.add(start + byte)
                    self.scratchpad[start + byte] = request.data >> 8 * byte & 0xFF
        else:
            self.touched.scratchpad_read.add(start)
            word = self.scratchpad[start : start + self.word_bytes]
            self.results.append((cycle + self.LATENCY, int.from_bytes(word.tobytes(), "little")))
