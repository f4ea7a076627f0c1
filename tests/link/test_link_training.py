"""Every state of a port's training: how it is entered and left, alone, asked, and when nothing comes back."""

from dataclasses import replace

from openppu.link.config import LinkConfig
from openppu.link.prbs import Pattern
from openppu.link.settings import TrainingSettings
from openppu.link.training import Cause, State
from openppu_verif.link.line import Line
from pair import SHORT, Pair


def pair(lanes: int = 1, bits: int = 32, settings: TrainingSettings = SHORT, *, shuffle: bool = False) -> Pair:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=bits)
    lines = tuple(Line(lanes, bits, seed=5 + way, skew=40, delay=4, shuffle=shuffle) for way in range(2))
    return Pair(config, lines, settings)


def events(p: Pair, end: int) -> list[str]:
    return [name for _, name in p.ends[end].events]


async def flits_both_ways(p: Pair) -> None:
    before = [len(end.flits) for end in p.ends]
    await p.ticks(400)
    assert p.up()
    for end, count in zip(p.ends, before, strict=True):
        new = end.flits[count:]
        assert len(new) >= 4
        assert new == list(range(new[0], new[0] + len(new)))


async def pulse(p: Pair, end: int, name: str) -> None:
    p.set(end, **{name: 1})
    await p.ticks(1)
    p.set(end, **{name: 0})


def test_from_power_up_nobody_resets_anything() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)

    p.run(testbench)
    for end in range(2):
        assert [state for _, state in p.ends[end].states] == [
            State.DISABLED,
            State.DETECT,
            State.ALIGN,
            State.WIDTH,
            State.START,
            State.ACTIVE,
        ]
        assert not p.ends[end].events


def test_a_retrain_keeps_the_link_layers_state_and_the_bit_offsets() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        begun = p.clock
        await pulse(p, 1, "retrain")
        await p.ticks(3)
        await p.until(p.up, 200)
        # A few round trips; nothing is looked for.
        assert p.clock - begun < 160
        await flits_both_ways(p)
        causes = [Cause(p.ctx.get(end.layer.status.cause)) for end in p.ends]
        assert causes == [Cause.CALLED, Cause.ASKED]

    p.run(testbench)
    assert not events(p, 0)
    assert not events(p, 1)


def test_a_port_whose_other_port_was_reset_is_told() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        p.ctx.set(p.reset, 0b10)
        await p.ticks(40)
        p.ctx.set(p.reset, 0)
        p.ctx.set(p.ends[1].layer.settings, p.settings.values())
        await p.ticks(10)
        await p.until(p.up, 2000)
        await flits_both_ways(p)

    p.run(testbench)
    assert events(p, 0) == ["fresh_far"]
    assert events(p, 1) == []


def test_a_hot_reset_resets_both_link_layers_once() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        await pulse(p, 0, "hot_reset")
        await p.ticks(3)
        await p.until(p.up, 600)
        await flits_both_ways(p)
        assert [Cause(p.ctx.get(end.layer.status.cause)) for end in p.ends] == [Cause.RESET, Cause.RESET]
        # Both at once.
        p.set(0, hot_reset=1)
        await pulse(p, 1, "hot_reset")
        p.set(0, hot_reset=0)
        await p.ticks(3)
        await p.until(p.up, 600)
        await flits_both_ways(p)

    p.run(testbench)
    assert State.HOT_RESET in [state for _, state in p.ends[0].states]
    for end in range(2):
        assert events(p, end) == ["link_reset"] * 2


def test_a_hot_reset_without_an_answer_ends() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        p.set(1, disable=1)
        await pulse(p, 0, "hot_reset")
        await p.until(lambda: p.state(0) == State.DETECT, p.settings.reset_timeout + 100)
        p.set(1, disable=0)
        await p.until(p.up, 1000)
        await flits_both_ways(p)

    p.run(testbench)


def test_lanes_rest_and_wake() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        p.set(0, sleep=1)
        await p.until(lambda: [p.state(0), p.state(1)] == [State.SLEEP] * 2, 400)
        await p.ticks(200)
        for end in range(2):
            assert p.state(end) == State.SLEEP
            assert p.ctx.get(p.ends[end].layer.serdes.send_idle) == 1
        p.set(0, sleep=0)
        await p.until(p.up, 600)
        await flits_both_ways(p)

    p.run(testbench)
    assert not events(p, 0)
    assert not events(p, 1)


def test_a_port_that_is_disabled_is_silent_and_comes_back() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        p.set(1, disable=1)
        await p.ticks(100)
        assert p.state(1) == State.DISABLED
        assert p.ctx.get(p.ends[1].layer.serdes.send_idle) == 1
        assert not p.up()
        p.set(1, disable=0)
        await p.until(p.up, 1500)
        await flits_both_ways(p)

    p.run(testbench)


def test_bad_flits_in_a_row_start_a_training() -> None:
    p = pair(settings=replace(SHORT, bad_flits=3))

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        p.ends[0].line.lanes[0].error_rate = 0.01
        await p.until(lambda: not p.up(), 400)
        p.ends[0].line.lanes[0].error_rate = 0
        assert p.ends[1].flits[-3:] == [None] * 3
        await p.until(p.up, 400)
        assert Cause(p.ctx.get(p.ends[1].layer.status.cause)) == Cause.FLITS
        await flits_both_ways(p)

    p.run(testbench)


def test_a_port_without_an_answer_fails_and_begins_again() -> None:
    settings = replace(SHORT, attempts=2, align_timeout=100, width_timeout=100, retrain_timeout=50, failed_timeout=300)
    p = pair(settings=settings)

    async def testbench(p: Pair) -> None:
        # One way is dead, but tells of a signal.
        p.ends[0].line.lanes[0].noise = True
        await p.until(lambda: p.state(1) == State.FAILED, 1000)
        assert p.ctx.get(p.ends[1].layer.status.failed)
        await p.ticks(1)
        assert p.ctx.get(p.ends[1].layer.serdes.send_idle) == 1
        await p.until(lambda: p.state(1) == State.DETECT, 400)
        p.ends[0].line.lanes[0].noise = False
        p.ctx.set(p.ends[0].layer.settings, SHORT.values())
        p.ctx.set(p.ends[1].layer.settings, SHORT.values())
        await p.until(p.up, 4000)
        await flits_both_ways(p)

    p.run(testbench)


def test_no_flit_at_all_starts_a_training() -> None:
    p = pair(settings=replace(SHORT, silence_timeout=150))

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 800)
        await flits_both_ways(p)
        retrains = p.ctx.get(p.ends[0].layer.status.retrains)
        p.deaf = True
        await p.until(lambda: p.ctx.get(p.ends[0].layer.status.retrains) > retrains, 400)
        p.deaf = False
        await p.until(p.up, 400)

    p.run(testbench)


def test_a_lane_that_comes_back_is_used_again_if_asked_to() -> None:
    p = pair(2, 16, settings=replace(SHORT, revive_after=50))

    async def testbench(p: Pair) -> None:
        p.ends[1].line.lanes[0].alive = False
        await p.until(p.up, 2000)
        assert p.state(0) == State.DEGRADED
        await p.ticks(300)
        assert p.state(0) == State.DEGRADED
        p.ends[1].line.lanes[0].alive = True
        await p.until(lambda: [p.state(0), p.state(1)] == [State.ACTIVE] * 2, 2000)
        assert Cause(p.ctx.get(p.ends[0].layer.status.cause)) == Cause.REVIVED

    p.run(testbench)


def test_near_loopback_trains_a_port_with_itself() -> None:
    p = pair()

    async def testbench(p: Pair) -> None:
        p.set(1, disable=1)
        p.set(0, near_loopback=1)
        await p.until(lambda: p.state(0) == State.ACTIVE, 1500)
        before = p.ends[0].given
        await p.ticks(300)
        assert p.ends[0].given - before >= 290

    p.run(testbench)


def test_far_loopback_and_test_sequence_count_the_wrong_bits_of_both_ways() -> None:
    p = pair(2, 16, shuffle=True)

    def wrong() -> int:
        return sum(lane.test_errors for lane in p.ctx.get(p.ends[0].layer.status.lanes))

    async def testbench(p: Pair) -> None:
        p.set(1, far_loopback=1)
        for pattern in Pattern:
            p.set(0, test=0)
            await p.ticks(2)
            p.set(0, test=1, pattern=pattern)
            await p.ticks(60)
            counted = wrong()
            await p.ticks(200)
            assert wrong() == counted, pattern
            for place in range(2):
                p.ends[place].line.lanes[1].error_rate = 0.002
            flipped = sum(end.line.flipped for end in p.ends)
            await p.ticks(1000)
            for place in range(2):
                p.ends[place].line.lanes[1].error_rate = 0
            await p.ticks(30)
            flipped = sum(end.line.flipped for end in p.ends) - flipped
            assert flipped > 30
            assert wrong() - counted == flipped, pattern
            assert p.state(0) == State.DISABLED

    p.run(testbench)
