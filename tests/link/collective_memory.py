"""A memory for the engine's streams in Amaranth's simulator, and small configurations."""

import random
from collections import deque
from typing import Any

from openppu.link.collective.config import CollectiveConfig
from openppu.link.config import LinkConfig


def small(*, ports: int = 1, lanes: int = 2, window: int = 8, packet: int = 2, reads: int = 8) -> CollectiveConfig:
    """An engine with beats of two bytes a lane."""
    link = LinkConfig(ports=ports, lanes=lanes, lane_bits=16)
    return CollectiveConfig(link=link, window=window, packet=packet, reads=reads)


class ReadPort:
    """Answers reads of a function of the address, each after a random number of cycles, in order."""

    def __init__(self, memory: Any, chance: random.Random, content: Any, *, rate: float = 1.0, most: int = 6) -> None:
        self.memory, self.chance, self.content, self.rate, self.most = memory, chance, content, rate, most
        self.under_way: deque[tuple[int, int]] = deque()
        self.asked: list[int] = []
        self.ready = False

    def drive(self, ctx: Any, cycle: int) -> None:
        self.ready = self.chance.random() < self.rate
        ctx.set(self.memory.address.ready, self.ready)
        due = bool(self.under_way) and self.under_way[0][0] <= cycle
        ctx.set(self.memory.beat.valid, due)
        ctx.set(self.memory.beat.payload, self.under_way.popleft()[1] if due else 0)

    def sample(self, ctx: Any, cycle: int) -> int | None:
        """The address that is asked for in this cycle."""
        assert ctx.get(self.memory.beat.ready)
        if not (self.ready and ctx.get(self.memory.address.valid)):
            return None
        address: int = ctx.get(self.memory.address.payload.address)
        self.asked.append(address)
        self.under_way.append((cycle + self.chance.randint(1, self.most), self.content(address)))
        return address


class WritePort:
    """Takes writes, and tells of each after a random number of cycles, in order."""

    def __init__(self, memory: Any, chance: random.Random, *, rate: float = 1.0, most: int = 6) -> None:
        self.memory, self.chance, self.rate, self.most = memory, chance, rate, most
        self.under_way: deque[int] = deque()
        self.found: list[tuple[int, int, int]] = []
        self.told = 0
        self.ready = False

    def drive(self, ctx: Any, cycle: int) -> None:
        self.ready = self.chance.random() < self.rate
        ctx.set(self.memory.beat.ready, self.ready)
        due = bool(self.under_way) and self.under_way[0] <= cycle
        ctx.set(self.memory.written, due)
        if due:
            self.under_way.popleft()
            self.told += 1

    def sample(self, ctx: Any, cycle: int) -> tuple[int, int, int] | None:
        """The address, bytes and data of the beat that is taken in this cycle."""
        if not (self.ready and ctx.get(self.memory.beat.valid)):
            return None
        beat = ctx.get(self.memory.beat.payload)
        count = beat.count + 1
        item = (beat.address, count, beat.data & (1 << 8 * count) - 1)
        self.found.append(item)
        self.under_way.append(cycle + self.chance.randint(1, self.most))
        return item
