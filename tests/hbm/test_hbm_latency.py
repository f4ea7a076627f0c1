"""Every read is timed, from its offer to its first word, and counted in the bucket of its latency."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator
from openppu.hbm.config import ChannelConfig
from openppu.hbm.latency import LatencyHistogram, histogram_layout

CONFIG = ChannelConfig(ports=2, tags=4, slots=8)
LEAST = [int(name.removeprefix("from_")) for name in histogram_layout().members]


class Port:
    """A port's two streams: requests that wait at random, and answers of random latency, in order within a tag."""

    def __init__(self, chance: random.Random, slow: bool) -> None:
        self.chance, self.slow = chance, slow
        self.offer: dict[str, int] | None = None
        self.answer: dict[str, int] | None = None
        self.waiting: list[deque[tuple[int, int, int]]] = [deque() for _ in range(CONFIG.tags)]
        self.left = [0] * CONFIG.tags
        self.latencies: list[int] = []

    def step(self, ctx: Any, requests: Any, responses: Any, clock: int, last: bool) -> None:
        """One clock."""
        chance = self.chance
        if self.offer is None and not last and chance.random() < 0.5:
            tag = chance.randrange(CONFIG.tags)
            if len(self.waiting[tag]) < 2 * CONFIG.slots + 1:
                self.offer = {"valid": 1, "tag": tag, "mark": int(chance.random() < 0.3)}
                if not self.offer["mark"]:
                    due = clock + (chance.choice((1, 7, 31, 32, 100, 700)) if self.slow else 3)
                    self.waiting[tag].append((clock, due, chance.randrange(1, 4)))
        taken = chance.random() < 0.7
        ctx.set(requests, {**(self.offer or {"valid": 0, "tag": chance.randrange(CONFIG.tags)}), "ready": taken})
        if taken:
            self.offer = None
        if self.answer is None:
            tags = [tag for tag, queue in enumerate(self.waiting) if queue and queue[0][1] <= clock]
            if tags:
                tag = chance.choice(tags)
                self.left[tag] = self.left[tag] or self.waiting[tag][0][2]
                self.answer = {"valid": 1, "tag": tag, "mark": int(self.left[tag] == 1)}
        taken = chance.random() < 0.8
        ctx.set(responses, {**(self.answer or {"valid": 0, "mark": chance.randrange(2)}), "ready": taken})
        if taken and self.answer is not None:
            tag, self.answer = self.answer["tag"], None
            begun, _, words = self.waiting[tag][0]
            if self.left[tag] == words:
                self.latencies.append(clock - begun)
            self.left[tag] -= 1
            if not self.left[tag]:
                self.waiting[tag].popleft()


@pytest.mark.parametrize(("seed", "slow"), [(1, False), (2, True), (3, True)])
def test_each_read_is_in_its_bucket(seed: int, slow: bool) -> None:
    dut, chance = LatencyHistogram(CONFIG), random.Random(seed)
    ports = [Port(chance, slow) for _ in range(CONFIG.ports)]

    async def bench(ctx: Any) -> None:
        for clock in range(1500):
            for index, port in enumerate(ports):
                port.step(ctx, dut.requests[index], dut.responses[index], clock, clock > 1000)
            await ctx.tick()
        for index in range(CONFIG.ports):
            ctx.set(dut.responses[index].valid, 0)
        await ctx.tick().repeat(2)
        latencies = [latency for port in ports for latency in port.latencies]
        assert len(latencies) > 100
        expected = [0] * len(LEAST)
        for latency in latencies:
            expected[max(n for n, least in enumerate(LEAST) if least <= latency)] += 1
        counts = ctx.get(dut.counts)
        assert [counts[name] for name in histogram_layout().members] == expected, f"seed {seed}"
        assert sum(map(bool, expected)) >= (5 if slow else 1), expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-9)
    simulator.add_testbench(bench)
    simulator.run()
