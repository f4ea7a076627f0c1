"""The fill writes zeros to each of the first accesses once, through two ports at a word a clock each."""

import random
from collections import Counter
from typing import Any

import pytest
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.zero_fill import LANES, ZeroFill
from openppu_verif.ends import Take, run

CONFIG = ChannelConfig(height=4, tags=2, slots=8)


class Lane:
    """A port: takes a request with its last word, acknowledges it some time later."""

    def __init__(self, dut: ZeroFill, number: int, chance: random.Random, rate: float) -> None:
        self.number, self.chance, self.rate = number, chance, rate
        self.offered = dut.requests[number]
        self.requests, self.words = Take(dut.requests[number], chance), Take(dut.words[number], chance)
        self.acknowledged = dut.acknowledged[number]
        self.owed = 0
        self.seen: Counter[int] = Counter()
        self.brought = 0

    def step(self, ctx: Any) -> None:
        """One cycle."""
        waits = self.offered.payload if ctx.get(self.offered.valid) else None
        last = ctx.get(waits.last) if waits is not None else 0
        moves = self.chance.random() < self.rate
        self.words.drive(ctx, allowed=moves and waits is not None)
        word = self.words.sample(ctx)
        self.requests.drive(ctx, allowed=word is not None and self.brought == last)
        if word is not None:
            assert (word.data, word.mask) == (0, 0xFFFFFFFF)
            self.brought += 1
        if (request := self.requests.sample(ctx)) is not None:
            assert request.write == 1
            assert request.address // GRANULE % LANES == self.number
            self.seen.update(range(request.address, request.address + request.last + 1))
            self.brought = 0
            self.owed += 1
        answers = self.owed > 0 and self.chance.random() < self.rate
        ctx.set(self.acknowledged, answers)
        self.owed -= answers


def fill(accesses: int, rate: float, seed: int = 1) -> int:
    """Fill so many accesses; the cycles that it took."""
    dut, chance = ZeroFill(CONFIG), random.Random(seed)
    lanes = [Lane(dut, number, chance, rate) for number in range(LANES)]

    def step(ctx: Any, cycle: int) -> bool:
        ctx.set(dut.accesses, accesses)
        ctx.set(dut.start, 1)
        answered = not any(lane.owed for lane in lanes)
        for lane in lanes:
            lane.step(ctx)
        seen = lanes[0].seen + lanes[1].seen
        done = bool(ctx.get(dut.done))
        assert not done or (answered and seen.total() == accesses), f"done after {seen.total()} of {accesses} accesses"
        assert not (done and any(ctx.get(words.valid) for words in dut.words)), "a word too many"
        return done

    cycles = run(dut, step, most=accesses * 8 + 20)
    assert lanes[0].seen + lanes[1].seen == Counter(range(accesses))
    assert not any(lane.brought for lane in lanes)
    return cycles


@pytest.mark.parametrize("accesses", [0, 1, 7, 8, 9, 15, 16, 17, 100, 129])
def test_each_access_is_written_once(accesses: int) -> None:
    for rate in (1.0, 0.4):
        fill(accesses, rate, seed=accesses)


def test_each_port_brings_a_word_a_clock() -> None:
    assert fill(1024, 1.0) <= 1024 // LANES + ZeroFill.LATENCY + 3
