"""What `openppu_verif.mutation` needs to know of the memory controller."""

from pathlib import Path

from openppu.hbm.channel import Channel
from openppu_sim.errors import SimulationError

from openppu_verif.formal.harness import Harness
from openppu_verif.formal.hbm_counters import check_counts, check_power_counts
from openppu_verif.hbm import trace_lock
from openppu_verif.hbm.native import TOP, build_channel, emit_channel
from openppu_verif.hbm.regression import CHANNEL, play, runs
from openppu_verif.mutation.claims import mutated
from openppu_verif.mutation.netlist import CONTROL, Area
from openppu_verif.mutation.score import Changed, Notice, Subject
from openppu_verif.native.model import with_header

SHARES = {
    "ports": ("c:*port_?.*", 0.14),
    "startup": ("c:*startup.*", 0.02),
    "crossbars": ("c:*crossbar_?.*", 0.05),
    "write buffers and paths": ("c:*write_buffer_?.* c:*write_path_?.* %u", 0.09),
    "read paths": ("c:*read_path_?.*", 0.09),
    "queues": ("c:*channel_?.*reads* c:*channel_?.*writes* %u", 0.14),
    "admission": ("c:*channel_?.*admission*", 0.04),
    "banks and gates": ("c:*channel_?.*banks*", 0.12),
    "choices": ("c:*channel_?.*columns* c:*channel_?.*rows* %u c:*channel_?.*direction* %u", 0.09),
    "refresh": ("c:*channel_?.*refresh*", 0.05),
    "row bus": ("c:*row_bus.*", 0.05),
    "counters": ("c:*channel_?.*accounts*", 0.04),
    "power": ("c:*power$*", 0.03),
    "hammer": ("c:*channel_?.*hammer*", 0.03),
    "retry": ("c:*channel_?.*retry*", 0.02),
}
AREAS = tuple(Area(name, f"{cells} t:$memrd* %d", share) for name, (cells, share) in SHARES.items())
"""Everything between the ports and the PHY, whatever its size; but a memory's read port, which Yosys cannot write with
another enable."""

PREPARE = "memory_share -nosat"
"""One write port for all bytes of a word: a port of its own for each, with any bit's enable broken, would be a thousand
lines for the compiler."""

SECONDS = 20.0
"""For a run; a netlist that does not end is noticed."""


def channel_subject() -> Subject:
    """A small channel: traffic against a golden memory, the device model, the checker and the counters; what its
    outputs did before; and the proof of its counters."""
    return Subject(
        top=TOP,
        areas=AREAS,
        emit=lambda folder: emit_channel(CHANNEL, folder),
        tests=channel_tests,
        claims={"counters": counters},
        prepare=PREPARE,
        cut=True,
    )


def channel_tests(netlist: Path, build_root: Path) -> Notice:
    """The runs, on a model of the netlist, and `openppu_verif.hbm.trace_lock`."""
    executable = build_channel(CHANNEL, build_root, netlist=with_header(netlist, TOP), flat=True)
    work = list(runs())
    locked = trace_lock.load()

    def notice(number: int) -> str | None:
        changed = None
        for place, each in enumerate(work):
            try:
                measured = play(executable, each, pins={CONTROL: number}, timeout=SECONDS)
            except SimulationError as error:
                work.insert(0, work.pop(place))  # what noticed one is likely to notice the next
                return f"{each.label}: {error}"
            difference = trace_lock.difference(each.label, measured, locked)
            changed = changed or (difference and Changed(f"{each.label}: {difference}"))
        return changed

    return notice


def counters() -> Harness:
    """The proof of the counters, at their full 32 bits, which no simulation reaches."""
    h = Harness()
    channel = Channel(CHANNEL)
    h.m.submodules.channel = mutated(h, channel, TOP)
    for pc, each in enumerate(channel.counters):
        check_counts(h, each, name=f"counters_{pc}")
    check_power_counts(h, channel.power)
    return h
