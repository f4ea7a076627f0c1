"""The native bench of two link layers: much traffic on bad lanes, and the goodput at each rate of errors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openppu.link.config import LinkConfig
from openppu_verif.link.layer_native import Outcome, build_layers, run

SELECTIVE = LinkConfig(ports=1, lanes=8, lane_bits=64, window=64, credits=32)
GO_BACK = replace(SELECTIVE, retry="go_back_n")
WITH_FEC = replace(SELECTIVE, fec=True, crc_bits=64)
CONFIGS = {"selective": SELECTIVE, "go_back_n": GO_BACK, "fec": WITH_FEC}
CLOCKS = 300_000
WARMUP = 2_000
DELAY = 20
"""Clocks one way, of four a flit: the round trip is 12 flits."""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "channel",
    [
        {"ber": 1e-4, "drop": 1e-3, "double": 1e-3, "stop": 5e-4, "hold": 0.1, "want": 0.6, "rate": 0.7, "reset": 3000},
        {"ber": 2e-4, "burst": 5, "drop": 1e-4, "double": 1e-4, "stop": 5e-5, "want": 0.9, "reset": 70_000},
        {"ber": 2e-5, "stop": 1e-4, "delay": 100, "want": 0.95},
    ],
    ids=["everything", "bursts", "long"],
)
def test_every_flit_arrives_once_in_order(name: str, seed: int, channel: Any, build_root: Path) -> None:
    outcome = run(build_layers(CONFIGS[name], build_root), **({"delay": DELAY} | channel), clocks=CLOCKS, seed=seed)
    assert outcome.complaint == ""
    assert outcome.total("delivered") > 20_000
    if "reset" not in channel:
        assert all(counts["replayed"] > 100 for counts in outcome.counts)


@pytest.mark.parametrize(
    ("name", "ber", "least"),
    [
        ("selective", 0, 0.937),
        ("selective", 1e-6, 0.93),
        ("selective", 1e-5, 0.90),
        ("fec", 0, 0.921),
        ("fec", 1e-4, 0.90),
    ],
)
def test_goodput_with_errors_both_ways(name: str, ber: float, least: float, build_root: Path) -> None:
    outcome = measured(name, ber, build_root)
    assert outcome.complaint == ""
    assert min(goodput(outcome, CONFIGS[name])) > least
    # Of a clean channel, the counters know nothing; else, what the channel spoiled and they saw is the same.
    for side in range(2):
        counts = outcome.counts[side]
        spoiled = outcome.values[f"wrong_flits_{1 - side}"]
        if ber == 0:
            assert counts["bad"] == counts["replayed"] == counts["timeouts"] == 0
        elif name == "selective":
            assert abs(counts["bad"] - spoiled) <= 1
        else:
            assert abs(counts["bad"] + counts["corrected"] - spoiled) <= 0.1 * spoiled


def test_go_back_n_loses_a_round_trip_for_each_error(build_root: Path) -> None:
    kept = [min(goodput(measured(name, 1e-5, build_root), CONFIGS[name])) for name in ("selective", "go_back_n")]
    assert kept[1] < kept[0] - 0.1


def measured(name: str, ber: float, build_root: Path) -> Outcome:
    """Full flits both ways for as long as the lanes carry them."""
    executable = build_layers(CONFIGS[name], build_root)
    return run(executable, clocks=CLOCKS, warmup=WARMUP, full=1, delay=DELAY, ber=ber, seed=1)


def goodput(outcome: Outcome, config: LinkConfig) -> list[float]:
    """Flit payload that arrived, of the raw bits, each way."""
    raw = (CLOCKS - WARMUP) * config.beat_bytes
    return [outcome.values[f"bytes_{side}"] / raw for side in range(2)]
