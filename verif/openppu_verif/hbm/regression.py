"""Short runs of the native bench that reach every part of a small channel.

They are what `openppu_verif.mutation` measures: a change of the netlist counts as found if one of them fails.
`openppu_verif.hbm.trace_lock` holds what each run's outputs did.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from openppu.hbm.accounts import IDLE_CAUSES
from openppu.hbm.config import ChannelConfig
from openppu.hbm.device import Timing, device
from openppu.hbm.hammer_table import least_threshold
from openppu.hbm.settings import Mapping, Page, Refresh, Settings
from openppu_sim.errors import SimulationError

from openppu_verif.hbm.memory_file import ADDRESS_ERROR_CLOCKS
from openppu_verif.hbm.native import Event, Measurement, Pattern, run
from openppu_verif.hbm.scenarios import scenario
from openppu_verif.hbm.soak import CONFIGS

CHANNEL = CONFIGS["small"]
"""4-high, queues of 8, protection from row hammer, and retries: that of the soak."""

CLOCKS = 1500
RANDOM_RUNS = 20
DRAIN = 20_000
WRONG = {"flip_reads", "flip_stored", "stick_stored", "flip_lane", "lose_strobes"}
"""Events after which words are wrong."""

MOST_LOST = 8
"""Commands of wrong parity in a random run."""

SLOW = Timing(
    tCCDS=5, tCCDL=9, tCCDR=6, tRTW=70, RL=61, WL=16, tRCDRD=130, tRCDWR=120, tRP=140, tRAS=170, tRC=320, tRRDS=70,
    tRRDL=75, tFAW=235, tWTRS=65, tWTRL=100, tRTP=66, tWR=130, tRFC=1100, tRFCSB=515, tRREFD=130, tREFI=20_000,
    tXP=66, tXS=1200, tCKE=70, tMRD=300,
)  # fmt: skip
"""Longer than any device's, so that the upper bits of the counters of clocks are used."""

SLOWER = Timing(
    tCCDS=34, tCCDL=60, tCCDR=36, tRTW=140, RL=46, WL=11, tRCDRD=205, tRCDWR=210, tRP=225, tRAS=239, tRC=540, tRRDS=150,
    tRRDL=190, tFAW=239, tWTRS=150, tWTRL=180, tRTP=170, tWR=235, tRFC=2300, tRFCSB=900, tRREFD=200, tREFI=50_000,
    tXP=150, tXS=3000, tCKE=140, tMRD=600,
)  # fmt: skip
"""Other bits."""


QUICK = {"WL": 4, "tRRDS": 1, "tRRDL": 1, "tFAW": 5, "tRTW": 25, "tWTRS": 2, "tWTRL": 3, "tRTP": 2, "tWR": 3,
         "tCCDL": 2, "tXP": 2, "tCKE": 2, "tRREFD": 2}  # fmt: skip
"""As short as a counter can be told."""


HAMMERED = replace(device("HBM2E_3200").timing, tRC=24, tRAS=15, tRCDRD=8, tRCDWR=8, tRP=8, tRTP=4, tRFC=100, tXS=100)
"""A row can be activated as often as the tables count."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A short run.

    Parameters
    ----------
    label : str
        What failures call it.
    settings : Settings
    patterns : list of Pattern
        One a port.
    events : list
        As of `openppu_verif.hbm.native.run`.
    clocks : int
    seed : int
    errors : bool
        Error answers belong to it.
    """

    label: str
    settings: Settings
    patterns: list[Pattern]
    events: list[Event] = field(default_factory=list)
    clocks: int = CLOCKS
    seed: int = 1
    errors: bool = False


def runs(config: ChannelConfig = CHANNEL) -> Iterator[Run]:
    """Directed runs, then random ones as in `openppu_verif.hbm.soak`."""
    yield from _traffic(config)
    yield from _timing(config)
    yield from _events(config)
    for number in range(RANDOM_RUNS):
        chosen = scenario(config, number, CLOCKS)
        yield Run(
            label=f"random {number}",
            settings=chosen.settings,
            patterns=chosen.patterns,
            events=_fewer(chosen.events),
            seed=number,
            errors=chosen.errors,
        )


def _fewer(events: Sequence[Event]) -> list[Event]:
    """With no more lost commands than so short a run can mend: after 16 in a row the controller gives up."""
    lost = [each for each in events if each[1] == "spoil_command"]
    return [each for each in events if each not in lost[MOST_LOST:]]


def play(
    executable: Path, each: Run, *, pins: dict[str, int] | None = None, timeout: float | None = None
) -> Measurement:
    """Do a run of `CHANNEL` on a native model.

    Raises
    ------
    SimulationError
        With the first thing that is wrong.
    """
    measured = run(
        executable,
        CHANNEL,
        each.patterns,
        settings=each.settings,
        warmup=0,
        clocks=each.clocks,
        drain=DRAIN,
        seed=each.seed,
        events=each.events,
        pins=pins or {},
        timeout=timeout,
    )
    measured.check(errors=each.errors)
    events = {name for _, name, _ in each.events}
    problem = None if "reset" in events else miscounted(measured)
    problem = problem or (None if each.errors or events & WRONG else miscoded(measured))
    if problem:
        raise SimulationError(problem)
    return measured


def miscounted(measured: Measurement) -> str | None:
    """How the controller's counters differ from what was seen on the bus, or do not add up. For a run without resets.

    A command is on the bus a clock after its choice, so at both ends of the window one may be missing.
    """
    for pc, counters in enumerate(measured.counters):
        for name, seen in (("reads", measured.bus_reads[pc]), ("writes", measured.bus_writes[pc])):
            if abs(counters[name] - seen) > 1:
                return f"PC {pc}: {seen} {name} on the bus, the controller counted {counters[name]}"
        used = sum(counters[name] for name in ("reads", "writes", *IDLE_CAUSES))
        if not counters["clocks"] == used == measured.clocks:
            return f"PC {pc}: of {measured.clocks} clocks, {counters['clocks']} counted, {used} with their use"
    return None


def miscoded(measured: Measurement) -> str | None:
    """What was written with wrong check bits, or mended when it was read, if anything. For a run without wrong bits."""
    if measured.unclean or measured.corrected_beats:
        return f"{measured.unclean} words with wrong check bits in memory, {measured.corrected_beats} answers corrected"
    return None


OPEN, CLOSED = Page(0), Page(1)
PLAIN = Settings(write_high=6, write_low=1)
BUSY = Pattern(order="random", lengths=(1, 40), reads=0.5, size=4096, masked=0.2, stall=0.1, hold=0.1, tags=4)


def _traffic(config: ChannelConfig) -> Iterator[Run]:
    """Orders, places, lengths; who is held back; mappings, page policies, limits."""
    both = config.ports

    def of(label: str, pattern: Pattern, settings: Settings = PLAIN, *, seed: int = 1, **others: Pattern) -> Run:
        patterns = [others.get(f"port_{index}", pattern) for index in range(both)]
        return Run(label=label, settings=settings, patterns=patterns, seed=seed)

    yield of("busy", BUSY)
    yield of("stream", Pattern(reads=0.5, tags=4))
    yield of("near", replace(BUSY, size=256, lengths=(1, 8), masked=0.5), replace(PLAIN, page=OPEN), seed=2)
    anywhere = replace(BUSY, size=None, lengths=(1, 128), masked=0.0, stall=0.0, hold=0.0, beyond=0.05)
    for code in range(2):
        settings = replace(PLAIN, mapping=Mapping(code), hash_banks=bool(code))
        yield of(f"anywhere, mapping {code}", anywhere, settings, seed=3)
    reads = Pattern(order="random", lengths=(1, 8), tags=4)
    yield of("reads, answers held", replace(reads, hold=0.9), replace(PLAIN, page=CLOSED), seed=4)
    yield of("reads beside writes", reads, port_1=replace(reads, reads=0.0), seed=5)
    many = replace(PLAIN, write_high=config.writes, write_low=config.writes - 1, age_limit=40)
    yield of("writes, masked", replace(reads, reads=0.1, masked=0.9, size=1 << 14), many, seed=6)
    yield of("impatient", replace(BUSY, size=1 << 20, lengths=(1, 8)), replace(PLAIN, age_limit=6), seed=7)
    row = config.organisation.banks * config.organisation.columns * 2
    one = Pattern(order="stride", stride=row, size=8 * row, lengths=(1, 1), reads=0.6)
    yield of("rows of one bank", one, replace(PLAIN, page=CLOSED, hammer_threshold=1 << 14), seed=8)


def _timing(config: ChannelConfig) -> Iterator[Run]:
    """Slow devices, delays, refreshes of both kinds, temperatures."""
    spread = replace(BUSY, size=1 << 18, lengths=(1, 8))
    slow = replace(PLAIN, timing=SLOW, read_delay=15)
    yield Run(label="slow", settings=slow, patterns=[spread] * config.ports, clocks=2500)
    few = [replace(spread, lengths=(1, 3))] * config.ports
    yield Run(label="slower", settings=replace(PLAIN, timing=SLOWER), patterns=few, clocks=3000, seed=13)
    near = [replace(spread, size=256)] * config.ports
    yield Run(label="slow and near", settings=replace(slow, refresh=Refresh(1)), patterns=near, clocks=2500)
    often = replace(PLAIN.timing, tREFI=1600, tRFC=100, tXS=100, tRFCSB=90)
    for code in range(2):
        settings = replace(PLAIN, refresh=Refresh(code), timing=often, mapping=Mapping(1), hash_banks=True)
        events: list[Event] = [(300 * place, "temperature", [each]) for place, each in enumerate((2, 6, 3, 1, 0))]
        events += [(200, "pause", [100]), (800, "pause", [300])]
        busy = [BUSY] * config.ports
        yield Run(label=f"refresh {code}", settings=settings, patterns=busy, events=events, seed=3)
    # Nothing rests until seven tREFI are owed; then each REF comes when it must.
    load = Pattern(order="random", lengths=(8, 8), reads=0.7, tags=4)
    heat: list[Event] = [(300, "temperature", [6])]
    owed = replace(PLAIN, refresh=Refresh(1), timing=often)
    yield Run(label="refreshes owed", settings=owed, patterns=[load] * config.ports, events=heat, clocks=3000, seed=15)


def _two(chance: random.Random) -> list[int]:
    """Two bits of a beat, data or check."""
    return chance.sample(range(72), 2)


def _events(config: ChannelConfig) -> Iterator[Run]:
    """Sleep, heat, the PHY's requests, lost words and commands, wrong bits, hammered rows, resets."""
    ports = config.ports
    rests: list[Event] = [(at, "pause", [length]) for at, length in ((100, 90), (300, 400), (800, 250), (1200, 900))]
    sleepy = replace(PLAIN, power_down_after=17, self_refresh_after=150)
    quick = replace(sleepy, timing=replace(PLAIN.timing, tREFI=1200, tRFC=100, tXS=150))
    few = replace(BUSY, gap=30, outstanding=2)
    for label, settings in (("sleep", sleepy), ("sleep, often refreshed", quick)):
        yield Run(label=label, settings=settings, patterns=[few] * ports, events=rests, clocks=2500, seed=2)
    longer: list[Event] = [(at, "pause", [2500]) for at in (300, 4000)]
    deep = replace(PLAIN, self_refresh_after=70, page=OPEN, timing=replace(SLOW, tREFI=4000))
    yield Run(label="deep sleep, slow", settings=deep, patterns=[few] * ports, events=longer, clocks=7000, seed=3)
    update: list[Event] = [(400, "update_request", [1]), (900, "update_request", [0])]
    update += [(1000, "update_request", [1]), (1020, "update_request", [0])]
    yield Run(label="update", settings=PLAIN, patterns=[BUSY] * ports, events=update, seed=4)
    hot: list[Event] = [(500, "catastrophic", [1]), (520, "catastrophic", [0])]
    yield Run(label="too hot", settings=PLAIN, patterns=[BUSY] * ports, events=hot, seed=5, errors=True)
    reset: list[Event] = [(500, "reset", []), (505, "temperature", [3]), (900, "reset", [])]
    yield Run(label="resets", settings=replace(PLAIN, read_delay=3), patterns=[BUSY] * ports, events=reset, seed=6)

    stream = Pattern(reads=0.7, tags=4)
    wrong: list[Event] = []
    for place in range(288):  # each data and check bit alone
        wrong += [(100 + 4 * place, "flip_reads", [pc, 0, 1, place]) for pc in range(2)]
    yield Run(label="wrong bits", settings=PLAIN, patterns=[stream] * ports, events=wrong, seed=7)
    worse: list[Event] = [(200 + 40 * n, "flip_reads", [n % 2, 0, 1, n, 70 + 7 * n]) for n in range(12)]
    worse += [(800 + 60 * n, "flip_reads", [n % 2, 0, 1, 3 * n, 3 * n + 1]) for n in range(10)]
    masked = replace(BUSY, masked=0.5, size=512)
    yield Run(label="worse bits", settings=PLAIN, patterns=[masked] * ports, events=worse, seed=8, errors=True)
    chance = random.Random(1)
    pairs: list[Event] = []
    for place in range(600):  # two wrong bits in each beat, all of whose sums the code must tell from a single one
        bits = [64 * beat + bit if bit < 64 else 192 + 8 * beat + bit for beat in range(4) for bit in _two(chance)]
        pairs.append((100 + 2 * place, "flip_reads", [place % 2, 0, 1, *bits]))
    yield Run(label="two bits", settings=PLAIN, patterns=[stream] * ports, events=pairs, seed=12, errors=True)
    lost: list[Event] = [(300 + 170 * n, "lose_strobes", [n % 2, n % 3, 1]) for n in range(6)]
    yield Run(label="lost strobes", settings=PLAIN, patterns=[stream] * ports, events=lost, seed=9, errors=True)

    if config.retry:
        late = replace(PLAIN, parity_latency=ADDRESS_ERROR_CLOCKS, timing=replace(PLAIN.timing, tREFI=1600))
        quick = replace(late, timing=replace(PLAIN.timing, **QUICK))
        closed = replace(late, page=CLOSED)
        for label, settings in (("parity", late), ("parity, closed", closed), ("parity, quick", quick)):
            # Now and then the next while the last is being mended.
            times = [100 + 180 * n // 2 - 30 * (n % 2) for n in range(30)]
            spoilt: list[Event] = [(at, "spoil_command", [n % 2, n % 3]) for n, at in enumerate(times)]
            yield Run(label=label, settings=settings, patterns=[BUSY] * ports, events=spoilt, clocks=3000, seed=10)
    if config.hammer_entries:
        row = config.organisation.banks * config.organisation.columns * 2
        for reach, stride in ((1, 2), (2, 1)):
            threshold = max(8, least_threshold(config.hammer_entries, 1, PLAIN.timing))
            settings = replace(PLAIN, hammer_threshold=threshold, hammer_window=1, hammer_reach=reach)
            few = Pattern(order="stride", stride=stride * row, size=(4 - reach) * stride * row, lengths=(1, 1))
            few = replace(few, outstanding=2)
            patterns = [few, replace(BUSY, base=10 * row, size=1 << 16, gap=20)][:ports]
            yield Run(label=f"hammered, reach {reach}", settings=settings, patterns=patterns, clocks=5000, seed=11)
        # A row of each bank in turns, and others anywhere: so every bank's table is full, and finds.
        each = Pattern(order="stride", base=row, stride=8, size=row // 2 // 4, lengths=(1, 1))
        settings = replace(PLAIN, page=CLOSED, hammer_threshold=threshold, hammer_window=1, hammer_reach=1)
        others = replace(each, order="random", base=0, size=16 * row)
        patterns = [each, others][:ports]
        yield Run(label="all banks hammered", settings=settings, patterns=patterns, clocks=5000, seed=14)
        # Two rows whose numbers differ in every bit, activated hundreds of times.
        stride = config.organisation.rows // 3 * row
        far = Pattern(order="stride", base=stride, stride=stride, size=2 * stride, lengths=(1, 1), outstanding=2)
        settings = replace(PLAIN, page=CLOSED, timing=HAMMERED, hammer_threshold=300, hammer_window=8)
        yield Run(label="hammered for long", settings=settings, patterns=[far] * ports, clocks=12_000, seed=16)
