"""Two physical layers over lines that are out of order, crossed, skewed and wrong: flits arrive, whatever happens."""

import pytest
from openppu.link.config import LinkConfig
from openppu.link.settings import TrainingSettings
from openppu.link.training import Cause, State
from openppu_verif.link.line import Line
from pair import SHORT, Pair


def pair(
    lanes: int = 2,
    bits: int = 16,
    *,
    skew: int = 64,
    seed: int = 1,
    shuffle: bool = True,
    settings: TrainingSettings = SHORT,
) -> Pair:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=bits, skew_words=16)
    lines = tuple(Line(lanes, bits, seed=seed + way, skew=skew, delay=3 + way, shuffle=shuffle) for way in range(2))
    return Pair(config, lines, settings)


def in_order(p: Pair, end: int, *, least: int, wrong: int = 0) -> None:
    """Flits received are those sent, none twice; some may be lost, and some wrong, where a lane dies."""
    numbers = [number for number in p.ends[end].flits if number is not None]
    assert len(numbers) >= least
    assert len(p.ends[end].flits) - len(numbers) <= wrong
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("lanes", "bits"), [(1, 16), (2, 32), (4, 16), (2, 64)])
def test_flits_arrive_over_lanes_of_any_order_polarity_and_skew(lanes: int, bits: int) -> None:
    p = pair(lanes, bits)

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1200)
        assert [p.state(end) for end in range(2)] == [State.ACTIVE] * 2
        await p.ticks(300)
        for end in range(2):
            # Lane i of the line arrives as what the status says is logical lane i.
            source = p.ctx.get(p.ends[end].layer.status.source)
            lanes_of_line = p.ends[1 - end].line.lanes
            assert list(source) == [lane.arrives_as for lane in lanes_of_line]
            for lane in lanes_of_line:
                told = p.ctx.get(p.ends[end].layer.status.lanes[lane.arrives_as])
                assert told.inverted == lane.inverted
                assert told.slip == (lane.delay - 1) % bits

    p.run(testbench)
    for end in range(2):
        in_order(p, end, least=300 // (2048 // bits // lanes) - 4)
        assert p.ends[end].flits[0] == 0


def test_lanes_further_apart_than_the_buffers_reach_are_not_used_together() -> None:
    p = pair(2, 16, skew=0)
    p.ends[0].line.lanes[0].delay += 17 * 16

    async def testbench(p: Pair) -> None:
        await p.until(lambda: p.ctx.get(p.ends[1].layer.status.retrains) > 1, 3000)
        assert not p.ends[1].flits

    p.run(testbench)


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_latency(bits: int) -> None:
    """Two clocks from a beat taken to its word, four from the word to its beat, and the line's one."""
    p = pair(2, bits, shuffle=False)
    p.ends[0].line.lanes[0].delay = p.ends[0].line.lanes[1].delay = 0
    taken: dict[int, int] = {}
    came: dict[int, int] = {}

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1000)
        near, far = p.ends[0].layer, p.ends[1].layer
        for _ in range(200):
            if p.ctx.get(near.transmit.ready):
                # What `Pair` is about to give, in this clock.
                taken[p.beat(0, *divmod(p.ends[0].given, p.config.beats))] = p.clock
            if p.ctx.get(far.receive_valid):
                came[p.ctx.get(far.receive.data)] = p.clock
            await p.ticks(1)

    p.run(testbench)
    both = [came[data] - taken[data] for data in came if data in taken]
    assert len(both) > 150
    # A line without delay gives the words in the clock in which they are sent.
    assert set(both) == {2 + 4}


def test_a_skip_word_is_sent_and_dropped() -> None:
    p = pair(1, 64)

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1000)
        await p.ticks(4600)
        assert p.ctx.get(p.ends[0].layer.status.lanes[0].skip_errors) == 0

    p.run(testbench)
    in_order(p, 0, least=4600 // 32 - 3)
    # The line is busy but for a skip word and what is on its way: a flit takes 32 clocks.
    spare = 4600 - 32 * len(p.ends[0].arrivals)
    assert spare < 40
    gaps = [after - before for before, after in zip(p.ends[0].arrivals, p.ends[0].arrivals[1:], strict=False)]
    assert sorted(set(gaps)) == [32, 33]
    assert gaps.count(33) == 1


@pytest.mark.parametrize(
    ("death", "lanes", "bits"),
    [
        ("signal", 4, 16),
        ("stuck", 4, 16),
        ("noise", 4, 16),
        *(pytest.param(death, 8, 32, marks=pytest.mark.slow) for death in ("signal", "stuck", "noise")),
    ],
)
def test_a_lane_dies_and_the_others_go_on(death: str, lanes: int, bits: int) -> None:
    """Back at half the width in 2,000 clocks at most, the settings being those of a port that nobody told any."""
    p = pair(lanes, bits, settings=TrainingSettings())
    full = lanes.bit_length() - 1
    flit = 2048 // bits // lanes
    times: dict[str, int] = {}

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1500)
        await p.ticks(200)
        died = p.clock
        lane = p.ends[0].line.lanes[2]
        lane.alive, lane.stuck, lane.noise = death != "signal", death == "stuck", death == "noise"
        await p.until(lambda: not p.up(), 600)
        await p.until(p.up, 2000)
        times["back"] = p.clock - died
        assert p.state(1) == State.DEGRADED
        assert p.ctx.get(p.ends[1].layer.status.receive_width) == full - 1
        assert p.ctx.get(p.ends[0].layer.status.send_width) == full - 1
        # The lowest lanes that are healthy, the third being dead.
        assert p.ctx.get(p.ends[0].layer.status.send_lanes) == (0b11 if lanes == 4 else 0b11011)
        # The other way nothing is wrong.
        assert p.ctx.get(p.ends[0].layer.status.receive_width) == full
        before = len(p.ends[1].flits)
        await p.ticks(400)
        assert len(p.ends[1].flits) - before >= 400 // (2 * flit) - 1
        assert Cause(p.ctx.get(p.ends[1].layer.status.cause)) == (Cause.FLITS if death == "noise" else Cause.LANE)

    p.run(testbench)
    assert times["back"] <= 2000
    print(f"{lanes} lanes of {bits} bits, {death}: back after {times['back']} clocks")
    # What comes until the other port has noticed, too: its blocks are taken for data.
    in_order(p, 0, least=20, wrong=1)
    in_order(p, 1, least=10, wrong={"signal": 0, "stuck": 3 if lanes == 4 else 9, "noise": 9}[death])
    assert not any(name == "fresh_far" for end in p.ends for _, name in end.events)


def test_width_goes_down_lane_by_lane_and_up_again_when_asked() -> None:
    p = pair(4, 16)

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1000)
        for dead, width in ((1, 1), (0, 1), (3, 0)):
            p.ends[0].line.lanes[dead].alive = False
            await p.ticks(60)
            await p.until(p.up, 2000)
            await p.ticks(400)
            assert p.ctx.get(p.ends[1].layer.status.receive_width) == width
        for lane in p.ends[0].line.lanes:
            lane.alive = True
        await p.ticks(100)
        assert p.up()
        p.set(0, retrain=1)
        await p.ticks(1)
        p.set(0, retrain=0)
        await p.ticks(2)
        assert not p.up()
        await p.until(p.up, 2000)
        assert [p.state(end) for end in range(2)] == [State.ACTIVE] * 2
        await p.ticks(300)

    p.run(testbench)
    for end in range(2):
        in_order(p, end, least=25, wrong=3)


def test_a_forbidden_lane_carries_nothing() -> None:
    p = pair(2, 16)

    async def testbench(p: Pair) -> None:
        p.set(0, forbidden=0b01)
        await p.until(p.up, 1500)
        await p.ticks(300)
        for end in range(2):
            assert p.state(end) == State.DEGRADED
        assert p.ctx.get(p.ends[0].layer.status.send_lanes) == 0b10
        assert p.ctx.get(p.ends[0].layer.status.source[0]) == 1

    p.run(testbench)
    in_order(p, 0, least=2)
    in_order(p, 1, least=2)
