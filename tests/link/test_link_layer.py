"""Two link layers and a bad channel between them: every flit arrives once, in order in its channel, as it was sent."""

from typing import Any

import pytest
from link_channel import Noise, Pair, random_flits
from openppu.link.config import CHANNELS, LinkConfig

WIDE = LinkConfig(ports=1, lanes=8, lane_bits=64, window=32, credits=16)
"""Four beats a flit."""


def pair(config: LinkConfig, noise: Noise, *, flits: int, seed: int = 1, clocks: int = 20_000, **more: Any) -> Pair:
    """A pair that has sent so many flits each way."""
    traffic = (random_flits(config, flits, f"{seed} there"), random_flits(config, flits, f"{seed} back"))
    both = Pair(config, noise, seed=seed, traffic=traffic, **more)
    both.run(clocks)
    both.check()
    return both


BAD = Noise(bits=1e-4, drop=0.002, double=0.002, stop=0.002, hold=0.1)


@pytest.mark.parametrize(
    ("options", "more", "flits"),
    [
        ({"lanes": 8, "lane_bits": 64, "window": 16, "credits": 4}, {"delay": 13, "want": 0.7, "rate": 0.7}, 60),
        ({"lanes": 16, "lane_bits": 64, "window": 128, "credits": 64, "crc_bits": 16, "fec": True}, {"delay": 60}, 60),
        ({"lanes": 16, "lane_bits": 64, "window": 8, "credits": 2, "retry": "go_back_n"}, {"want": 0.5}, 60),
    ],
)
def test_whatever_the_channel_does_each_flit_arrives_once(options: Any, more: Any, flits: int) -> None:
    config = LinkConfig(ports=1, skew_words=16, **options)
    both = pair(config, BAD, flits=flits, **more)
    assert sum(counts["replayed"] for counts in both.counts) > 0
    assert sum(counts["bad"] for counts in both.counts) > 0
    assert sum(counts["corrected"] for counts in both.counts) >= 20 * config.fec


def test_the_narrowest_port_works() -> None:
    both = pair(LinkConfig(ports=1, lanes=1, lane_bits=16, window=8, credits=2), Noise(bits=2e-4), flits=4)
    assert sum(counts["bad"] for counts in both.counts) > 0


def test_nothing_is_sent_again_on_a_clean_channel() -> None:
    both = pair(WIDE, Noise(), flits=60)
    for counts in both.counts:
        assert counts["new"] == 60
        assert not any(counts[name] for name in ("replayed", "timeouts", "bad", "duplicates", "early", "corrected"))
    # Full rate: four clocks a flit, and what it takes to hear of the first credits.
    assert both.clock < 60 * 4 + 40


def test_the_first_beat_comes_three_clocks_after_the_last_arrived() -> None:
    for options, latency in (({}, 3), ({"fec": True}, 4)):
        config = LinkConfig(ports=1, lanes=8, lane_bits=64, **options)
        both = Pair(config, Noise(), seed=1, traffic=(random_flits(config, 1, 1), []), delay=0)
        both.run(200)
        both.check()
        # 1 clock to the lanes, where the model takes it and gives it back in the next; 3 more beats.
        begun = both.begun[0]
        assert both.sides[1].first_beats[0] - begun == 1 + 1 + 3 + latency


def test_a_channel_that_is_not_wanted_holds_up_no_other() -> None:
    flits = [(channel, 120, bytes([channel]) * 240, False) for channel in range(CHANNELS) for _ in range(20)]
    both = Pair(WIDE, Noise(), seed=1, traffic=(flits, []))
    both.unwanted = {2}
    both.run(1200, whole=True)
    arrived = [len(got) for got in both.sides[1].got]
    assert arrived == [20, 20, 0, 20, 20, 20]
