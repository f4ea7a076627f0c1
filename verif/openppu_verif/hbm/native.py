"""Runs traffic on the Verilated channel, the device model and the checker at its PHY: no Python per clock.

The model (`openppu_verif.native.model`) loads the bench (``bench.cpp``) as a library. A run is told everything in a
file of parameters, and answers in JSON.
"""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openppu.hbm.accounts import IDLE_CAUSES, counters_layout
from openppu.hbm.config import GRANULE, ChannelConfig
from openppu.hbm.device import Timing
from openppu.hbm.layouts import acknowledge_layout, request_layout, response_layout, write_word_layout
from openppu.hbm.power import POWER_COUNTERS, power_layout
from openppu.hbm.read_path import error_layout
from openppu.hbm.settings import Settings, settings_layout
from openppu_sim.errors import SimulationError
from openppu_sim.reference.memory_code import columns

from openppu_verif.hbm.memory_file import field_lines, memory_lines, settings_value
from openppu_verif.hbm.native_library import build_library
from openppu_verif.hbm.native_model import TOP as TOP
from openppu_verif.hbm.native_model import build_channel as build_channel
from openppu_verif.hbm.native_model import emit_channel as emit_channel

ORDERS = ("sequential", "random", "stride")
WHOLE = 65536

Event = tuple[int, str, Sequence[int | str]]
"""After how many clocks, what, and its numbers."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """What one request port asks for. Addresses and lengths count accesses of 32 bytes.

    Parameters
    ----------
    order : str
        "sequential": one stream over all ports that share ``size``, which take turns; "random": anywhere in ``size``;
        "stride": from 0 on by ``stride``, modulo ``size``.
    base, size : int
        The part of the memory that is used; None is all of it. Ports whose parts overlap must have the same base.
    stride : int
    lengths : (int, int)
        Least and most accesses of a request. If they are equal, random addresses are multiples of it.
    reads : float
        Share of requests.
    write_offset : int
        Sequential writes are a stream of their own, so far from the reads'; 0: one stream for both.
    masked : float
        Share of written words of which random bytes are masked.
    tags : int
        Requests take them in turn.
    outstanding : int
        Requests offered and not yet answered, at most.
    gap : int
        Idle clocks after a request.
    beyond : float
        Share of requests that reach beyond the capacity, and must be refused.
    stall, hold : float
        Share of clocks in which a request or word is not offered yet; in which an answer is not taken.
    """

    order: str = "sequential"
    base: int = 0
    size: int | None = None
    stride: int = 1
    lengths: tuple[int, int] = (8, 8)
    reads: float = 1.0
    write_offset: int = 0
    masked: float = 0.0
    tags: int = 1
    outstanding: int = 1 << 20
    gap: int = 0
    beyond: float = 0.0
    stall: float = 0.0
    hold: float = 0.0

    def words(self, ports: int, index: int, accesses: int, stripe: int) -> str:
        """The pattern as the bench reads it, for one of several ports, which share the memory in stripes."""
        values = {
            "order": ORDERS.index(self.order),
            "base": self.base,
            "size": accesses - self.base if self.size is None else self.size,
            "stride": self.stride,
            "least": self.lengths[0],
            "most": self.lengths[1],
            "reads": round(self.reads * WHOLE),
            "write_offset": self.write_offset,
            "masked": round(self.masked * WHOLE),
            "tags": self.tags,
            "outstanding": self.outstanding,
            "gap": self.gap,
            "beyond": round(self.beyond * WHOLE),
            "capacity": accesses,
            "stall": round(self.stall * WHOLE),
            "hold": round(self.hold * WHOLE),
            "stripe": stripe,
            "ports": ports,
            "index": index,
        }
        return " ".join(f"{key}={value}" for key, value in values.items())


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a run did. Counts are of the measuring window, but for violations, problems and wrong answers.

    Parameters
    ----------
    clocks : int
        Controller clocks of the window.
    simulated : int
        Clocks in all, and
    seconds : float
        the processor time they took.
    beats_read, words_written : int
        Accesses that the ports gave and took.
    reads_done : int
        Read requests answered whole.
    refused : int
        Requests beyond the capacity that were answered as such, in the whole run; and
    turned_away : int
        others that were refused since the memory was too hot.
    updates : int
        Times that the bus was quiet for the PHY, in the whole run.
    error_beats, corrected_beats : int
        Beats with ``error``, with ``corrected``.
    pairs : dict
        Of the whole run, how often a command followed another: "ACT, RD, same bank"; see ``command_pairs.h``.
    bus_reads, bus_writes : (int, int)
        RD and WR of each pseudo-channel.
    latencies : list of (int, int)
        Controller clocks from a read's first offer to its last beat, and how many reads took so long.
    violations : int
        Rules of the device that were broken, and
    rules : dict
        how often each; and the first of them in words.
    at_limit : dict
        How often a command came in the very clock from which each pair rule allowed it.
    parity_failed : bool
        The controller gave up on commands that the device did not take.
    lost_commands : dict
        Commands that the device did not take, for their parity was wrong, by name, in the whole run.
    most_neighbour_acts : int
        Activations of a row since a neighbour's own, at most; 0 if that was not watched.
    problems : int
        Commands and words that the device could not obey; and the first of them in words.
    wrong : int
        Answers that break the rules of memory or streams; and the first of them in words.
    lost_or_stray : int
        Of the controller's flags for missing and surplus words, how many are set.
    commands : dict
        Commands by name, of the whole run.
    unclean : int
        Words in memory at the end whose check bits are not those of their data.
    owed : (float, float)
        Refreshes of single banks that each pseudo-channel owes at the end.
    power : dict
        Of the whole run, or what came after its last reset, the controller's counters of power-down and self-refresh.
    digests : dict
        Of all clocks of the run, a number in hexadecimal for each part of the channel's outputs: "commands", "words"
        (to write), "ports", "counters", "flags". Two runs with the same digests did the same in the same clocks.
    counters : list of dict
        The controller's own counters of the window, of each PC; none of a `Controller`, which has registers.
    registers : dict
        What software read, by the register's offset.
    accesses, accesses_refused : int
        Accesses of registers, and those of them that were answered with an error, as they should be.
    started_after : int
        Clocks from the first reset until requests were taken.
    reads_answered : int
        Reads whose first word came, since the last reset, in the window or not.
    """

    clocks: int
    simulated: int
    seconds: float
    beats_read: int
    words_written: int
    reads_done: int
    refused: int
    turned_away: int
    updates: int
    error_beats: int
    corrected_beats: int
    pairs: dict[str, int]
    bus_reads: tuple[int, int]
    bus_writes: tuple[int, int]
    latencies: list[tuple[int, int]]
    violations: int
    rules: dict[str, int]
    at_limit: dict[str, int]
    first_violations: list[str]
    parity_failed: bool
    lost_commands: dict[str, int]
    most_neighbour_acts: int
    problems: int
    first_problems: list[str]
    wrong: int
    complaints: list[str]
    lost_or_stray: int
    commands: dict[str, int]
    unclean: int
    owed: tuple[float, float]
    pages: int
    power: dict[str, int]
    digests: dict[str, str]
    registers: dict[int, int]
    accesses: int
    accesses_refused: int
    started_after: int
    reads_answered: int
    counters: list[dict[str, int]] = field(default_factory=list)

    @property
    def efficiency(self) -> float:
        """Data at the ports, as a share of what both pseudo-channels could move."""
        return (self.beats_read + self.words_written) / (2 * self.clocks)

    @property
    def bus_efficiency(self) -> float:
        """RD and WR, as a share of the column slots."""
        return (sum(self.bus_reads) + sum(self.bus_writes)) / (2 * self.clocks)

    @property
    def idle(self) -> dict[str, float]:
        """Each class of idle column slots, by the controller's counters, as a share of all slots."""
        total = sum(each["clocks"] for each in self.counters)
        return {name: sum(each[name] for each in self.counters) / max(1, total) for name in IDLE_CAUSES}

    def latency(self, share: float) -> int:
        """Clocks within which so large a share of the reads was answered; 0 if there was none."""
        wanted = share * sum(count for _, count in self.latencies)
        seen = 0
        for clocks, count in self.latencies:
            seen += count
            if seen >= wanted:
                return clocks
        return 0

    def check(self, *, errors: bool = False) -> None:
        """Raise SimulationError with the first of all that went wrong; ``errors``: error answers are expected."""
        found = [*self.first_violations, *self.first_problems, *self.complaints]
        if self.error_beats and not errors:
            found.append(f"{self.error_beats} answers were errors")
        if self.lost_or_stray and not errors:
            found.append("the controller missed a word, or saw one too many")
        if found or self.violations or self.problems or self.wrong:
            raise SimulationError(
                f"{self.violations} rules of the device broken, {self.problems} commands that it could not obey, "
                f"{self.wrong} wrong answers: {'; '.join(found[:5])}"
            )


def run(
    executable: Path,
    config: ChannelConfig,
    patterns: Sequence[Pattern],
    *,
    settings: Settings | None = None,
    timing: Timing | None = None,
    warmup: int = 10_000,
    clocks: int = 100_000,
    drain: int = 200_000,
    seed: int = 1,
    events: Sequence[Event] = (),
    setup: Sequence[str] = (),
    last: Sequence[str] = (),
    fill: int = 0,
    pins: Mapping[str, int] = {},
    most_violations: int = 0,
    watch_rows: bool | None = None,
    waves: Path | None = None,
    timeout: float | None = None,
) -> Measurement:
    """Run traffic from power-up.

    Parameters
    ----------
    executable : Path
        From `build_channel`.
    config : ChannelConfig
        What it was built for.
    patterns : sequence of Pattern
        One for each port; they share the memory.
    settings : Settings, optional
    timing : Timing, optional
        The device's and the checker's, if not what the controller is told.
    warmup, clocks, drain : int
        Controller clocks before the measuring window, within it, and at most for the last answers.
    seed : int
    events : sequence of (int, str, numbers)
        After so many clocks one of those in ``faults.h``; or "flip_stored" (address, bit) and "stick_stored" (address,
        bit, value), as its "flip_bit" and "stick_bit" but by address; "pause" (clocks without new requests); "reset"
        (the channel and the memory's contents).
    pins : mapping of str to int
        Inputs of the model that are none of the channel's, and their values for the whole run.
    most_violations : int
        The run ends once more rules are broken.
    watch_rows : bool, optional
        Hold the activations of neighbours to the settings' guarantee; by default, if the channel gives it.
    waves : Path, optional
        VCD file, from a model that was built with waves.
    timeout : float, optional
        Seconds to wait for the simulator.

    Raises
    ------
    SimulationError
        If the simulator itself fails. What it found is in the result: see `Measurement.check`.
    """
    settings = settings or Settings()
    library = build_library(executable.parents[2])
    if len(patterns) != config.ports:
        raise ValueError(f"{len(patterns)} patterns for {config.ports} ports")
    lines = _parameters(config, settings, timing or settings.timing, patterns)
    lines += [f"warmup {warmup}", f"clocks {clocks}", f"drain {drain}", f"seed {seed}"]
    lines += [f"most_violations {most_violations}", *([f"waves {waves.absolute()}"] if waves else [])]
    lines += [f"pin {name} {value}" for name, value in pins.items()]
    watch = config.hammer_entries > 0 if watch_rows is None else watch_rows
    window = settings.hammer_window * (timing or settings.timing).tREFI
    lines.append(f"hammer {settings.hammer_threshold if watch else 0} {window} {settings.hammer_reach}")
    lines += [f"setup {line}" for line in setup] + [f"last {line}" for line in last] + [f"fill {fill}"]
    # Those of one clock stay in their order.
    in_order = sorted(events, key=lambda event: event[0])
    lines += [f"event {clock} {name} {' '.join(map(str, values))}" for clock, name, values in in_order]
    with tempfile.TemporaryDirectory(prefix="openppu-") as folder:
        given, got = Path(folder) / "parameters", Path(folder) / "result.json"
        given.write_text("\n".join(lines) + "\n", encoding="ascii")
        try:
            process = subprocess.run(
                [executable, library, given, got], capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise SimulationError(f"the simulator did not end within {timeout} s") from None
        if process.returncode != 0:
            raise SimulationError(f"the simulator failed (exit code {process.returncode}): {process.stderr.strip()}")
        result: dict[str, Any] = json.loads(got.read_text(encoding="utf-8"))
    result["counters"] = _counters(result.pop("counters_before"), result.pop("counters_after"))
    power = power_layout().from_bits(int.from_bytes(bytes(result["power"]), "little"))
    result["power"] = {name: power[name] for name in POWER_COUNTERS}
    result["registers"] = dict(result["registers"])
    for name in ("bus_reads", "bus_writes", "owed"):
        result[name] = tuple(result[name])
    result["latencies"] = [tuple(pair) for pair in result["latencies"]]
    return Measurement(**result)


def as_json(measurement: Measurement) -> dict[str, Any]:
    """A measurement with its derived figures, for files."""
    derived = {
        "efficiency": measurement.efficiency,
        "bus_efficiency": measurement.bus_efficiency,
        "idle": measurement.idle,
        "latency_clocks": {f"p{100 * share:g}": measurement.latency(share) for share in (0.5, 0.9, 0.99, 1.0)},
    }
    return asdict(measurement) | derived


def _parameters(config: ChannelConfig, settings: Settings, timing: Timing, patterns: Sequence[Pattern]) -> list[str]:
    of, values = config.organisation, settings.values()
    accesses = of.pseudo_channels * of.banks * of.rows * of.columns
    word, response = write_word_layout(), response_layout(config)
    lines = [
        *memory_lines(config, settings, timing),
        *field_lines("request", request_layout(config)),
        *field_lines("response", response),
        *field_lines("acknowledge", acknowledge_layout(config)),
        *field_lines("record", error_layout(config)),
        f"byte.word.data {word['data'].offset // 8}",
        f"byte.word.mask {word['mask'].offset // 8}",
        f"byte.response.data {response['data'].offset // 8}",
        f"settings {' '.join(map(str, _settings_bytes(settings, config)))}",
        f"check_columns {' '.join(map(str, columns(config.ecc)))}",
        f"mapping {values['mapping']} {int(settings.hash_banks)} {of.sids} {(of.rows - 1).bit_length()}",
    ]
    stripe = 1 << (max(GRANULE, *(each.lengths[1] for each in patterns)) - 1).bit_length()
    return lines + [f"pattern {each.words(config.ports, n, accesses, stripe)}" for n, each in enumerate(patterns)]


def _settings_bytes(settings: Settings, config: ChannelConfig) -> bytes:
    return settings_value(settings, config).to_bytes(-(-settings_layout().size // 8), "little")


def _counters(before: Sequence[int], after: Sequence[int]) -> list[dict[str, int]]:
    layout = counters_layout()
    size = len(before) // 2
    if not size:
        return []
    found: list[dict[str, int]] = []
    for pc in range(2):
        values: Mapping[str, int] = {}
        first, last = (int.from_bytes(bytes(raw[pc * size : (pc + 1) * size]), "little") for raw in (before, after))
        for name, place in layout:
            mask = (1 << place.width) - 1
            values = {**values, str(name): ((last >> place.offset) - (first >> place.offset)) & mask}
        found.append(dict(values))
    return found
