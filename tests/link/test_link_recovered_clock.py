"""Two physical layers, each in a clock of its own, receive in that of the other."""

import pytest
from line import Line
from openppu.link.config import LinkConfig
from openppu.link.training import Cause, State
from pair import Pair


def pair(lanes: int, bits: int, *, ppm: float) -> Pair:
    config = LinkConfig(ports=1, lanes=lanes, lane_bits=bits, recovered_clock=True)
    return Pair(config, tuple(Line(lanes, bits, seed=3 + way, skew=60, delay=3) for way in range(2)), ppm=ppm)


def in_order(p: Pair, *, least: int, wrong: int = 0) -> None:
    for end in p.ends:
        numbers = [number for number in end.flits if number is not None]
        assert len(numbers) >= least
        assert len(end.flits) - len(numbers) <= wrong
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("lanes", "bits", "ppm"), [(1, 64, 0), (2, 32, 240), (1, 64, -2000), (2, 16, 100)])
def test_flits_arrive_from_another_clock(lanes: int, bits: int, ppm: float) -> None:
    p = pair(lanes, bits, ppm=ppm)

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1500)
        await p.ticks(500)
        assert [p.state(end) for end in range(2)] == [State.ACTIVE] * 2

    p.run(testbench)
    in_order(p, least=500 // (2048 // bits // lanes) - 4)


def test_a_clock_that_stops_with_its_lanes_is_a_lost_lane_and_all_comes_back() -> None:
    p = pair(2, 16, ppm=50)

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1500)
        await p.ticks(300)
        p.ends[1].line.lanes[0].alive = False
        await p.until(lambda: not p.up(), 200)
        await p.until(p.up, 1500)
        assert p.state(0) == State.DEGRADED
        assert Cause(p.ctx.get(p.ends[0].layer.status.cause)) == Cause.LANE
        await p.ticks(500)

    p.run(testbench)
    in_order(p, least=6, wrong=2)
