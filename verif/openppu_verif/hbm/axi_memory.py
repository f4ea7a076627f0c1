"""A memory behind a channel's request port, in cocotb: in order within a tag, in any order between tags."""

import random
from collections import deque
from typing import Any

from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout

from openppu_verif.streams import Sink, Source


class PortMemory:
    """Takes the port's requests and words, and answers them.

    Parameters
    ----------
    dut : cocotb handle
        With streams ``requests``, ``words``, ``responses`` and ``acknowledges``.
    config : ChannelConfig
    chance : random.Random
    rate : float
        How likely each stream goes on in a cycle.
    bad : set of int
        Accesses that are read with an error.
    """

    def __init__(self, dut: Any, config: ChannelConfig, chance: random.Random, rate: float, bad: set[int]) -> None:
        self.config, self.chance, self.rate, self.bad = config, chance, rate, bad
        self.requests, self.words = Sink(dut, "requests"), Sink(dut, "words")
        self.responses, self.acknowledges = Source(dut, "responses", chance), Source(dut, "acknowledges", chance)
        of = config.organisation
        self.capacity = of.pseudo_channels * of.banks * of.rows * of.columns
        self.words_held: dict[int, int] = {}
        self.pending: deque[Any] = deque()
        self.ready: dict[int, deque[list[int]]] = {tag: deque() for tag in range(config.tags)}
        self.taken = 0
        self.counts = {"reads": 0, "writes": 0}

    def begin(self) -> None:
        """After a reset."""
        for end in (self.requests, self.words, self.responses, self.acknowledges):
            end.begin()

    def drive(self, cycle: int) -> None:
        """The first half of a cycle."""
        writes = any(request.write for request in self.pending)
        # Words are taken only with their request.
        for sink, able in ((self.requests, len(self.pending) < 4), (self.words, writes)):
            sink.allow([able and self.chance.random() < self.rate])
            sink.drive(0)
        if not self.responses.waiting:
            tags = [tag for tag, pieces in self.ready.items() if pieces]
            if tags and self.chance.random() < self.rate:
                for payload in self.ready[self.chance.choice(tags)].popleft():
                    self.responses.put(payload)
        self.responses.drive(cycle)
        self.acknowledges.drive(cycle)

    def sample(self, cycle: int) -> None:
        """The second half."""
        self.responses.sample()
        self.acknowledges.sample()
        request = self.requests.sample(cycle)
        if request is not None:
            self.pending.append(request_layout(self.config).from_bits(request))
        word = self.words.sample(cycle)
        if word is not None:
            self._write(write_word_layout().from_bits(word), cycle)
        while self.pending and not self.pending[0].write:
            self._read(self.pending.popleft())

    def _write(self, word: Any, cycle: int) -> None:
        request = next(request for request in self.pending if request.write)
        assert request is self.pending[0]
        assert request.address % GRANULE + request.last < GRANULE, "a write of more than a granule"
        address = request.address + self.taken
        old = self.words_held.get(address, 0)
        keep = sum(0xFF << 8 * byte for byte in range(32) if not word.mask >> byte & 1)
        self.words_held[address] = word.data & ~keep | old & keep
        self.taken += 1
        if self.taken <= request.last:
            return
        self.taken = 0
        self.pending.popleft()
        self.counts["writes"] += 1
        beyond = request.address + request.last >= self.capacity
        answer = acknowledge_layout(self.config).const({"tag": request.tag, "error": beyond}).as_bits()
        self.acknowledges.put(answer, cycle + (0 if self.rate == 1 else self.chance.randrange(12)))

    def _read(self, request: Any) -> None:
        self.counts["reads"] += 1
        addresses = range(request.address, request.address + request.last + 1)
        beyond = addresses[-1] >= self.capacity
        pieces: list[list[int]] = []
        for address in addresses:
            if not pieces or address % GRANULE == 0:
                pieces.append([])
            fields = {
                "data": 0 if beyond else self.words_held.get(address, 0),
                "tag": request.tag,
                "last": address == addresses[-1],
                "error": beyond or address in self.bad,
            }
            pieces[-1].append(response_layout(self.config).const(fields).as_bits())
        self.ready[request.tag].extend(pieces)
