"""What stands around a command processor in tests: instructions and engines."""

import random
from collections import deque

from amaranth import signed
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
    layout=data.StructLayout({"count": signed(20), "a": 24, "b": 24, "c": 24, "to": 30}),
    addresses=("a", "b", "c", "to"),
    meaning="adds",
    meanings={"count": "how many", "a": "one", "b": "two", "c": "three", "to": "where"},
)
INSTRUCTIONS = InstructionSet((*CONTROLS, COPY, SUM))


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
