"""Words of lanes that arrive apart, in any order, on any number of lanes, become the beats that were sent."""

import random
from typing import Any

import pytest
from amaranth import Module
from amaranth.sim import Simulator
from openppu.link.config import LinkConfig
from openppu.link.deskew import Deskew
from openppu.link.gather import Gather
from openppu.link.watchdog import SILENCE, Watchdog
from openppu.link.width import WidthChoice


def simulate(design: Any, testbench: Any) -> None:
    simulator = Simulator(design)
    simulator.add_clock(1e-9)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(
    ("lanes", "active"), [(lanes, 1 << width) for lanes in (1, 4, 16) for width in range(lanes.bit_length())]
)
def test_beats_come_out_as_they_were_cut(lanes: int, active: int) -> None:
    chance = random.Random(lanes * 100 + active)
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=16, skew_words=16)
    m = Module()
    m.submodules.deskew = deskew = Deskew(config)
    m.submodules.gather = gather = Gather(config)
    for name in ("words", "valid", "begin", "active_width"):
        m.d.comb += getattr(gather, name).eq(getattr(deskew, name))

    async def training(ctx: Any, skew: int) -> list[int]:
        """Start the lanes and give them data; the beats that come."""
        places = chance.sample(range(lanes), active)
        beats = [chance.getrandbits(16 * lanes) for _ in range(2 * config.beats + 3)]
        words = [beat >> 16 * place & 0xFFFF for beat in beats for place in range(lanes)]
        mask = sum(1 << place for place in places)
        queues = {place: words[logical::active] for logical, place in enumerate(places)}
        for logical, place in enumerate(places):
            ctx.set(deskew.logical[place], logical)
            ctx.set(deskew.width[place], active.bit_length() - 1)
        # A lane that is not active may tell anything.
        for place in {*range(lanes)} - {*places}:
            ctx.set(deskew.logical[place], chance.randrange(16))
        ctx.set(deskew.started, mask)
        for _ in range(6):
            await ctx.tick()
        late = {place: chance.randrange(skew + 1) for place in places}
        sent = dict.fromkeys(places, 0)
        came: list[int] = []
        for clock in range(len(queues[places[0]]) + 80):
            valid = 0
            for place in places:
                # As far ahead of the slowest one as the buffers reach, and no further.
                behind = min(sent.values())
                due = clock >= late[place] and chance.random() < 0.8 and sent[place] - behind < 12
                if due and sent[place] < len(queues[place]):
                    ctx.set(deskew.word[place], queues[place][sent[place]])
                    valid |= 1 << place
            for place in places:
                sent[place] += valid >> place & 1
            ctx.set(deskew.word_valid, valid)
            if ctx.get(gather.beat_valid):
                beat = ctx.get(gather.beat)
                assert beat.first == (len(came) % config.beats == 0)
                assert beat.last == (len(came) % config.beats == config.beats - 1)
                came.append(beat.data)
            await ctx.tick()
        assert came == beats[: len(came)]
        assert len(came) > config.beats
        assert [ctx.get(deskew.source[logical]) for logical in range(active)] == places
        assert not ctx.get(deskew.overflow)
        ctx.set(deskew.word_valid, 0)
        return came

    async def testbench(ctx: Any) -> None:
        ctx.set(gather.allow, 1)
        for skew in (0, 11, 5):
            await training(ctx, skew)
            # A new training: what is left over must not be seen again.
            ctx.set(deskew.started, 0)
            ctx.set(gather.allow, 0)
            for _ in range(3):
                await ctx.tick()
                assert not ctx.get(gather.running)
                assert not ctx.get(deskew.running)
            ctx.set(gather.allow, 1)

    simulate(m, testbench)


def test_words_of_lanes_too_far_apart_run_over() -> None:
    config = LinkConfig(ports=1, lanes=2, lane_bits=16, skew_words=8)
    deskew = Deskew(config)

    async def testbench(ctx: Any) -> None:
        ctx.set(deskew.started, 3)
        ctx.set(deskew.logical[1], 1)
        ctx.set(deskew.width, [1, 1])
        ctx.set(deskew.word_valid, 1)
        for word in range(12):
            assert ctx.get(deskew.overflow) == (word > 8)
            assert not ctx.get(deskew.valid)
            await ctx.tick()

    simulate(deskew, testbench)


def test_lanes_that_did_not_all_start_are_not_read() -> None:
    config = LinkConfig(ports=1, lanes=4, lane_bits=16)
    deskew = Deskew(config)

    async def testbench(ctx: Any) -> None:
        # Four were to start; one has not seen it.
        for lane in range(4):
            ctx.set(deskew.logical[lane], lane)
            ctx.set(deskew.width[lane], 2)
        ctx.set(deskew.started, 0b1011)
        ctx.set(deskew.word_valid, 0b1011)
        for _ in range(30):
            assert not ctx.get(deskew.valid)
            await ctx.tick()

    simulate(deskew, testbench)


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_the_lowest_healthy_lanes_are_chosen(lanes: int) -> None:
    choice = WidthChoice(lanes)

    async def testbench(ctx: Any) -> None:
        for healthy in range(1 << lanes):
            ctx.set(choice.healthy, healthy)
            for _ in range(2):
                await ctx.tick()
            places = [lane for lane in range(lanes) if healthy >> lane & 1]
            assert ctx.get(choice.any) == bool(places)
            if not places:
                assert ctx.get(choice.active) == 0
                continue
            width = len(places).bit_length() - 1
            assert ctx.get(choice.width) == width
            assert ctx.get(choice.active) == sum(1 << lane for lane in places[: 1 << width])
            for logical, lane in enumerate(places[: 1 << width]):
                assert ctx.get(choice.logical[lane]) == logical

    simulate(choice, testbench)


def test_a_dog_watches_for_words_that_change() -> None:
    dog = Watchdog(16)

    async def testbench(ctx: Any) -> None:
        ctx.set(dog.valid, 1)
        await ctx.tick()
        assert not ctx.get(dog.alive)
        ctx.set(dog.word, 5)
        await ctx.tick()
        for _ in range(SILENCE):
            assert ctx.get(dog.alive)
            await ctx.tick()
        assert not ctx.get(dog.alive)
        # Another word that is not valid is none.
        ctx.set(dog.valid, 0)
        ctx.set(dog.word, 6)
        await ctx.tick()
        assert not ctx.get(dog.alive)
        ctx.set(dog.valid, 1)
        await ctx.tick()
        assert ctx.get(dog.alive)

    simulate(dog, testbench)
