"""Random runs of a channel: every timing, mapping, policy, length, mask, stall, rest, temperature, wrong bits, resets.

Each run is made from one number, which a failure names. What the runs reached is counted, and a tally without some
case that must be there is a failure, too: silence of a checker says little about what was never tried.
"""

import argparse
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES, device
from openppu.hbm.hammer_table import least_threshold
from openppu.hbm.settings import Mapping, Page, Refresh, Settings
from openppu_sim.errors import SimulationError
from openppu_sim.report.table import print_table

from openppu_verif.hbm.coverage import GOAL, RULES, HbmCoverage
from openppu_verif.hbm.memory_file import ADDRESS_ERROR_CLOCKS
from openppu_verif.hbm.native import Measurement, Pattern, build_channel, run
from openppu_verif.hbm.scrubbed import emit_scrubbed

COMMAND = "python -m openppu_verif.hbm.soak"
RUN_CLOCKS = 20_000
CONFIGS = {
    "small": ChannelConfig(height=4, reads=8, writes=8, slots=8, hammer_entries=8, retry=True),
    "three": ChannelConfig(height=12, reads=16, writes=8, slots=16, ports=3, tags=8, ecc="none", hammer_entries=32),
    "symbol": ChannelConfig(height=4, reads=8, writes=8, slots=8, ecc="symbol"),
    "whole": ChannelConfig(height=4, reads=8, writes=16, slots=8, hammer_entries=8, retry=True),
    "stack": ChannelConfig(height=8, reads=16, writes=16, slots=16, ports=3, ecc="symbol", retry=True),
}
SCRUBBED = ("symbol",)
"""Channels with a scrubber on a port of its own."""
TEMPERATURES = (0, 1, 3, 2, 6)
STRETCH = {"tFAW": 14, "tRRDL": 5, "tWTRL": 6, "tRTP": 9, "tWR": 9, "tRC": 20, "tRFCSB": 50, "tRREFD": 9, "tRTW": 6,
           "tCCDL": 2, "tCCDR": 2, "tXP": 9, "tXS": 9, "tCKE": 9}  # fmt: skip
"""Timing values that a run may lengthen, by as much at most: in some tables others hide them."""


@dataclass
class Tally:
    """What runs came to: clocks, accesses, rules met at their limit, cases of settings and events."""

    runs: int = 0
    clocks: int = 0
    read: int = 0
    written: int = 0
    refused: int = 0
    at_limit: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    wanted: tuple[str, ...] = ()
    coverage: HbmCoverage = field(default_factory=HbmCoverage)

    def add(self, measured: Measurement, cases: list[str]) -> None:
        """Count a run."""
        self.runs += 1
        self.clocks += measured.simulated
        self.read += measured.beats_read
        self.written += measured.words_written
        self.refused += measured.refused
        self.at_limit.update(measured.at_limit)
        self.cases.update(cases)

    def missing(self) -> list[str]:
        """Cases that never came."""
        asleep = ("pause", "too hot", *(f"{name}_after" for name in ("power_down", "self_refresh")))
        wanted = [
            *asleep,
            *(f"mapping {n}" for n in range(2)),
            *(f"page {n}" for n in range(3)),
            *(f"refresh {n}" for n in range(2)),
        ]
        wanted += ["hash_banks True", "hash_banks False", "reset", "masked", "temperature", "flipped bit", "update"]
        wanted += [*self.wanted, *(f"device {name}" for name in DEVICES), *(f"longer {name}" for name in STRETCH)]
        never = [name for name in wanted if not self.cases[name]]
        return never + sorted(f"{name} at its limit" for name in RULES if not self.at_limit[name])


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A run's settings, patterns and events."""

    settings: Settings
    patterns: list[Pattern]
    events: list[tuple[int, str, list[int]]]
    cases: list[str]


def scenario(config: ChannelConfig, seed: int, clocks: int) -> Scenario:
    """The run of a number."""
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
    size = rng.choice((1024, 1 << 14, 1 << 20, capacity))
    base = rng.randrange(capacity // size) * size
    # Some runs keep the bus full, most do not.
    lazy = rng.random() < 0.6
    events: list[tuple[int, str, list[int]]] = []
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
    if config.ecc == "secded":
        for _ in range(rng.randrange(40)):
            events.append((rng.randrange(clocks), "flip_reads", [rng.randrange(2), 0, 1, rng.randrange(288)]))
            cases.append("flipped bit")
    if config.ecc == "symbol":
        faults, kind = _wrong_symbols(rng, base, size, clocks)
        events += faults
        cases += [kind] if faults else []
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
    if rng.random() < 0.3:
        at = rng.randrange(clocks)
        events += [(at, "update_request", [1]), (at + rng.randint(400, 900), "update_request", [0])]
        cases.append("update")
    return Scenario(settings=settings, patterns=patterns, events=events, cases=cases)


def _wrong_symbols(
    rng: random.Random, base: int, size: int, clocks: int
) -> tuple[list[tuple[int, str, list[int]]], str]:
    """At most one wrong symbol a word: some on the wires, or a wire for good, or words in memory."""

    def bits() -> list[int]:
        symbol = rng.randrange(36)
        wires = (2 * symbol, 2 * symbol + 1)
        places = [64 * beat + wire if wire < 64 else 192 + 8 * beat + wire for beat in range(4) for wire in wires]
        return rng.sample(places, rng.randint(1, len(places)))

    kind = rng.choice(("flipped bit", "broken wire", "wrong in memory"))
    count = rng.randrange(40)
    if kind == "flipped bit":
        return [(rng.randrange(clocks), "flip_reads", [rng.randrange(2), 0, 1, *bits()]) for _ in range(count)], kind
    if kind == "broken wire":
        return [(rng.randrange(clocks), "flip_reads", [pc, 0, 1 << 40, *bits()]) for pc in range(2)], kind
    words = rng.sample(range(base, base + size), count)
    times = [rng.randrange(clocks) for _ in words]
    return [(at, "flip_stored", [word, bit]) for at, word in zip(times, words, strict=True) for bit in bits()], kind


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


def _build(config: ChannelConfig, build_root: Path, name: str) -> Path:
    if name not in SCRUBBED:
        return build_channel(config, build_root)
    with tempfile.TemporaryDirectory() as folder:
        return build_channel(config, build_root, netlist=emit_scrubbed(config, Path(folder)))


def soak(
    config: ChannelConfig, build_root: Path, *, runs: range, clocks: int = RUN_CLOCKS, name: str = "small"
) -> Tally:
    """Make runs, each of its number.

    Raises
    ------
    SimulationError
        If one breaks a rule of the device, loses, invents or spoils a word, or stops; the message names its number.
    """
    executable = _build(config, build_root, name)
    wanted: tuple[str, ...] = ("scrub", "broken wire", "wrong in memory") if config.ecc == "symbol" else ()
    wanted += ("hammer", "neighbours refreshed") if config.hammer_entries else ()
    wanted += ("wrong parity",) if config.retry else ()
    tally = Tally(wanted=wanted)
    for seed in runs:
        chosen = scenario(config, seed, clocks)
        again = f"repeat with `{COMMAND} --config {name} --first {seed} --runs 1 --clocks {clocks}`"
        try:
            options: dict[str, Any] = {"settings": chosen.settings, "events": chosen.events, "seed": seed}
            measured = run(executable, config, chosen.patterns, warmup=0, clocks=clocks, **options)
            measured.check()
        except SimulationError as error:
            raise SimulationError(f"run {seed} of {name}: {error}; {again}") from None
        if chosen.cases[-1] == "update" and not measured.updates:
            raise SimulationError(f"run {seed} of {name}: the PHY's update request was not granted; {again}")
        refreshed = any(counters["victims"] for counters in measured.counters)
        tally.add(measured, chosen.cases + ["neighbours refreshed"] * refreshed)
        tally.coverage.sample(config, chosen.settings, chosen.patterns, chosen.events, chosen.cases, measured)
    return tally


def main() -> None:
    """Run a channel at random and say what was reached; exit code 1 on a failure or a missing case."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--config", choices=CONFIGS, default="small", help="default: small")
    parser.add_argument("--first", type=int, default=0, help="number of the first run (default: 0)")
    parser.add_argument("--runs", type=int, default=500, help="default: 500")
    parser.add_argument("--clocks", type=int, default=RUN_CLOCKS, help=f"of a run (default: {RUN_CLOCKS})")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    runs = range(args.first, args.first + args.runs)
    try:
        tally = soak(CONFIGS[args.config], args.build_dir, runs=runs, clocks=args.clocks, name=args.config)
    except SimulationError as error:
        raise SystemExit(str(error)) from None
    print(f"{tally.runs} runs, {tally.clocks:,} clocks, {tally.read:,} accesses read, {tally.written:,} written")
    print(f"{tally.refused:,} requests beyond the capacity refused")
    print("rules met at their limit:", ", ".join(f"{name} {count:,}" for name, count in sorted(tally.at_limit.items())))
    print("cases:", ", ".join(f"{name} {count:,}" for name, count in sorted(tally.cases.items())))
    share, uncovered, rows = tally.coverage.report()
    print_table(["coverage", "hit", "bins", "%"], rows)
    print(f"{100 * share:.1f} % of all bins; the goal is {100 * GOAL:.0f} %")
    if missing := tally.missing():
        raise SystemExit(f"never came: {', '.join(missing)}")
    if share < GOAL:
        raise SystemExit(f"never hit: {'; '.join(' / '.join(each) for each in uncovered)}")


if __name__ == "__main__":
    main()
