"""Runs of beats: all of them in order, within blocks, as long as they can be, and none waits for ever."""

import random
from itertools import pairwise

import pytest
from openppu.link.bridge.beat_runs import BeatRuns
from openppu_verif.ends import Put, Take, run


def beats_of(found, width):
    """The addresses in a run."""
    return [found.address + width * place for place in range(found.first, found.last + 1)]


@pytest.mark.parametrize("width", [4, 16, 64, 512])
@pytest.mark.parametrize("rates", [(1.0, 1.0), (0.5, 0.5)])
@pytest.mark.parametrize(("patience", "block"), [(0, 256), (3, 64)])
def test_runs_hold_all_beats_in_order_each_within_a_block(width, rates, patience, block):
    seed = width
    chance = random.Random(seed)
    design = BeatRuns(beat_bytes=width, block_bytes=block, patience=patience)
    put, take = Put(design.beats, chance, rates[0]), Take(design.runs, chance, rates[1])
    place, given = 0, []
    for _ in range(200):
        place = chance.randrange(100) if chance.random() < 0.1 else place + 1
        given.append(place * width)
        put.waiting.append({"address": given[-1], "last": chance.random() < 0.1})
    found = []

    def each_cycle(ctx, cycle):
        for end in (put, take):
            end.drive(ctx)
        runs = take.sample(ctx)
        if runs is not None:
            found.append(beats_of(runs, width))
        put.sample(ctx)
        return sum(map(len, found)) == len(given) and not ctx.get(design.gathering)

    run(design, each_cycle, most=4000)
    assert [beat for beats in found for beat in beats] == given, f"seed {seed}"
    assert all(beats[0] // max(block, width) == beats[-1] // max(block, width) for beats in found)
    if rates == (1.0, 1.0):
        # Without gaps a run ends but where it must.
        for before, after in pairwise(found):
            assert after[0] != before[-1] + width or after[0] % block == 0


@pytest.mark.parametrize("patience", [0, 1, 8])
@pytest.mark.parametrize("last", [False, True])
def test_a_run_waits_as_long_as_it_may(patience, last):
    """Two beats ``gap`` cycles apart: the run that the first begins is offered, or takes the second."""
    for gap in range(1, patience + 4):
        design = BeatRuns(beat_bytes=16, patience=patience)
        found, offered = [], []

        def each_cycle(ctx, cycle, design=design, gap=gap, found=found, offered=offered):
            given = {0: (32, last), gap: (48, True)}.get(cycle)
            ctx.set(design.beats.valid, given is not None)
            if given is not None:
                ctx.set(design.beats.payload, dict(zip(("address", "last"), given, strict=True)))
            ctx.set(design.runs.ready, 1)
            if ctx.get(design.runs.valid):
                found.append(beats_of(ctx.get(design.runs.payload), 16))
                offered.append(cycle)
            return sum(map(len, found)) == 2

        run(design, each_cycle, most=60)
        joined = gap <= (1 if last else 1 + patience)
        assert found == ([[32, 48]] if joined else [[32], [48]]), (gap, offered)
        if not joined:
            assert offered[0] == (1 if last else 1 + patience)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({"beat_bytes": width}, "power of two from 2 to 1024") for width in (1, 24, 2048)),
        *(({"beat_bytes": 4, "block_bytes": size}, "power of two from 32 to 256") for size in (16, 96, 512)),
    ],
)
def test_sizes_that_are_not_possible_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        BeatRuns(**values)
