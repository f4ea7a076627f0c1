"""In the model, a rest costs what waking costs in the hardware (`test_hbm_power_native`), and nothing without one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import device
from openppu.hbm.settings import Settings
from openppu_sim.cycles.hbm.memory import Memory, run, unloaded_ns
from openppu_sim.cycles.hbm.requests import Requests

COUNT = 20
DEVICE = device("HBM2E_3200")
MEMORY = Memory(device=DEVICE, config=ChannelConfig(), settings=Settings(refresh_enable=False))


def latencies(apart: int, **settings: Any) -> np.ndarray:
    """Of reads of one place, so many clocks apart, in clocks; the first finds the channel as it was started."""
    memory = replace(MEMORY, settings=replace(MEMORY.settings, **settings))
    times = np.arange(COUNT) * apart * memory.clock_ns
    outcome = run(Requests(np.zeros(COUNT, int), np.full(COUNT, 32), np.zeros(COUNT, bool), times), memory)
    return np.rint(outcome.latencies_ns[1:] / memory.clock_ns).astype(int)


@pytest.mark.parametrize(("name", "wake"), [("power_down_after", "tXP"), ("self_refresh_after", "tXS")])
def test_a_request_pays_for_the_rest_before_it(name: str, wake: str) -> None:
    closed = round(unloaded_ns(MEMORY)["closed bank"] / MEMORY.clock_ns)
    clocks = -(-getattr(DEVICE.timing, wake) // 2)
    assert set(latencies(1000, **{name: 50})) == {closed + clocks - 2}
    assert set(latencies(1000, **{name: 5000})) == set(latencies(1000)), "too short a rest"
    assert set(latencies(20, **{name: 50})) == set(latencies(20)), "none at all"


def test_a_longer_rest_goes_on_from_power_down_to_self_refresh() -> None:
    both = {"power_down_after": 50, "self_refresh_after": 2000}
    assert (latencies(1000, **both) == latencies(1000, power_down_after=50)).all()
    assert (latencies(3000, **both) == latencies(3000, self_refresh_after=2000)).all()
    assert latencies(3000, **both)[0] > latencies(1000, **both)[0] + 200


def test_what_is_said_of_an_unloaded_read_is_of_a_channel_awake() -> None:
    asleep = replace(MEMORY, settings=replace(MEMORY.settings, power_down_after=1))
    assert unloaded_ns(asleep) == unloaded_ns(MEMORY)
