"""Long random runs of two ports: ``python -m openppu_verif.link.soak``.

Each run draws lanes (skew, order, polarity), traffic on all virtual channels and backpressure, wrong bits on their own
and in bursts, lost, doubled and swapped words, words that come with gaps, lanes that die and come back, all of them for
long, with a tunnel instead or none, and now and then the reset of a side. Every packet that was taken must arrive once,
in the order of its channel, unchanged; only a reset, or a port that gives up, may lose what was on its way.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openppu.config import load
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.failover import Failover
from openppu.link.physical import physical_control_layout
from openppu.link.port import port_status_layout
from openppu.link.settings import TrainingSettings
from openppu_sim.cli import Parser, guarded
from openppu_sim.errors import SimulationError, UserError

from openppu_verif.link.native import ALIVE, DARK, NOISE, SIDES, STUCK, Faults, Lane, Run, Traffic, build_port
from openppu_verif.link.native import run as run_ports

CONFIGS = {
    "narrow": load("tiny").link,
    "plain": load("demo").link,
    "back": replace(load("demo").link, retry="go_back_n"),
    "coded": LinkConfig(ports=1, lanes=4, lane_bits=64, fec=True, crc_bits=64, skew_words=8),
    "recovered": replace(load("demo").link, recovered_clock=True),
    "ppu810e": load("ppu810e").link,
    "wide": LinkConfig(ports=1, lanes=16, lane_bits=64),
}
CLOCKS = 60_000
DRAIN = 400_000
GAP_WORDS = 2
"""That a lane may be behind, because of gaps."""
COMMAND = "python -m openppu_verif.link.soak"
NOTED = ("physical.state", "physical.cause", "physical.send_width", "tunnel.active", "gone")
THROUGH = Failover(hops=(1,), far_chip=1, far_port=0, patience=4096)
GIVES_UP = Failover(hops=None, far_chip=1, far_port=0, patience=4096)
QUIET_EVENTS = ("faults", "pause")
"""Of those events that `scenario` draws: with others, a port trains, and loses flits in that."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A run, drawn from a configuration and a seed."""

    config: LinkConfig
    seed: int
    traffic: list[list[Traffic]]
    lanes: list[list[Lane]]
    faults: list[Faults]
    events: list[tuple[int, str, list[object]]] = field(default_factory=list)
    ppm: tuple[int, int] = (0, 0)
    jitter: float = 0.0
    rx_rate: float = 1.0
    gaps: float = 0.0
    failover: Failover | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)

    @property
    def resets(self) -> bool:
        """Whether a side may be reset, or gives up: what is on its way then may be lost."""
        hot = 1 << physical_control_layout(self.config)["hot_reset"].offset
        return self.failover is GIVES_UP or any(
            kind == "reset" or (kind == "pin" and words[2] == hot) for _, kind, words in self.events
        )


def scenario(config: LinkConfig, seed: int, clocks: int = CLOCKS) -> Scenario:
    """Draw a run; the same for the same arguments."""
    chance = random.Random(f"{config}{seed}")
    lanes = []
    for _ in range(2):
        order = list(range(config.lanes))
        if chance.random() < 0.5:
            order = order[::-1] if chance.random() < 0.5 else chance.sample(order, len(order))
        base = chance.randrange(1, 20) * config.lane_bits
        lanes.append(
            [
                Lane(delay=base + chance.randrange(65), arrives_as=place, inverted=chance.random() < 0.3)
                for place in order
            ]
        )
    traffic = [[_traffic(chance) for _ in range(CHANNELS)] for _ in range(2)]
    faults = [_faults(chance, config) for _ in range(2)]
    events: list[tuple[int, str, list[object]]] = []
    control = physical_control_layout(config)
    failover = chance.choice([None, None, THROUGH, THROUGH, THROUGH, GIVES_UP])
    if failover is not None and chance.random() < 0.7:
        # Longer than a port waits before it turns to the tunnel, or gives up; one way or both.
        clock, lasts = chance.randrange(2_000, max(clocks - 4_000, 4_000)), chance.randrange(6_000, 30_000)
        for side in chance.choice(["a", "b", "ab", "ab", "ab"]):
            for lane in range(config.lanes):
                events.append((clock, "life", [side, lane, DARK]))
                events.append((clock + lasts + chance.randrange(100), "life", [side, lane, ALIVE]))
    for _ in range(chance.randrange(4)):
        clock, side = chance.randrange(4_000, clocks), chance.choice("ab")
        kind = chance.random()
        if kind < 0.5:
            lane = chance.randrange(config.lanes)
            events.append((clock, "life", [side, lane, chance.choice([DARK, STUCK, NOISE])]))
            events.append((clock + chance.randrange(200, 20_000), "life", [side, lane, ALIVE]))
        elif kind < 0.6:
            life, lasts = chance.choice([DARK, NOISE]), chance.randrange(200, 20_000)
            for lane in range(config.lanes):
                events.append((clock, "life", [side, lane, life]))
                events.append((clock + lasts, "life", [side, lane, ALIVE]))
        elif kind < 0.7:
            worst = Faults(bit_errors=0.01, dropped=1e-3, doubled=1e-3, swapped=1e-3)
            events.append((clock, "faults", [side, worst.words()]))
            events.append((clock + chance.randrange(10, 300), "faults", [side, faults["ab".index(side)].words()]))
        elif kind < 0.78:
            events.append((clock, "pause", [chance.randrange(10, 3_000)]))
        elif kind < 0.92:
            name = chance.choice(["retrain", "hot_reset", "sleep", "disable"])
            lasts = 1 if name in ("retrain", "hot_reset") else chance.randrange(500, 6_000)
            events.append((clock, "pin", [side, "control", 1 << control[name].offset]))
            events.append((clock + lasts, "pin", [side, "control", 0]))
        else:
            events.append((clock, "reset", [side, chance.randrange(1, 300)]))
    recovered = config.recovered_clock
    return Scenario(
        config=config,
        seed=seed,
        traffic=traffic,
        lanes=lanes,
        faults=faults,
        events=events,
        settings=TrainingSettings(
            revive_after=chance.choice([0, 300]),
            align_timeout=chance.choice([16384, 1500]),
            attempts=chance.choice([0, 2]),
            detect_timeout=chance.choice([0, 3000]),
            retrain_timeout=chance.choice([4096, 1000]),
            failed_timeout=chance.choice([500, 3000]),
        ),
        failover=failover,
        gaps=chance.choice([0.0, 0.0, 0.01, 0.2]),
        rx_rate=chance.choice([1.0, 1.3]) if recovered else 1.0,
        ppm=(chance.randrange(-100, 101), chance.randrange(-100, 101)) if recovered else (0, 0),
        jitter=chance.random() if recovered else 0.0,
    )


def _traffic(chance: random.Random) -> Traffic:
    if chance.random() < 0.2:
        return Traffic(operations=())
    longest = chance.choice([1, 16, 300, 4096])
    return Traffic(
        sizes=(1, longest),
        pause=chance.choice([0.0, 0.5, 0.95]),
        stall=chance.choice([0.0, 0.0, 0.3]),
        hold=chance.choice([0.0, 0.0, 0.4, 0.9]),
    )


def _faults(chance: random.Random, config: LinkConfig) -> Faults:
    """No more wrong flits than a port lives with: it trains again after eight in a row."""
    return Faults(
        bit_errors=chance.choice([0.0, 1e-6, 1e-5, 1e-4 if config.fec else 3e-5]),
        bursts=chance.choice([0.0, 0.0, 1e-6]),
        burst_bits=chance.choice([2, 8, 16, 33]),
        dropped=chance.choice([0.0, 0.0, 0.0, 1e-6]),
        doubled=chance.choice([0.0, 0.0, 0.0, 1e-6]),
        swapped=chance.choice([0.0, 0.0, 0.0, 1e-6]),
    )


def play(name: str, seed: int, build_root: Path, *, clocks: int = CLOCKS, waves: Path | None = None) -> Run:
    """Do one run.

    Raises
    ------
    SimulationError
        If a packet arrives wrong, twice, out of order or, without a reset, not at all; or if a port counts otherwise
        than the channel.
    """
    drawn = scenario(CONFIGS[name], seed, clocks)
    done = run_ports(
        build_port(drawn.config, build_root, waves=waves is not None),
        drawn.config,
        traffic=drawn.traffic,
        lanes=drawn.lanes,
        faults=drawn.faults,
        events=drawn.events,
        ppm=drawn.ppm,
        jitter=drawn.jitter,
        rx_rate=drawn.rx_rate,
        gaps=drawn.gaps,
        gap_words=GAP_WORDS,
        failover=drawn.failover,
        tunnel=True,
        settings=drawn.settings,
        warmup=0,
        clocks=clocks,
        drain=DRAIN,
        seed=seed,
        watch=["status"],
        note=NOTED,
        waves=waves,
    )
    try:
        done.check()
        lost = sum(flow.lost for flow in done.flows)
        if lost and not drawn.resets:
            raise SimulationError(f"{lost} packets were lost")
        _counted(drawn, done)
    except SimulationError as error:
        repeat = f"{COMMAND} --config {name} --seed {seed} --runs 1 --clocks {clocks}"
        raise SimulationError(f"{error}; {drawn}; repeat: {repeat}") from None
    return done


def statuses(done: Run) -> list[Any]:
    """Of both ports, at the end."""
    layout = port_status_layout(done.config)
    return [layout.from_bits(int.from_bytes(done.pins[f"{side}.status"], "little")) for side in SIDES]


def _counted(drawn: Scenario, done: Run) -> None:
    """What the ports have counted against what the channel did.

    Raises
    ------
    SimulationError
        If they do not agree.
    """
    ports = statuses(done)
    if any(port.physical.missing for port in ports):
        raise SimulationError("a port had nothing to send when it was to")
    if any(kind not in QUIET_EVENTS for _, kind, _ in drawn.events):
        return
    bad, corrected, replayed = (
        sum(port.link.counts[name] for port in ports) for name in ("bad", "corrected", "replayed")
    )
    if not done.lost_words and bad + corrected > done.wrong_bits:
        raise SimulationError(f"{bad} bad and {corrected} corrected flits of {done.wrong_bits} wrong bits")
    if not done.lost_words and not done.wrong_bits and replayed:
        raise SimulationError(f"{replayed} flits sent again without a fault")


def main(argv: Sequence[str] | None = None) -> int:
    """Do runs, and say what they came to."""
    parser = Parser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, action="append", help="default: each in turn")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default: 1)")
    parser.add_argument("--runs", type=int, default=20, help="of each configuration (default: 20)")
    parser.add_argument("--clocks", type=int, default=CLOCKS, help=f"of each run (default: {CLOCKS})")
    parser.add_argument("--waves", type=Path, help="VCD files of the run")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help="default: build")
    args = parser.parse_args(argv)
    if args.runs < 1 or args.clocks < 1:
        raise UserError(f"--runs {args.runs} --clocks {args.clocks}: give numbers of at least 1")
    clocks = flits = packets = wrong = lost_words = bad = replayed = tunnelled = 0
    for name in args.config or CONFIGS:
        for seed in range(args.seed, args.seed + args.runs):
            done = play(name, seed, args.build_dir, clocks=args.clocks, waves=args.waves)
            clocks += done.simulated
            packets += sum(flow.packets_out for flow in done.flows)
            wrong, lost_words = wrong + done.wrong_bits, lost_words + done.lost_words
            for port in statuses(done):
                counts = port.link.counts
                flits, bad, replayed = flits + counts.new, bad + counts.bad, replayed + counts.replayed
                tunnelled += port.tunnel.sent
            print(f"{name} {seed}: {done.simulated:,} clocks, {done.wrong_bits:,} wrong bits", flush=True)
    print(
        f"{clocks:,} clocks, {flits:,} data flits and {replayed:,} of them again, {tunnelled:,} flits through tunnels, "
        f"{bad:,} bad flits of {wrong:,} wrong bits and {lost_words:,} lost words, {packets:,} packets: each packet "
        f"arrived once, in order, whole"
    )
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
