"""Whatever happens to the lanes and the ports, in whatever order: once it is over, flits go both ways again."""

import random

import pytest
from openppu.link.config import LinkConfig
from openppu.link.training import State
from openppu_verif.link.line import Line
from pair import SHORT, Pair

EVENTS = (
    "death",
    "noise",
    "errors",
    "slip",
    "dropped word",
    "doubled word",
    "retrain",
    "both retrain",
    "hot reset",
    "reset",
    "disable",
    "sleep",
    "cut",
)


async def happen(p: Pair, chance: random.Random, event: str) -> None:
    """Let one thing happen, and end some time later."""
    way = chance.randrange(2)
    line = p.ends[way].line
    lane = chance.choice(line.lanes)
    length = chance.choice((3, 30, 100, 300, 700))
    if event == "death":
        lane.alive = False
    elif event == "noise":
        lane.noise = True
    elif event == "errors":
        lane.error_rate = chance.choice((1e-4, 1e-3, 1e-2, 0.1))
    elif event == "slip":
        lane.delay += chance.randrange(1, line.bits)
    elif event == "dropped word":
        lane.delay -= min(lane.delay, line.bits)
    elif event == "doubled word":
        lane.delay += line.bits
    elif event == "cut":
        for each in line.lanes:
            each.alive = False
    elif event == "reset":
        p.ctx.set(p.reset, 1 << way)
    elif event == "sleep":
        p.set(way, sleep=1)
    elif event == "disable":
        p.set(way, disable=1)
    else:
        name = event.removeprefix("both ").replace(" ", "_")
        for end in range(2) if event.startswith("both") else (way,):
            p.set(end, **{name: 1})
        await p.ticks(1)
        for end in range(2):
            p.set(end, **{name: 0})
    await p.ticks(length)
    if chance.random() < 0.3:
        await happen(p, chance, chance.choice(EVENTS))
    lane.alive, lane.noise, lane.error_rate = True, False, 0
    for each in line.lanes:
        each.alive = True
        # Delays wander; the buffers hold so much.
        each.delay = min(each.delay, 6 * line.bits)
    p.ctx.set(p.reset, 0)
    p.set(way, sleep=0, disable=0)
    if event == "reset":
        p.ctx.set(p.ends[way].layer.settings, p.settings.values())


async def flits_in_order(p: Pair) -> None:
    before = [len(end.flits) for end in p.ends]
    beats = p.config.beats * p.config.lanes
    await p.ticks(4 * beats)
    assert p.up()
    for end, count in zip(p.ends, before, strict=True):
        new = end.flits[count:]
        assert len(new) >= 2
        assert None not in new
        assert new == list(range(new[0], new[0] + len(new)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "lanes", "bits", "events", "recovered"),
    [(1, 2, 32, 30, False), (2, 2, 32, 30, False), (3, 1, 64, 40, False), (4, 2, 16, 30, True)],
)
def test_after_anything_flits_go_both_ways_again(
    seed: int, lanes: int, bits: int, events: int, recovered: bool
) -> None:
    chance = random.Random(seed)
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=bits, skew_words=16, recovered_clock=recovered)
    lines = tuple(Line(lanes, bits, seed=seed + way, skew=40, delay=3) for way in range(2))
    p = Pair(config, lines, SHORT, ppm=200)
    told: list[str] = []

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 2000)
        for _ in range(events):
            event = chance.choice(EVENTS)
            told.append(f"clock {p.clock}: {event}")
            await happen(p, chance, event)
            try:
                await p.until(p.up, 8000)
                # Errors may just have been noticed.
                await p.ticks(900)
                await p.until(p.up, 8000)
                if {p.state(0), p.state(1)} != {State.ACTIVE}:
                    p.set(0, retrain=1)
                    await p.ticks(1)
                    p.set(0, retrain=0)
                    await p.ticks(20)
                    await p.until(p.up, 8000)
                assert {p.state(0), p.state(1)} == {State.ACTIVE}
                await flits_in_order(p)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, after {told[-3:]}: {error}") from error

    p.run(testbench)
    for end in p.ends:
        numbers = [number for number in end.flits if number is not None]
        assert numbers == sorted(set(numbers))
