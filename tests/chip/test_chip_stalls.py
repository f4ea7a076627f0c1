"""What stalls the streams within a chip keeps their rule, and lets them move as often as it says."""

import random

import pytest
from openppu_verif.chip.stalled_chip import EPOCH_BITS, Stall
from openppu_verif.ends import run

CLOCKS = 6000


@pytest.mark.parametrize("seed", [1, 2, 0x9E3779B9])
def test_what_is_offered_stays_until_it_is_taken(seed):
    chance, dut = random.Random(seed), Stall(seed)
    waits, shares = [False], {}

    def each_cycle(ctx, cycle):
        valid, ready = waits[0] or chance.random() < 0.7, chance.random() < 0.5
        ctx.set(dut.valid, valid)
        ctx.set(dut.ready, ready)
        opens = ctx.get(dut.opens)
        assert opens or not waits[0], "what was offered is offered again"
        waits[0] = bool(valid and opens and not ready)
        if not waits[0]:
            shares.setdefault(cycle >> EPOCH_BITS, []).append(opens)
        return cycle == CLOCKS

    run(dut, each_cycle, most=CLOCKS + 1)
    found = sorted(sum(each) / len(each) for each in shares.values())
    assert found[0] < 0.6
    assert found[-1] == 1.0
