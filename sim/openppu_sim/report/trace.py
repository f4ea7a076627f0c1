"""A run of chips as a trace: a JSON file of Chrome's trace-event format, which https://ui.perfetto.dev shows.

Each chip is a process. A queue's commands are slices, on as many tracks as are under way at once; what a queue waits
for is on a track of its own, and so is what its engine's cycles went to. Semaphores, memory and link are counters, or,
of the model's link, slices. Times are in microseconds of the chip's clock.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from openppu_sim.device.records import Record
from openppu_sim.errors import UserError

SIGNALLED = 3
"""Clocks from a command's end to the first in which another one begins that waited for its signal."""

COMMAND_CLOCKS = 4
"""From a command to the next one of a queue, if it waits for nothing."""

LANES = 16
"""Tracks of a queue, at most."""

MEMORY_CAUSES = ("no_request", "hold", "refresh", "turnaround", "bank_group", "row")
"""Why a pseudo-channel moves no data in a clock, as its counters have it."""

IDLE = "idle"
"""The cause of an engine's cycles that has nothing to do."""

MOVED = ("reads", "writes", "row_hits")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that ran: its record, its text, and which semaphores it waited for and signalled, with their values.

    ``target``: the chip of the semaphore that it signals, if that is another one's.
    """

    record: Record
    text: str = ""
    wait: tuple[int, int] | None = None
    signal: tuple[int, int] | None = None
    target: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Counters of a chip at a clock: of each channel of memory, by their names, what was counted since the sample
    before; and the flits that each port has ever sent.
    """

    clock: int
    channels: tuple[Mapping[str, int], ...] = ()
    flits: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChipRun:
    """What one chip did."""

    queues: Sequence[str]
    ran: Sequence[Ran]
    samples: Sequence[Sample] = ()
    flows: Sequence[tuple[int, int, int, int]] = ()
    """Port, first and last clock, and bytes of what went to others, where that is known."""
    causes: Mapping[str, Sequence[tuple[str, int, int]]] = field(default_factory=dict)
    """Of the queues of compute units' engines, what the cycles of these went to: spans, each a cause, its first clock,
    and the one behind its last."""
    cycles: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The same in all, by cause."""


def trace_events(chips: Sequence[ChipRun], clock_mhz: float) -> list[dict[str, Any]]:
    """All events, in the order of their times."""
    values = _semaphores(chips)
    start = min((each.record.begun for chip in chips for each in chip.ran), default=0)
    events: list[dict[str, Any]] = []
    for number, chip in enumerate(chips):
        events += _named("process_name", number, 0, f"chip {number}")
        for place, queue in enumerate(chip.queues):
            ran = [each for each in chip.ran if each.record.queue == queue]
            events += _commands(number, place, queue, ran, clock_mhz)
            events += _waits(number, place, queue, ran, values, clock_mhz, start=start)
            events += _causes(number, place, queue, chip.causes.get(queue, ()), clock_mhz)
        for semaphore, steps in sorted(values.get(number, {}).items()):
            total = 0
            for clock, step in sorted(steps):
                total += step
                events.append(_counter(number, f"semaphore {semaphore}", clock, {"value": total}, clock_mhz))
        events += _memory(number, chip.samples, clock_mhz)
        events += _link(number, len(chip.queues), chip, clock_mhz)
    return sorted(events, key=lambda event: (event["ph"] != "M", event["ts"], -event.get("dur", 0)))


def write_trace(path: Path, chips: Sequence[ChipRun], clock_mhz: float, about: Mapping[str, Any]) -> int:
    """Write the file; the number of events.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    events = trace_events(chips, clock_mhz)
    text = json.dumps({"traceEvents": events, "displayTimeUnit": "ns", "otherData": dict(about)}, indent=0)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return len(events)


def _named(kind: str, chip: int, track: int, name: str) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": kind, "pid": chip, "tid": track, "ts": 0, "args": {"name": name}}


def _slice(
    chip: int, track: int, name: str, kind: str, begun: float, ended: float, mhz: float, args: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "pid": chip,
        "tid": track,
        "ts": begun / mhz,
        "dur": (ended - begun) / mhz,
        "args": {"begun": begun, "ended": ended, **args},
    }


def _counter(chip: int, name: str, clock: int, values: Mapping[str, float], mhz: float) -> dict[str, Any]:
    return {"ph": "C", "name": name, "pid": chip, "tid": 0, "ts": clock / mhz, "args": dict(values)}


def _commands(chip: int, place: int, queue: str, ran: Iterable[Ran], mhz: float) -> Iterator[dict[str, Any]]:
    """Slices that overlap are on different tracks."""
    free: list[int] = []
    for each in sorted(ran, key=lambda one: one.record.begun):
        record = each.record
        lane = next((lane for lane, until in enumerate(free) if until <= record.begun), len(free))
        lane = min(lane, LANES - 1)
        track = (2 * LANES) * (place + 1) + lane
        if lane == len(free):
            free.append(0)
            yield from _named("thread_name", chip, track, queue if lane == 0 else f"{queue} {lane + 1}")
        free[lane] = record.ended
        name = each.text.removeprefix(f"{record.tag}: ").partition(" ")[0] or f"opcode {record.opcode}"
        args = {"command": each.text, "tag": record.tag, "error": record.error}
        yield _slice(chip, track, name, "command", record.begun, record.ended, mhz, args)


def _waits(
    chip: int,
    place: int,
    queue: str,
    ran: Sequence[Ran],
    values: Mapping[int, Mapping[int, Sequence[tuple[int, int]]]],
    mhz: float,
    *,
    start: int,
) -> Iterator[dict[str, Any]]:
    """From where a queue could have begun a command to where its semaphore had come, if that was later."""
    track = (2 * LANES) * (place + 1) + LANES
    before = None
    named = False
    taken: dict[int, int] = {}
    for each in sorted(ran, key=lambda one: one.record.begun):
        since = start if before is None else before + COMMAND_CLOCKS
        before = each.record.begun
        if each.wait is None:
            continue
        semaphore, value = each.wait
        taken[semaphore] = taken.get(semaphore, 0) + value
        came, total = None, 0
        for clock, step in sorted(values.get(chip, {}).get(semaphore, ())):
            total += max(step, 0)
            if total >= taken[semaphore]:
                came = clock
                break
        if came is None or came <= since:
            continue
        if not named:
            named = True
            yield from _named("thread_name", chip, track, f"{queue} waits")
        until = min(came, each.record.begun)
        yield _slice(chip, track, f"semaphore {semaphore}", "wait", since, until, mhz, {"value": value})


def _causes(
    chip: int, place: int, queue: str, spans: Iterable[tuple[str, int, int]], mhz: float
) -> Iterator[dict[str, Any]]:
    """A track for an engine; where it is idle there is nothing."""
    track = (2 * LANES) * (place + 1) + LANES + 1
    named = False
    for cause, begun, ended in spans:
        if cause == IDLE:
            continue
        if not named:
            named = True
            yield from _named("thread_name", chip, track, f"{queue}: cycles")
        yield _slice(chip, track, cause, "cause", begun, ended, mhz, {})


def _semaphores(chips: Sequence[ChipRun]) -> dict[int, dict[int, list[tuple[int, int]]]]:
    """Of each chip and semaphore, the clocks in which it changes, and by how much."""
    values: dict[int, dict[int, list[tuple[int, int]]]] = {}
    for number, chip in enumerate(chips):
        for each in chip.ran:
            if each.wait is not None:
                values.setdefault(number, {}).setdefault(each.wait[0], []).append((each.record.begun, -each.wait[1]))
            if each.signal is not None and each.record.error == "OKAY":
                owner = number if each.target is None else each.target
                values.setdefault(owner, {}).setdefault(each.signal[0], []).append(
                    (each.record.ended + SIGNALLED, each.signal[1])
                )
    return values


def _memory(chip: int, samples: Sequence[Sample], mhz: float) -> Iterator[dict[str, Any]]:
    """Between two samples: words of 32 bytes a clock, and the share of clocks lost to each cause."""
    for first, then in pairwise(samples):
        for number, counted in enumerate(then.channels):
            name, clocks = f"HBM channel {number}", counted["clocks"]  # of both pseudo-channels
            if not clocks:
                continue
            moved = {key: 2 * counted[key] / clocks for key in MOVED}
            lost = {key: counted[key] / clocks for key in MEMORY_CAUSES}
            yield _counter(chip, f"{name}: words a clock", first.clock, moved, mhz)
            yield _counter(chip, f"{name}: idle, by cause", first.clock, lost, mhz)


def _link(chip: int, queues: int, run: ChipRun, mhz: float) -> Iterator[dict[str, Any]]:
    for first, then in pairwise(run.samples):
        if then.clock > first.clock and first.flits:
            sent = {f"port {n}": float(b - a) for n, (a, b) in enumerate(zip(first.flits, then.flits, strict=True))}
            yield _counter(chip, "link: flits sent", first.clock, sent, mhz)
    ends: dict[int, int] = {}
    for port, begun, ended, size in sorted(run.flows):
        track = (2 * LANES) * (queues + 1) + port
        if port not in ends:
            yield from _named("thread_name", chip, track, f"link port {port}")
        begun = max(begun, ends.get(port, 0))
        ends[port] = max(ended, begun)
        yield _slice(chip, track, f"{size} bytes", "link", begun, ends[port], mhz, {"bytes": size})
