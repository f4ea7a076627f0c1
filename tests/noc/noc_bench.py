"""A network in Amaranth's simulator: users at its initiators, models of memories at its targets."""

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openppu.common.memory import WORD_BYTES
from openppu.noc.noc import Noc
from openppu.noc.plan import Plan
from openppu_sim.cycles.scratchpad import LATENCY
from openppu_sim.reference.scratchpad import Scratchpad as Reference
from openppu_verif.ends import Put, Take, run
from openppu_verif.memory_model import MemoryModel

SCRATCHPADS = 1 << 39


def scratchpad_address(unit: int, byte: int = 0) -> int:
    """Of a byte of a compute unit's scratchpad."""
    return SCRATCHPADS | unit << 24 | byte


class PadModel:
    """A scratchpad at a port of the network, without wrong bits."""

    def __init__(self, port: Any, plan: Plan, chance: random.Random, rate: float) -> None:
        self.port, self.requests = port, Take(port.requests, chance, rate)
        self.size = plan.scratchpad.word_bytes
        self.reference = Reference(words=plan.scratchpad.words, word_bytes=self.size)
        self.due: deque[tuple[int, int]] = deque()
        self.cycle = 0

    def drive(self, ctx: Any) -> None:
        self.cycle += 1
        self.requests.drive(ctx)
        comes = bool(self.due and self.due[0][0] == self.cycle)
        ctx.set(self.port.results.valid, comes)
        if comes:
            ctx.set(self.port.results.payload, {"data": self.due.popleft()[1], "error": 0, "corrected": 0})

    def sample(self, ctx: Any) -> None:
        asked = self.requests.sample(ctx)
        if asked is None:
            return
        if asked.write:
            mask = [asked.mask >> byte & 1 for byte in range(self.size)]
            word = list(asked.data.to_bytes(self.size, "little"))
            self.reference.write(asked.address, np.array(word, dtype=np.uint8), np.array(mask))
        else:
            data = self.reference.read(asked.address)[0].tobytes()
            self.due.append((self.cycle + LATENCY, int.from_bytes(data, "little")))


@dataclass
class User:
    """An initiator's other side, and what it is to be answered, by tag."""

    requests: Put
    words: Put
    responses: Take
    acknowledges: Take
    expected: dict[int, deque[list[tuple[int, bool]]]] = field(default_factory=dict)
    acknowledged: dict[int, deque[bool]] = field(default_factory=dict)
    read: list[tuple[int, int]] = field(default_factory=list)
    at: dict[str, list[int]] = field(default_factory=lambda: {"requests": [], "responses": [], "acknowledges": []})

    @property
    def done(self) -> bool:
        waits = (self.requests.waiting, self.words.waiting, *self.expected.values(), *self.acknowledged.values())
        return not any(waits)


class Bench:
    """Users that ask, and are to be answered as if the memory were one.

    Of each user and tag, requests take effect in order; others must keep away from what it touches until it is
    answered.
    """

    def __init__(self, plan: Plan, seed: int, *, rate: float = 1.0, delay: int = 3) -> None:
        self.plan, self.chance = plan, random.Random(seed)
        self.dut = Noc(plan)
        self.memory: dict[int, int] = {}
        chance = self.chance
        self.users = [
            User(
                Put(port.requests, chance, rate),
                Put(port.words, chance, rate),
                Take(port.responses, chance, rate),
                Take(port.acknowledges, chance, rate),
            )
            for port in self.dut.initiator
        ]
        self.channels = [MemoryModel(port, chance, rate=rate, delay=delay) for port in self.dut.channel]
        pads = self.dut.scratchpad if plan.units else []
        self.pads = [PadModel(port, plan, chance, rate) for port in pads]
        self.begun: list[list[int]] = [[] for _ in self.channels]
        """Cycles in which a channel's port has a request."""
        self.offered: list[int] = []
        """Cycles in which some channel offers a word."""

    def ask_write(self, user: int, tag: int, address: int, data: bytes, *, masks: list[int] | None = None) -> None:
        """A write, and what it changes if it is inside of all memory."""
        count = len(data) // WORD_BYTES
        error = not self.inside(address, count)
        self._ask(user, 1, tag, address, count)
        for number in range(count):
            mask = masks[number] if masks else (1 << WORD_BYTES) - 1
            word = data[WORD_BYTES * number : WORD_BYTES * (number + 1)]
            self.users[user].words.waiting.append({"data": int.from_bytes(word, "little"), "mask": mask})
            for byte in range(WORD_BYTES):
                if not error and mask >> byte & 1:
                    self.memory[address + WORD_BYTES * number + byte] = word[byte]
        self.users[user].acknowledged.setdefault(tag, deque()).append(error)

    def ask_read(self, user: int, tag: int, address: int, count: int) -> None:
        """A read, of what has been asked for to be there."""
        error = not self.inside(address, count)
        self._ask(user, 0, tag, address, count)
        words = []
        for number in range(count):
            place = address + WORD_BYTES * number
            data = bytes(self.memory.get(place + byte, 0) for byte in range(WORD_BYTES))
            words.append((0 if error else int.from_bytes(data, "little"), error))
        self.users[user].expected.setdefault(tag, deque()).append(words)

    def _ask(self, user: int, write: int, tag: int, address: int, count: int) -> None:
        request = {"write": write, "address": address, "last": count - 1, "tag": tag}
        self.users[user].requests.waiting.append(request)

    def inside(self, address: int, count: int) -> bool:
        """Whether all of it is in some memory."""
        end = address + WORD_BYTES * count
        if address % WORD_BYTES:
            return False
        if address < SCRATCHPADS:
            return end <= WORD_BYTES * self.plan.hbm_words
        unit, byte = address - SCRATCHPADS >> 24, address & 0xFFFFFF
        return unit < self.plan.units and byte + WORD_BYTES * count <= self.plan.scratchpad.capacity

    def cycle(self, ctx: Any, cycle: int) -> bool:
        """One cycle; whether all is answered."""
        ends = [*self.channels, *self.pads]
        for user in self.users:
            for end in (user.requests, user.words, user.responses, user.acknowledges):
                end.drive(ctx)
        for target in ends:
            target.drive(ctx)
        for number, channel in enumerate(self.channels):
            if ctx.get(channel.requests.stream.valid):
                self.begun[number].append(cycle)
            if channel.responses.offered:
                self.offered.append(cycle)
        for target in ends:
            target.sample(ctx)
        for user in self.users:
            if user.requests.sample(ctx) is not None:
                user.at["requests"].append(cycle)
            user.words.sample(ctx)
            self._response(user, user.responses.sample(ctx), cycle)
            acknowledge = user.acknowledges.sample(ctx)
            if acknowledge is not None:
                assert user.acknowledged[acknowledge.tag].popleft() == acknowledge.error
                user.at["acknowledges"].append(cycle)
        return all(user.done for user in self.users)

    def _response(self, user: User, response: Any, cycle: int) -> None:
        if response is None:
            return
        words = user.expected[response.tag][0]
        data, error = words.pop(0)
        assert response.error == error
        assert response.data == data
        assert response.last == (not words)
        if not words:
            user.expected[response.tag].popleft()
        user.at["responses"].append(cycle)

    def run(self, most: int = 5000) -> int:
        """Simulate until all is answered; the cycles it took."""
        return run(self.dut, self.cycle, most=most)
