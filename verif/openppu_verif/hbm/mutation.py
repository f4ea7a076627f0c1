"""What `openppu_verif.mutation` needs to know of the memory controller."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Mapping, Page, Refresh, Settings
from openppu_sim.errors import SimulationError

from openppu_verif.hbm.native import TOP, Event, Pattern, build_channel, emit_channel, run
from openppu_verif.hbm.scenarios import scenario
from openppu_verif.mutation.netlist import CONTROL, Area
from openppu_verif.mutation.score import Notice, Subject

MUTATED_CHANNEL = ChannelConfig(height=4, reads=8, writes=8, slots=8)

SHARES = {
    "ports": ("c:*port_?.*", 0.16),
    "startup": ("c:*startup.*", 0.02),
    "crossbars": ("c:*crossbar_?.*", 0.05),
    "write buffers and paths": ("c:*write_buffer_?.* c:*write_path_?.* %u", 0.1),
    "read paths": ("c:*read_path_?.*", 0.1),
    "queues": ("c:*channel_?.*reads* c:*channel_?.*writes* %u", 0.16),
    "admission": ("c:*channel_?.*admission*", 0.04),
    "banks and gates": ("c:*channel_?.*banks*", 0.14),
    "choices": ("c:*channel_?.*columns* c:*channel_?.*rows* %u c:*channel_?.*direction* %u", 0.09),
    "refresh": ("c:*channel_?.*refresh*", 0.05),
    "row bus": ("c:*row_bus.*", 0.05),
    "counters": ("c:*channel_?.*accounts*", 0.04),
}
AREAS = tuple(Area(name, f"{cells} t:$memrd* %d", share) for name, (cells, share) in SHARES.items())
"""Everything between the ports and the PHY, whatever its size; but a memory's read port, which Yosys cannot write with
another enable."""

CLOCKS = 2000
RANDOM_RUNS = 6
SECONDS = 20.0
"""For a run; a netlist that does not end is noticed."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A short run of the native bench, and whether error answers belong to it."""

    label: str
    settings: Settings
    patterns: list[Pattern]
    events: list[Event] = field(default_factory=list)
    seed: int = 1
    errors: bool = False


def channel_subject() -> Subject:
    """A small channel: traffic against a golden memory, the device model, the checker and the counters."""
    return Subject(top=TOP, areas=AREAS, emit=lambda folder: emit_channel(MUTATED_CHANNEL, folder), tests=channel_tests)


def runs() -> Iterator[Run]:
    """Directed runs, then random ones as in `openppu_verif.hbm.soak`."""
    config = MUTATED_CHANNEL
    plain = Settings(write_high=6, write_low=1)
    busy = Pattern(order="random", lengths=(1, 40), reads=0.5, size=4096, masked=0.2, stall=0.1, hold=0.1, tags=4)
    yield Run(label="busy", settings=plain, patterns=[busy] * config.ports)
    yield Run(label="stream", settings=plain, patterns=[Pattern(reads=0.5, tags=4)] * config.ports)
    near = replace(busy, size=256, lengths=(1, 8), masked=0.5)
    yield Run(label="near", settings=replace(plain, page=Page(0)), patterns=[near] * config.ports, seed=2)
    often = replace(plain.timing, tREFI=600, tRFC=100, tXS=100)
    for code in range(2):
        settings = replace(plain, refresh=Refresh(code), timing=often, mapping=Mapping(1), hash_banks=True)
        yield Run(label=f"refresh {code}", settings=settings, patterns=[busy] * config.ports, seed=3)
    for number in range(RANDOM_RUNS):
        chosen = scenario(config, number, CLOCKS)
        yield Run(
            label=f"random {number}",
            settings=chosen.settings,
            patterns=chosen.patterns,
            events=chosen.events,
            seed=number,
            errors=chosen.errors,
        )


def channel_tests(netlist: Path, build_root: Path) -> Notice:
    """The runs, on a model of the netlist."""
    executable = build_channel(MUTATED_CHANNEL, build_root, netlist=with_header(netlist))
    work = list(runs())

    def notice(number: int) -> str | None:
        for place, each in enumerate(work):
            if problem := play(executable, each, mutant=number):
                work.insert(0, work.pop(place))  # what noticed one is likely to notice the next
                return f"{each.label}: {problem}"
        return None

    return notice


def with_header(netlist: Path) -> Path:
    """A file beside Yosys's netlist with its ports as `openppu_verif.hbm.native_model` reads them."""
    inner = f"{TOP}_mutated"
    text = netlist.read_text(encoding="ascii").replace(f"module {TOP}(", f"module {inner}(", 1)
    ports = re.findall(r"^  (input|output) (\[\d+:\d+\] )?(\w+);$", text, re.MULTILINE)
    heads = ",\n".join(f"  {direction} wire {width}{name}" for direction, width, name in ports)
    pins = ", ".join(f".{name}({name})" for *_, name in ports)
    path = netlist.with_name(f"{inner}.v")
    path.write_text(f"module {TOP} (\n{heads}\n);\n  {inner} inner ({pins});\nendmodule\n{text}", encoding="ascii")
    return path


def play(executable: Path, each: Run, *, mutant: int = 0) -> str | None:
    """Do a run on a native model; the first thing that is wrong, or nothing."""
    try:
        measured = run(
            executable,
            MUTATED_CHANNEL,
            each.patterns,
            settings=each.settings,
            warmup=0,
            clocks=CLOCKS,
            drain=20_000,
            seed=each.seed,
            events=each.events,
            pins={CONTROL: mutant},
            timeout=SECONDS,
        )
        measured.check(errors=each.errors)
    except SimulationError as error:
        return str(error)
    return None
