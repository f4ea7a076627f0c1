"""A port shared by several: each gets all of its own answers, and none of the other's."""

import random
from collections import deque
from itertools import pairwise
from typing import Any

import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.port_share import PortShare
from openppu_verif.ends import Put, Take, run

CONFIG = ChannelConfig(tags=2)
REQUESTS = 40


class User:
    """Makes bursts of requests, and wants the port from before the first to the last one's answer."""

    def __init__(self, dut: PortShare, number: int, chance: random.Random) -> None:
        self.dut, self.number, self.chance = dut, number, chance
        self.requests, self.words = Put(dut.requests[number], chance, 0.6), Put(dut.words[number], chance, 0.6)
        self.responses, self.acknowledges = (
            Take(getattr(dut, name)[number], chance, 0.7) for name in ("responses", "acknowledges")
        )
        self.left, self.owed, self.pause = REQUESTS, 0, 0
        self.expected: deque[int] = deque()

    def step(self, ctx: Any) -> None:
        """One cycle."""
        if not self.owed and self.left:
            if self.pause:
                self.pause -= 1
            else:
                for _ in range(min(self.left, self.chance.randrange(1, 5))):
                    write, mark = self.chance.random() < 0.5, self.chance.getrandbits(20) << 2 | self.number
                    self.requests.waiting.append({"write": write, "address": mark})
                    if write:
                        self.words.waiting.append({"data": mark})
                    self.owed += 1
                    self.left -= 1
                self.pause = self.chance.randrange(12)
        ctx.set(self.dut.wanted[self.number], self.owed > 0)
        for end in (self.requests, self.words, self.responses, self.acknowledges):
            end.drive(ctx)

    def sample(self, ctx: Any) -> None:
        """What went in this cycle."""
        for end in (self.requests, self.words):
            if (item := end.sample(ctx)) is not None:
                assert ctx.get(self.dut.granted[self.number])
                if item.get("write") == 0:
                    self.expected.append(item["address"])
        if (response := self.responses.sample(ctx)) is not None:
            assert response.data == self.expected.popleft(), "an answer to another request"
            self.owed -= 1
        if self.acknowledges.sample(ctx) is not None:
            self.owed -= 1


@pytest.mark.parametrize(("seed", "count"), [(0, 2), (1, 2), (2, 3), (3, 4)])
def test_each_user_has_its_own_answers(seed: int, count: int) -> None:
    dut, chance = PortShare(CONFIG, users=count), random.Random(seed)
    users = [User(dut, number, chance) for number in range(count)]
    requests, words = Take(dut.port_requests, chance, 0.7), Take(dut.port_words, chance, 0.7)
    responses, acknowledges = Put(dut.port_responses, chance, 0.6), Put(dut.port_acknowledges, chance, 0.6)
    writes = written = 0
    owners: list[int] = []

    def step(ctx: Any, cycle: int) -> bool:
        nonlocal writes, written
        for user in users:
            user.step(ctx)
        for end in (requests, words, responses, acknowledges):
            end.drive(ctx)
        if (request := requests.sample(ctx)) is not None:
            owners.append(request.address & 3)
            if request.write:
                writes += 1
            else:
                responses.waiting.append({"data": request.address, "last": 1})
        if (word := words.sample(ctx)) is not None:
            assert ctx.get(dut.granted[word.data & 3]), f"seed {seed}: a word of the other user"
            written += 1
        if writes and written:
            writes, written = writes - 1, written - 1
            acknowledges.waiting.append({"error": 0})
        for end in (responses, acknowledges):
            end.sample(ctx)
        for user in users:
            user.sample(ctx)
        return not any(user.left or user.owed for user in users)

    run(dut, step, most=8000)
    assert [owners.count(number) for number in range(count)] == [REQUESTS] * count
    changes = sum(a != b for a, b in pairwise(owners))
    assert changes > 8, f"seed {seed}: {changes} changes of owner"


def test_one_user_alone_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^users = 1: give 2 or more"):
        PortShare(CONFIG, users=1)
