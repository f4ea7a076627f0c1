"""A chip's memory at a port, in cocotb: in order within a tag, in any order between tags."""

import random
from collections import deque
from typing import Any

from amaranth.lib import data
from openppu.common.memory import WORD_BYTES, acknowledge_layout, request_layout, response_layout, write_word_layout

from openppu_verif.streams import Sink, Source


def packed(layout: data.StructLayout, **values: int) -> int:
    """A payload; fields that are not named are 0."""
    return sum(int(value) << layout[name].offset for name, value in values.items())


def unpacked(layout: data.StructLayout, payload: int) -> dict[str, int]:
    """The fields of one."""
    return {str(name): payload >> field.offset & (1 << field.width) - 1 for name, field in layout}


class PortMemory:
    """Takes a port's requests and words, and answers them after a while.

    Parameters
    ----------
    dut : cocotb handle
    name : str
        Of the port, a `openppu.common.memory.MemorySignature` from the user's side.
    tags : int
    size : int
        Bytes; what reaches beyond is answered with an error.
    chance : random.Random
    rate : float
        How likely each stream goes on in a cycle.
    """

    def __init__(self, dut: Any, name: str, *, tags: int, size: int, chance: random.Random, rate: float) -> None:
        self.tags, self.size, self.chance, self.rate = tags, size, chance, rate
        self.requests, self.words = Sink(dut, f"{name}__requests"), Sink(dut, f"{name}__words")
        self.responses = Source(dut, f"{name}__responses", chance)
        self.acknowledges = Source(dut, f"{name}__acknowledges", chance)
        self.held: dict[int, int] = {}
        """Words by the address of their first byte."""
        self.bad: set[int] = set()
        """Words, likewise, that are read with an error."""
        self._writes: deque[dict[str, int]] = deque()
        self._early: deque[int] = deque()
        self._waiting: dict[int, deque[dict[str, int]]] = {}

    def begin(self) -> None:
        """After a reset."""
        for end in (self.requests, self.words, self.responses, self.acknowledges):
            end.begin()

    def drive(self, cycle: int) -> None:
        """The first half of a cycle."""
        for sink in (self.requests, self.words):
            sink.allow([self.chance.random() < self.rate])
            sink.drive(0)
        if self.chance.random() < self.rate:
            self._answer()
        for source in (self.responses, self.acknowledges):
            source.allow([self.chance.random() < self.rate])
            source.drive(0)

    def sample(self, cycle: int) -> None:
        """The second half."""
        self.responses.sample()
        self.acknowledges.sample()
        asked, word = self.requests.sample(cycle), self.words.sample(cycle)
        if asked is not None:
            request = unpacked(request_layout(self.tags), asked) | {"done": 0}
            assert request["address"] % WORD_BYTES == 0, f"a request at {request['address']:#x}"
            self._waiting.setdefault(request["tag"], deque()).append(request)
            if request["write"]:
                self._writes.append(request)
        if word is not None:
            self._early.append(word)
        while self._early and self._writes:
            self._write(unpacked(write_word_layout(), self._early.popleft()))

    def _write(self, word: dict[str, int]) -> None:
        request = self._writes[0]
        address = request["address"] + WORD_BYTES * request["done"]
        keep = sum(0xFF << 8 * byte for byte in range(WORD_BYTES) if not word["mask"] >> byte & 1)
        if not self._beyond(request):
            self.held[address] = word["data"] & ~keep | self.held.get(address, 0) & keep
        request["done"] += 1
        if request["done"] > request["last"]:
            self._writes.popleft()

    def _beyond(self, request: dict[str, int]) -> bool:
        return request["address"] + WORD_BYTES * (request["last"] + 1) > self.size

    def _answer(self) -> None:
        """One of the tags' oldest requests."""
        ready = [
            queue
            for queue in self._waiting.values()
            if queue and (not queue[0]["write"] or queue[0]["done"] > queue[0]["last"])
        ]
        if not ready or self.responses.waiting or self.acknowledges.waiting:
            return
        request = self.chance.choice(ready).popleft()
        beyond = self._beyond(request)
        if request["write"]:
            self.acknowledges.put(packed(acknowledge_layout(self.tags), tag=request["tag"], error=beyond))
            return
        for number in range(request["last"] + 1):
            address = request["address"] + WORD_BYTES * number
            fields = {
                "data": 0 if beyond else self.held.get(address, 0),
                "tag": request["tag"],
                "last": number == request["last"],
                "error": beyond or address in self.bad,
            }
            self.responses.put(packed(response_layout(self.tags), **fields))
