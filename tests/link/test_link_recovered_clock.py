"""Two physical layers, each in a clock of its own, receive in that of the other."""

from pathlib import Path

import pytest
from openppu.link.config import LinkConfig
from openppu.link.training import Cause, State
from openppu_verif.link.line import Line
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


def test_latency_is_what_the_page_says(project_root: Path) -> None:
    """Two clocks from a beat taken to its word; six or seven from the word to its beat, as the clocks stand."""
    p = pair(1, 64, ppm=3000)
    p.ends[0].line.lanes[0].delay = 0
    taken: dict[int, int] = {}
    came: dict[int, int] = {}

    async def testbench(p: Pair) -> None:
        await p.until(p.up, 1500)
        near, far = p.ends[0].layer, p.ends[1].layer
        for _ in range(500):
            if p.ctx.get(near.transmit.ready):
                taken[p.beat(0, *divmod(p.ends[0].given, p.config.beats))] = p.clock
            if p.ctx.get(far.receive_valid):
                came.setdefault(p.ctx.get(far.receive.data), p.clock)
            await p.ticks(1)

    p.run(testbench)
    both = {came[data] - taken[data] - 2 for data in came if data in taken}
    assert both == {6, 7}
    page = (project_root / "docs" / "link.md").read_text()
    assert "| the same with `link.recovered_clock` | 6 to 7 |" in page
