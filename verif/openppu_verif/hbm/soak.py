"""Random runs of a channel or a whole controller.

Every timing, mapping, policy, length, mask, stall, rest, temperature, wrong bits, lost words and commands, resets; of a
whole controller also its registers, fill, scrubber and self-test.

Each run is made from one number, which a failure names. What the runs reached is counted, and a tally without some
case that must be there is a failure, too: silence of a checker says little about what was never tried.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import DEVICES
from openppu_sim.cli import Parser, guarded
from openppu_sim.errors import SimulationError
from openppu_sim.report.table import print_table

from openppu_verif.hbm.coverage import GOAL, RULES, SOFTWARE, HbmCoverage
from openppu_verif.hbm.native import Measurement, build_channel, run
from openppu_verif.hbm.random_faults import KINDS as FAULTS
from openppu_verif.hbm.scenarios import STRETCH, Scenario, scenario
from openppu_verif.hbm.scrubbed import emit_scrubbed
from openppu_verif.hbm.software import Software, answered_reads, build_controller, run_controller

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

WHOLE = ("whole", "stack")
"""Whole controllers, with registers and all."""


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
    coverage: HbmCoverage = field(default_factory=lambda: HbmCoverage(ChannelConfig()))

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
        wanted += ["hash_banks True", "hash_banks False", "reset", "masked", "temperature", "update"]
        wanted += [*self.wanted, *(f"device {name}" for name in DEVICES), *(f"longer {name}" for name in STRETCH)]
        never = [name for name in wanted if not self.cases[name]]
        return never + sorted(f"{name} at its limit" for name in RULES if not self.at_limit[name])


def _build(config: ChannelConfig, build_root: Path, name: str) -> Path:
    if name in WHOLE:
        return build_controller(config, build_root)
    if name not in SCRUBBED:
        return build_channel(config, build_root)
    with tempfile.TemporaryDirectory() as folder:
        return build_channel(config, build_root, netlist=emit_scrubbed(config, Path(folder)))


def _wanted(config: ChannelConfig, name: str) -> tuple[str, ...]:
    """The cases that must come in runs of one configuration, and not in those of all."""
    wanted: tuple[str, ...] = SOFTWARE if name in WHOLE else ()
    wanted += FAULTS[config.ecc]
    wanted += ("scrub",) if name in SCRUBBED else ()
    wanted += ("hammer", "neighbours refreshed") if config.hammer_entries else ()
    return wanted + (("wrong parity",) if config.retry else ())


def _check_accounts(config: ChannelConfig, chosen: Scenario, measured: Measurement) -> None:
    """Hold a controller's histogram and logs of errors to what came."""
    seen = answered_reads(config, measured)
    if "freeze" not in chosen.cases and seen != measured.reads_answered:
        raise SimulationError(f"{measured.reads_answered} reads were answered, {seen} are in the histogram")
    at = Software(config).at
    if "scrub" in chosen.cases and not {"reset", "restart", "too hot", "self-test"} & set(chosen.cases):
        # An interval is 1000 clocks at most, and is waited for twice at most.
        least = measured.clocks // 2000 - 1
        if not measured.registers[at["scrub.passes"]] and measured.registers[at["scrub.position"]] < least:
            raise SimulationError(f"the scrubber read {measured.registers[at['scrub.position']]} granules, not {least}")
    names = ("corrected", "uncorrectable", "lost")
    logged = {n: sum(measured.registers[at[f"errors{pc}.{n}"]] for pc in range(2)) for n in names}
    wrong = any(name in FAULTS[config.ecc] for name in chosen.cases)
    if sum(logged.values()) and not wrong:
        raise SimulationError(f"errors were logged where no word was wrong: {logged}")
    if "reset" not in chosen.cases and logged["corrected"] < measured.corrected_beats:
        raise SimulationError(f"{measured.corrected_beats} corrected answers, but only {logged} were logged")


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
    whole = name in WHOLE
    tally = Tally(wanted=_wanted(config, name), coverage=HbmCoverage(config, whole=whole))
    for seed in runs:
        chosen = scenario(config, seed, clocks, scrubs=name in SCRUBBED, whole=whole)
        again = f"repeat with `{COMMAND} --config {name} --first {seed} --runs 1 --clocks {clocks}`"
        options: dict[str, Any] = {"settings": chosen.settings, "events": chosen.events, "seed": seed}
        options |= {"warmup": 0, "clocks": clocks}
        try:
            if whole:
                measured = run_controller(executable, config, chosen.patterns, fill=chosen.fill, **options)
            else:
                measured = run(executable, config, chosen.patterns, **options)
            measured.check(errors=chosen.errors)
            if whole:
                _check_accounts(config, chosen, measured)
        except SimulationError as error:
            raise SimulationError(f"run {seed} of {name}: {error}; {again}") from None
        if "update" in chosen.cases and not {"restart", "reset"} & set(chosen.cases) and not measured.updates:
            raise SimulationError(f"run {seed} of {name}: the PHY's update request was not granted; {again}")
        refreshed = any(counters["victims"] for counters in measured.counters)
        tally.add(measured, chosen.cases + ["neighbours refreshed"] * refreshed)
        tally.coverage.sample(chosen, measured)
    return tally


def main() -> int:
    """Run a channel at random and say what was reached; exit code 1 on a failure or a missing case."""
    parser = Parser(prog=COMMAND, description=main.__doc__)
    parser.add_argument("--config", choices=CONFIGS, default="small", help="default: small")
    parser.add_argument("--first", type=int, default=0, help="number of the first run (default: 0)")
    parser.add_argument("--runs", type=int, default=500, help="default: 500")
    parser.add_argument("--clocks", type=int, default=RUN_CLOCKS, help=f"of a run (default: {RUN_CLOCKS})")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args()
    runs = range(args.first, args.first + args.runs)
    tally = soak(CONFIGS[args.config], args.build_dir, runs=runs, clocks=args.clocks, name=args.config)
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
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
