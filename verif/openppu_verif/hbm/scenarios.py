"""Random runs of a channel or a whole controller, each made from one number."""

import random
from dataclasses import dataclass, replace

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, device
from openppu.hbm.hammer_table import least_threshold
from openppu.hbm.settings import Mapping, Page, Refresh, Settings

from openppu_verif.hbm.memory_file import ADDRESS_ERROR_CLOCKS
from openppu_verif.hbm.native import Event, Pattern
from openppu_verif.hbm.random_faults import wrong_words
from openppu_verif.hbm.random_software import REGION, random_software

TEMPERATURES = (0, 1, 3, 2, 6)
STRETCH = {"tFAW": 14, "tRRDL": 5, "tWTRL": 6, "tRTP": 9, "tWR": 9, "tRC": 20, "tRFCSB": 50, "tRREFD": 9, "tRTW": 6,
           "tCCDL": 2, "tCCDR": 2, "tXP": 9, "tXS": 9, "tCKE": 9}  # fmt: skip
"""Timing values that a run may lengthen, by as much at most: in some tables others hide them."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A run's settings, patterns and events."""

    settings: Settings
    patterns: list[Pattern]
    events: list[Event]
    cases: list[str]
    fill: int = 0
    errors: bool = False
    """Answers may be errors: words were spoiled beyond correction."""


def scenario(config: ChannelConfig, seed: int, clocks: int, *, scrubs: bool = False, whole: bool = False) -> Scenario:
    """The run of a number; of a channel with a scrubber, or of a whole controller."""
    rng = random.Random(seed)
    name = rng.choice(DEVICES)
    mapping, page, refresh = rng.randrange(2), rng.randrange(3), int(rng.random() < 0.25)
    high = rng.randint(1, config.writes)
    down, rest = rng.choice((0, 1, 2, 3, 40)), rng.choice((0, 0, 1, 40))
    timing = device(name).timing
    longer = {key: getattr(timing, key) + rng.randint(1, most) for key, most in STRETCH.items() if rng.random() < 0.3}
    settings = Settings(
        timing=replace(timing, **longer),
        mapping=Mapping(mapping),
        hash_banks=rng.random() < 0.5,
        page=Page(page),
        refresh=Refresh(refresh),
        write_high=high,
        write_low=rng.randrange(high),
        age_limit=rng.choice((64, 300, 2000)),
        read_delay=rng.choice((0, 0, 1, 7)),
        power_down_after=down,
        self_refresh_after=rest + 100 if down and rest else rest,
    )
    of = config.organisation
    capacity = of.pseudo_channels * of.banks * of.rows * of.columns
    size = rng.choice((1024, 1 << 14, 1 << 20, capacity // 4 if whole else capacity))
    base = rng.randrange(capacity // size) * size
    # Some runs keep the bus full, most do not.
    lazy = rng.random() < 0.6
    events: list[Event] = []
    cases = [f"device {name}", f"mapping {mapping}", f"page {page}", f"refresh {refresh}"]
    cases += [f"hash_banks {settings.hash_banks}", *(f"longer {key}" for key in longer)]
    cases += [name for name in ("power_down_after", "self_refresh_after") if getattr(settings, name)]
    masked = rng.choice((0.0, 0.0, 0.1, 0.6))
    cases += ["masked"] if masked else []
    patterns = [_pattern(rng, config, base, size, masked, lazy) for _ in range(config.ports)]
    if config.hammer_entries and rng.random() < 0.3:
        settings = _protected(rng, config, settings)
        patterns[0] = _hammering(rng, config, base)
        cases.append("hammer")
    if config.retry and rng.random() < 0.5:
        settings = replace(settings, parity_latency=ADDRESS_ERROR_CLOCKS)
        for _ in range(rng.choice((5, 40))):
            events.append((rng.randrange(clocks), "spoil_command", [rng.randrange(2), rng.randrange(3)]))
        cases.append("wrong parity")
    for _ in range(rng.randrange(3)):
        events.append((rng.randrange(clocks), "temperature", [rng.choice(TEMPERATURES)]))
        cases.append("temperature")
    faults = wrong_words(rng, config.ecc, range(base, base + size), clocks)
    events += faults.events
    cases += [faults.kind] if faults.events else []
    if scrubs or whole:
        settings = replace(settings, scrub_interval=rng.choice((0, 100, 1000)), scrub_idle=rng.choice((0, 50)))
        cases += ["scrub"] if settings.scrub_interval else []
    for _ in range(rng.choice((0, rng.randrange(clocks // 250)))):
        events.append((rng.randrange(clocks), "pause", [rng.choice((rng.randint(30, 250), 1000))]))
        cases.append("pause")
    if rng.random() < 0.1:
        at = rng.randrange(clocks)
        events += [(at, "catastrophic", [1]), (at + 10, "catastrophic", [0])]
        cases.append("too hot")
    if rng.random() < 0.3:
        at = rng.randrange(clocks)
        events += [(max(0, at - rng.randrange(500)), "pause", [600]), (at, "reset", [])]
        cases.append("reset")
    fill = 0
    if whole:
        fill = rng.choice((0, 7, rng.randrange(6000)))
        cases += ["fill"] if fill else []
        # The self-test has a part of the memory that no port uses.
        region = 0 if base >= capacity // 2 else capacity - REGION
        work = random_software(rng, config, settings, region, clocks, faults.spoils, "too hot" in cases)
        events += work.events
        cases += work.cases
    if rng.random() < 0.3:
        at = rng.randrange(clocks)
        events += [(at, "update_request", [1]), (at + rng.randint(400, 900), "update_request", [0])]
        cases.append("update")
    errors = faults.spoils and bool(faults.events)
    return Scenario(settings=settings, patterns=patterns, events=events, cases=cases, fill=fill, errors=errors)


def _pattern(rng: random.Random, config: ChannelConfig, base: int, size: int, masked: float, lazy: bool) -> Pattern:
    longest = rng.choice((1, 4, 8, 8, 40, 128))
    least = rng.choice((1, longest))
    return Pattern(
        order=rng.choice(("sequential", "random")),
        base=base,
        size=size,
        lengths=(least, longest),
        reads=rng.choice((0.0, 0.3, 0.5, 0.67, 1.0)),
        masked=masked,
        beyond=rng.choice((0.0, 0.0, 0.02)),
        tags=rng.randint(1, config.tags),
        outstanding=rng.choice((1, 4, 1 << 20)),
        gap=rng.choice((0, 3, 25, 200)) if lazy else 0,
        stall=rng.choice((0.0, 0.2, 0.8)) if lazy else 0.0,
        hold=rng.choice((0.0, 0.2, 0.8)) if lazy else 0.0,
    )


def _protected(rng: random.Random, config: ChannelConfig, settings: Settings) -> Settings:
    """With as low a threshold against row hammer as the tables allow."""
    window = rng.choice((1, 1, 2, 8))
    least = max(8, least_threshold(config.hammer_entries, window, settings.timing))
    return replace(
        settings,
        hash_banks=False,
        hammer_window=window,
        hammer_threshold=least + rng.randrange(10),
        hammer_reach=rng.choice((1, 2)),
    )


def _hammering(rng: random.Random, config: ChannelConfig, base: int) -> Pattern:
    """A few rows of one bank in turns, a row or some apart."""
    of = config.organisation
    # The row's bits stand at the top, but for three SIDs.
    row = of.pseudo_channels * of.bank_groups * of.banks_per_group * of.columns * (1 if of.sids == 3 else of.sids)
    stride = row * rng.choice((1, 2, 2, 64))
    size = stride * rng.choice((2, 2, 3, 5))
    base = min(base, of.pseudo_channels * of.banks * of.rows * of.columns - size)
    return Pattern(order="stride", base=base, stride=stride, size=size, lengths=(1, 1), outstanding=2)
