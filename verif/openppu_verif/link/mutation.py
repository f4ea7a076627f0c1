"""What `openppu_verif.mutation` needs to know of a port of the link.

The mutated netlist is port a's; port b is the same with no mutation, so that what one of them does wrong is not done
wrong by the other, too.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openppu.config import load
from openppu.link.config import CHANNELS, LinkConfig
from openppu.link.layouts import Operation
from openppu.link.port import Port, port_status_layout
from openppu.verilog import emit
from openppu_sim.errors import SimulationError

from openppu_verif.link import soak
from openppu_verif.link.native import DARK, NO_TRAFFIC, TOP, Faults, Lane, Run, Traffic, build_port, run
from openppu_verif.mutation.netlist import CONTROL, Area
from openppu_verif.mutation.score import Notice, Subject

CONFIG: LinkConfig = load("tiny").link

SHARES = {
    "lanes sent": ("c:*physical*transmit_side*", 0.26),
    "lanes received": ("c:*physical*receive_side*lane_*", 0.4),
    "deskew and width": ("c:*receive_side*deskew* c:*physical*gather* %u", 0.17),
    "unpacker": ("c:*unpacker*", 0.17),
}
AREAS = tuple(Area(name, f"{cells} t:$memrd* %d", share) for name, (cells, share) in SHARES.items())
"""The parts of a port that are modules of their own in its Verilog; a memory's read port Yosys cannot write."""

RANDOM_RUNS = 10
SECONDS = 20.0
"""For a run; a netlist that does not end is noticed."""
WRITES = Traffic(sizes=(96, 96), operations=(Operation.WRITE,))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A short run: its arguments for `openppu_verif.link.native.run`, and what it must come to."""

    label: str
    may_lose: bool = False
    arguments: Mapping[str, Any]
    expect: Callable[[Run], str | None] = field(default=lambda done: None)


def port_subject() -> Subject:
    """A narrow port."""

    def write(folder: Path) -> Path:
        path = folder / f"{TOP}.v"
        emit(Port(CONFIG), top=TOP, config=load("tiny")).write(path)
        return path

    return Subject(top=TOP, areas=AREAS, emit=write, tests=port_tests, cut=True)


def status(done: Run, side: str) -> Any:
    """What a port told of itself at the end."""
    return port_status_layout(CONFIG).from_bits(int.from_bytes(done.pins[f"{side}.status"], "little"))


def trials() -> list[Trial]:
    """Directed runs, each with what it must come to, then random ones as in `openppu_verif.link.soak`."""
    one = [[WRITES] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2
    every = [[Traffic(sizes=(1, 300))] * CHANNELS] * 2
    crossed = [
        Lane(delay=5 * CONFIG.lane_bits + 40 * lane + 3, arrives_as=1 - lane, inverted=lane == 0) for lane in (0, 1)
    ]
    quiet = [[Traffic(operations=(Operation.READ,), pause=0.98)] + [NO_TRAFFIC] * (CHANNELS - 1)] * 2
    return [
        Trial(label="stream", arguments=dict(traffic=one, clocks=9_000), expect=_full_rate),
        Trial(label="latency", arguments=dict(traffic=quiet, clocks=12_000), expect=_latency),
        Trial(label="channels", arguments=dict(traffic=every, clocks=6_000)),
        Trial(label="crossed", arguments=dict(traffic=every, lanes=(crossed, crossed[::-1]), clocks=4_000)),
        Trial(
            label="wrong bits",
            arguments=dict(traffic=one, faults=(Faults(bit_errors=3e-5),) * 2, clocks=25_000),
            expect=_counted,
        ),
        Trial(
            label="held",
            arguments=dict(traffic=[[Traffic(sizes=(1, 4096), hold=0.9, stall=0.2)] * CHANNELS] * 2, clocks=8_000),
        ),
        Trial(
            label="lane dies",
            arguments=dict(traffic=one, events=[(3_000, "life", ["b", 0, DARK])], clocks=6_000),
            expect=_degraded,
        ),
        Trial(
            label="far side is reset",
            may_lose=True,
            arguments=dict(traffic=one, events=[(3_000, "reset", ["b", 20])], clocks=6_000),
            expect=_reset,
        ),
        *(_random(seed) for seed in range(1, RANDOM_RUNS + 1)),
    ]


def _random(seed: int) -> Trial:
    drawn = soak.scenario(CONFIG, seed, 8_000)
    names = ("traffic", "lanes", "faults", "events", "settings")
    return Trial(
        label=f"random {seed}",
        may_lose=drawn.resets,
        arguments={name: getattr(drawn, name) for name in names} | {"clocks": 8_000},
    )


def _full_rate(done: Run) -> str | None:
    a, b = status(done, "a"), status(done, "b")
    if min(done.share(side) for side in "ab") < 0.93:
        return f"payload {done.share('a'):.4f} from a, {done.share('b'):.4f} from b"
    counts = {name: (a.link.counts[name], b.link.counts[name]) for name in ("bad", "timeouts", "duplicates", "early")}
    if any(counts["bad"] + counts["duplicates"] + counts["early"]):
        return f"clean lanes: {counts}"
    for near, far in ((a, b), (b, a)):
        sent, right = near.link.counts.sent, far.link.counts.right
        if not 0 <= sent - right <= 6 or not 0 < near.link.counts.new <= sent:
            return f"{sent} flits sent, {near.link.counts.new} of them new, {right} received"
        if near.physical.send_lanes != 3 or near.physical.retrains != b.physical.retrains:
            return f"lanes {near.physical.send_lanes:#b}, {near.physical.retrains} trainings"
    if not 1 <= a.link.round_trip <= 6:
        return f"a round trip of {a.link.round_trip} flits"
    return None


def _latency(done: Run) -> str | None:
    times = [clocks for flow in done.flows for clocks, _ in flow.latencies]
    least, most = min(times), max(times)
    if least > 1 + 12 + CONFIG.beats + 2 or most > 1 + 12 + 2 * CONFIG.beats + 2:
        return f"latency {least} to {most}"
    return None


def _counted(done: Run) -> str | None:
    a, b = status(done, "a"), status(done, "b")
    bad = a.link.counts.bad + b.link.counts.bad
    if not 0.8 * done.wrong_bits - 3 <= bad <= done.wrong_bits:
        return f"{done.wrong_bits} wrong bits, {bad} bad flits"
    replayed = a.link.counts.replayed + b.link.counts.replayed
    if replayed > 1.5 * bad + 3:
        return f"{replayed} flits sent again for {bad} bad ones"
    if min(done.share(side) for side in "ab") < 0.85:
        return f"goodput {done.share('a'):.4f} and {done.share('b'):.4f}"
    return None


def _degraded(done: Run) -> str | None:
    a, b = status(done, "a"), status(done, "b")
    widths = (a.physical.send_width, a.physical.receive_width, b.physical.send_width, b.physical.receive_width)
    if widths != (1, 0, 0, 1):
        return f"widths {widths}"
    if max(flow.longest_gap for flow in done.flows) > 2_000:
        return f"{max(flow.longest_gap for flow in done.flows)} clocks without a word"
    return None


def _reset(done: Run) -> str | None:
    late = [flow.packets_out for flow in (done.flows[0], done.flows[CHANNELS])]
    if min(late) < 90:
        return f"{late} packets"
    return None


def port_tests(netlist: Path, build_root: Path) -> Notice:
    """The runs, on a model of the netlist."""
    executable = build_port(CONFIG, build_root, netlist=with_header(netlist, TOP))
    work = trials()

    def notice(number: int) -> str | None:
        for place, each in enumerate(work):
            if problem := play(executable, each, mutant=number):
                work.insert(0, work.pop(place))  # what noticed one is likely to notice the next
                return f"{each.label}: {problem}"
        return None

    return notice


def with_header(netlist: Path, top: str) -> Path:
    """A file beside Yosys's netlist with its ports as `openppu_verif.native.model` reads them."""
    inner = f"{top}_mutated"
    text = netlist.read_text(encoding="ascii").replace(f"module {top}(", f"module {inner}(", 1)
    ports = re.findall(r"^  (input|output) (\[\d+:\d+\] )?(\w+);$", text, re.MULTILINE)
    heads = ",\n".join(f"  {direction} wire {width}{name}" for direction, width, name in ports)
    pins = ", ".join(f".{name}({name})" for *_, name in ports)
    path = netlist.with_name(f"{inner}.v")
    path.write_text(f"module {top} (\n{heads}\n);\n  {inner} inner ({pins});\nendmodule\n{text}", encoding="ascii")
    return path


def play(executable: Path, each: Trial, *, mutant: int = 0) -> str | None:
    """Do a run on a native model; the first thing that is wrong, or nothing."""
    arguments = {"warmup": 1_500, "drain": 60_000, "watch": ["status"], **each.arguments}
    try:
        done = run(executable, CONFIG, pins=[("a", CONTROL, mutant)], timeout=SECONDS, **arguments)
        done.check()
        if any(flow.lost for flow in done.flows) and not each.may_lose:
            return "packets were lost"
        return each.expect(done)
    except SimulationError as error:
        return str(error)
