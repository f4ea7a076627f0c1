"""Turns that are kept: what is picked stays until it is served, and nobody is served twice while another waits."""

import random

import pytest
from openppu.common.choose import KeptTurns
from openppu_verif.ends import run


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_a_pick_stays_and_turns_are_fair(width, rate):
    chance = random.Random(width)
    turns = KeptTurns(width)
    waiting: set[int] = set()
    passed = [0] * width
    kept: list[int] = []
    served = 0

    def each_cycle(ctx, cycle):
        nonlocal served
        waiting.update(number for number in range(width) if chance.random() < 0.5)
        goes = chance.random() < rate
        ctx.set(turns.requests, sum(1 << number for number in waiting))
        ctx.set(turns.served, goes)
        assert ctx.get(turns.valid) == bool(waiting)
        if not waiting:
            return False
        pick = ctx.get(turns.pick)
        assert pick in waiting
        assert not kept or kept == [pick], "another one was picked while the first one waited"
        kept[:] = [] if goes else [pick]
        if goes:
            waiting.remove(pick)
            passed[pick] = 0
            served += 1
            for number in waiting:
                passed[number] += 1
                # The one that was picked before it came, and each other once.
                assert passed[number] <= width
        return served == 400

    run(turns, each_cycle, most=4000)
