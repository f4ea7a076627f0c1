"""The scrubber reads all memory in turn, at its time, and writes back what came corrected, and nothing else."""

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.scrubber import Scrubber
from openppu.hbm.settings import Settings
from openppu_verif.ends import Put, Take, run

CONFIG = ChannelConfig(height=12)
GRANULES = CONFIG.accesses // 8


class Memory:
    """A port and what is behind it: words that come corrected until they are written, and words with error."""

    def __init__(self, dut: Scrubber, chance: random.Random, rate: float) -> None:
        self.chance, self.rate = chance, rate
        self.requests, self.words = Take(dut.requests, chance, rate), Take(dut.words, chance, rate)
        self.responses, self.acknowledges = Put(dut.responses, chance, rate), Put(dut.acknowledges, chance, rate)
        self.broken: set[int] = set()
        self.wrong: set[int] = set()
        self.reads: list[int] = []
        self.written: list[int] = []
        self.asked: int | None = None
        self.word = False

    def step(self, ctx: Any) -> None:
        """One cycle."""
        for end in (self.responses, self.acknowledges):
            end.drive(ctx)
            end.sample(ctx)
        # A write's word and its request may go in any order.
        self.requests.drive(ctx, allowed=self.asked is None)
        self.words.drive(ctx, allowed=not self.word)
        word, request = self.words.sample(ctx), self.requests.sample(ctx)
        if word is not None:
            assert word.mask == 0
            self.word = True
        if request is not None and not request.write:
            self.read(request)
        elif request is not None:
            assert request.last == 0
            self.asked = request.address
        if self.word and self.asked is not None:
            self.broken.discard(self.asked)
            self.written.append(self.asked)
            self.acknowledges.waiting.append({"tag": 0, "error": 0})
            self.word, self.asked = False, None

    def read(self, request: Any) -> None:
        """Answer a granule."""
        assert (request.address % 8, request.last, request.tag) == (0, 7, 0)
        self.reads.append(request.address // 8)
        for address in range(request.address, request.address + 8):
            answer = {"data": self.chance.getrandbits(256), "tag": 0, "last": address % 8 == 7}
            bad = address in self.wrong
            answer |= {"error": bad, "corrected": address in self.broken and not bad}
            self.responses.waiting.append(answer)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_what_came_corrected_is_written_back_and_nothing_else(rate: float) -> None:
    chance = random.Random(int(rate * 10))
    dut = Scrubber(CONFIG)
    memory = Memory(dut, chance, rate)
    start = GRANULES - 10
    places = [*range(8 * start, 8 * GRANULES), *range(8 * 20)]
    broken = set(chance.sample(places, 60)) | set(range(24, 32))
    memory.broken, memory.wrong = set(broken), {35, 41, *list(broken)[:5]}
    untouched = memory.wrong & broken
    settings = Settings(scrub_interval=20, scrub_idle=0).values()

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.settings, settings)
        ctx.set(dut.idle, 1)
        if cycle == 0:
            ctx.set(dut.position, start)  # just before the wrap-around
        memory.step(ctx)
        if ctx.get(dut.requests.valid) or memory.responses.waiting or memory.acknowledges.waiting:
            assert ctx.get(dut.busy)
        done = ctx.get(dut.position) == 20
        if done:
            assert ctx.get(dut.passes) == 1
            assert ctx.get(dut.repaired) == len(broken - untouched)
            assert ctx.get(dut.wrong) == len(memory.wrong)
        return done

    run(dut, step, most=20_000)
    assert memory.reads == [*range(start, GRANULES), *range(20)], f"rate {rate}"
    assert sorted(memory.written) == sorted(broken - untouched), "each once"
    assert memory.broken == untouched


@pytest.mark.parametrize(
    ("interval", "rest", "busy", "expected"),
    [(50, 10, 0.0, 50), (50, 10, 1.0, 100), (60, 30, 0.5, 120), (40, 8, 0.02, None), (0, 0, 0.0, 0)],
)
def test_granules_are_read_at_their_time(interval: int, rest: int, busy: float, expected: int | None) -> None:
    chance = random.Random(interval)
    dut = Scrubber(CONFIG)
    memory = Memory(dut, chance, 1.0)
    settings = replace(Settings(), scrub_interval=interval, scrub_idle=rest).values()
    begun: list[int] = []
    idle_for = 0
    most = 24 * interval + 200

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal idle_for
        ctx.set(dut.settings, settings)
        before, count = idle_for, len(memory.reads)
        idle = chance.random() >= busy
        ctx.set(dut.idle, idle)
        idle_for = idle_for + 1 if idle else 0
        memory.step(ctx)
        if len(memory.reads) > count:
            if begun:
                gap = cycle - begun[-1]
                assert interval <= gap <= 2 * interval, f"cycle {cycle}"
                # The request is a register, and goes in the clock after the choice.
                assert before > rest or gap == 2 * interval, f"cycle {cycle}"
            begun.append(cycle)
        return cycle == most

    run(dut, step, most=most + 1)
    gaps = Counter(late - early for early, late in pairwise(begun))
    if interval == 0:
        assert not begun
    elif expected is None:
        assert len(gaps) > 5
        assert gaps[2 * interval] < len(begun) // 2
    else:
        assert set(gaps) == {expected}, gaps
