"""A scratchpad in Amaranth's simulator, its ports driven at random, beside its reference and its cycle model."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu_sim.cycles.scratchpad import LATENCY, Access
from openppu_sim.cycles.scratchpad import Scratchpad as Cycles
from openppu_sim.reference.scratchpad import Scratchpad as Reference
from openppu_verif.ends import run


@dataclass(frozen=True)
class Request:
    """One access; a read has no data."""

    address: int
    data: bytes = b""
    mask: int = 0

    @property
    def write(self) -> bool:
        return bool(self.data)

    @property
    def merges(self) -> bool:
        """Whether it is a write of a part of a code word."""
        parts = [self.mask >> at & 0xFF for at in range(0, len(self.data), 8)]
        return any(part not in (0, 0xFF) for part in parts)


@dataclass
class Bench:
    """Ports with requests that wait, and all that is checked in each cycle.

    ``exact``: what is taken must be what the cycle model says, and no word comes corrected.
    """

    config: ScratchpadConfig
    ports: int
    seed: int
    exact: bool = True
    rate: float = 1.0
    waiting: list[deque[Request]] = field(default_factory=list)
    offered: list[bool] = field(default_factory=list)
    taken: list[tuple[int, int, Request]] = field(default_factory=list)
    results: list[tuple[int, int, bytes, bool, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dut = Scratchpad(self.config, ports=self.ports)
        self.chance = random.Random(self.seed)
        self.reference = Reference(words=self.config.words, word_bytes=self.config.word_bytes)
        self.cycles = Cycles(banks=self.config.banks, ports=self.ports)
        self.waiting = [deque() for _ in range(self.ports)]
        self.offered = [False] * self.ports
        self.due: list[deque[tuple[int, bytes, bool, bool]]] = [deque() for _ in range(self.ports)]

    def cycle(self, ctx: Any, cycle: int) -> None:
        """Offer, and look at what is taken and what comes."""
        dut, bank_words = self.dut, self.config.bank_words
        for port, waits in enumerate(self.waiting):
            requests = dut.port[port].requests
            if self.offered[port]:
                continue
            ctx.set(requests.valid, 0)
            if waits and self.chance.random() < self.rate:
                request = waits[0]
                self.offered[port] = True
                ctx.set(
                    requests.payload,
                    {
                        "write": request.write,
                        "address": request.address,
                        "data": int.from_bytes(request.data, "little"),
                        "mask": request.mask if request.write else self.chance.getrandbits(8),
                    },
                )
                ctx.set(requests.valid, 1)
        filling = ctx.get(dut.filling)
        offers = [
            Access(self.waiting[port][0].address // bank_words, self.waiting[port][0].merges) if offered else None
            for port, offered in enumerate(self.offered)
        ]
        expected = self.cycles.step([None] * self.ports if filling else offers)
        for port in range(self.ports):
            taken = bool(self.offered[port] and ctx.get(dut.port[port].requests.ready))
            assert not (filling and taken)
            assert taken == expected[port] or not self.exact, f"port {port} in cycle {cycle}"
            if taken:
                self._take(port, cycle)
        for port in range(self.ports):
            self._result(ctx, port, cycle)

    def _take(self, port: int, cycle: int) -> None:
        request = self.waiting[port].popleft()
        self.offered[port] = False
        self.taken.append((cycle, port, request))
        if request.write:
            mask = [request.mask >> byte & 1 for byte in range(self.config.word_bytes)]
            self.reference.write(request.address, np.frombuffer(request.data, np.uint8), np.array(mask))
        else:
            data, error, corrected = self.reference.read(request.address)
            self.due[port].append((cycle + LATENCY, data.tobytes(), error, corrected))

    def _result(self, ctx: Any, port: int, cycle: int) -> None:
        results = self.dut.port[port].results
        due = self.due[port]
        assert ctx.get(results.valid) == bool(due and due[0][0] == cycle), f"port {port} in cycle {cycle}"
        if due and due[0][0] == cycle:
            _, data, error, corrected = due.popleft()
            payload = ctx.get(results.payload)
            found = payload["data"].to_bytes(self.config.word_bytes, "little")
            assert (found, payload["error"]) == (data, error), f"port {port} in cycle {cycle}"
            assert payload["corrected"] == corrected or (corrected and not self.exact)
            self.results.append((cycle, port, found, bool(error), bool(payload["corrected"])))

    @property
    def done(self) -> bool:
        """Whether all was taken and answered."""
        return not any(self.waiting) and not any(self.due)

    def run(self, each_cycle: Callable[[Any, int], bool] | None = None, *, most: int = 5000) -> int:
        """Simulate until all is done and ``each_cycle`` says so; the cycles it took."""

        def step(ctx: Any, cycle: int) -> bool:
            more = each_cycle(ctx, cycle) if each_cycle else False
            self.cycle(ctx, cycle)
            return self.done and not more

        return run(self.dut, step, most=most)

    def random_requests(self, count: int, *, words: list[int] | None = None, merges: float = 0.2) -> None:
        """Give every port so many: half of them reads, of the writes so many of parts of code words."""
        chance, size = self.chance, self.config.word_bytes
        for waits in self.waiting:
            for _ in range(count):
                address = chance.choice(words) if words else chance.randrange(self.config.words)
                if chance.random() < 0.5:
                    waits.append(Request(address))
                    continue
                groups = [chance.choice((0, 0xFF, 0xFF)) for _ in range(size // 8)]
                if chance.random() < merges:
                    groups[chance.randrange(len(groups))] = chance.randrange(1, 0xFF)
                mask = sum(group << 8 * place for place, group in enumerate(groups))
                waits.append(Request(address, chance.randbytes(size), mask))
