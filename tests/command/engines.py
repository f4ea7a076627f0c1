"""What stands around a command processor in tests: instructions, engines, memory, registers."""

import random
from collections import deque

from amaranth.lib import data
from openppu.command.controls import CONTROLS
from openppu.command.instruction import Instruction, InstructionSet
from openppu_verif.ends import Put, Take

COPY = Instruction(
    name="COPY",
    opcode=16,
    engine="copier",
    layout=data.StructLayout({"source": 40, "target": 24, "rows": 12, "mode": 3}),
    addresses=("source", "target"),
    meaning="moves rows",
    meanings={"source": "from", "target": "to", "rows": "how many", "mode": "how"},
)
SUM = Instruction(
    name="SUM",
    opcode=20,
    engine="adder",
    layout=data.StructLayout({"count": 20, "a": 24, "b": 24, "c": 24, "to": 30}),
    addresses=("a", "b", "c", "to"),
    meaning="adds",
    meanings={"count": "how many", "a": "one", "b": "two", "c": "three", "to": "where"},
)
INSTRUCTIONS = InstructionSet((*CONTROLS, COPY, SUM))


class Memory:
    """Answers a memory port's requests, each after a while; writes are acknowledged."""

    def __init__(self, port, chance: random.Random, *, words: dict[int, int], rate: float = 1.0, delay: int = 5):
        self.words, self.chance, self.delay, self.rate = words, chance, delay, rate
        self.requests = Take(port.requests, chance, rate)
        self.data = Take(port.words, chance, rate)
        self.responses = Put(port.responses, chance, rate)
        self.acknowledges = Put(port.acknowledges, chance, rate)
        self.pending: deque = deque()
        self.writes: deque = deque()
        self.cycle = 0
        self.bad: set[int] = set()
        self.read: set[int] = set()

    def drive(self, ctx) -> None:
        self.cycle += 1
        while self.pending and self.pending[0][0] <= self.cycle:
            self.responses.waiting.append(self.pending.popleft()[1])
        for end in (self.requests, self.responses, self.acknowledges):
            end.drive(ctx)
        self.data.drive(ctx, allowed=bool(self.writes))

    def sample(self, ctx) -> None:
        self.responses.sample(ctx)
        self.acknowledges.sample(ctx)
        request = self.requests.sample(ctx)
        if request is not None:
            assert request.address % 32 == 0
            if request.write:
                self.writes.append((request.address, request.last + 1, request.tag))
            else:
                when = self.cycle + self.delay + int(self.chance.random() * self.delay)
                when = max(when, self.pending[-1][0] if self.pending else 0)
                for number in range(request.last + 1):
                    address = request.address + 32 * number
                    self.read.add(address)
                    word = {
                        "data": self.words.get(address, 0),
                        "tag": request.tag,
                        "last": number == request.last,
                        "error": address in self.bad,
                        "corrected": 0,
                    }
                    self.pending.append((when, word))
        word = self.data.sample(ctx)
        if word is not None:
            address, count, tag = self.writes[0]
            assert word.mask == (1 << 32) - 1
            self.words[address] = word.data
            self.writes[0] = (address + 32, count - 1, tag)
            if count == 1:
                self.writes.popleft()
                self.acknowledges.waiting.append({"tag": tag, "error": 0})


class Engine:
    """Takes an engine's commands, and ends each after a while, with the error that ``errors`` has for its number."""

    def __init__(self, issue, finished, chance: random.Random, *, rate: float = 1.0, most: int = 20):
        self.issue, self.finished = Take(issue, chance, rate), Put(finished, chance, rate)
        self.chance, self.most = chance, most
        self.taken: list[tuple[int, int]] = []
        self.errors: dict[int, int] = {}
        self.running: deque = deque()
        self.cycle = 0

    def drive(self, ctx) -> None:
        self.cycle += 1
        while self.running and self.running[0][0] <= self.cycle:
            self.finished.waiting.append({"error": self.running.popleft()[1]})
        self.issue.drive(ctx, allowed=len(self.running) < 3)
        self.finished.drive(ctx)

    def sample(self, ctx) -> None:
        self.finished.sample(ctx)
        item = self.issue.sample(ctx)
        if item is not None:
            when = self.cycle + self.chance.randint(1, self.most)
            when = max(when, self.running[-1][0] if self.running else 0)
            self.running.append((when, self.errors.get(len(self.taken), 0)))
            self.taken.append((item.opcode, item.operands))
