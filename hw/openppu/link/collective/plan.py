"""Plans a collective: which algorithm, and the program of every rank's engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from openppu.link.collective import copies, reductions, two_level
from openppu.link.collective.block import NARROW_BYTES, WIDE_BYTES, Block, Holding
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import PROGRESS_BITS, Instruction, Opcode
from openppu.link.collective.reductions import Reduction, Span
from openppu.link.collective.schedule import Schedule
from openppu.link.collective.wiring import Wiring
from openppu.link.layouts import ADDRESS_BITS
from openppu.section import ConfigError

FORMATS = {"binary32": WIDE_BYTES, "bf16": NARROW_BYTES, "int32": WIDE_BYTES}
"""Bytes of an element."""

HOPS = ("binary32", "bf16")

SLICE_BEATS = 2048
"""A longer vector is cut into slices of so many beats a part, each a collective of its own."""

ALGORITHMS = {
    "all_reduce": ("one_shot", "direct", "two_level", "halving_doubling", "ring"),
    "reduce_scatter": ("direct", "two_level", "halving_doubling", "ring"),
    "all_gather": ("direct", "two_level", "halving_doubling", "ring"),
    "broadcast": ("direct", "tree"),
    "all_to_all": ("direct", "routed"),
    "barrier": ("direct", "tree"),
}
"""Of each operation, in the order in which they are tried."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One collective.

    Parameters
    ----------
    operation : str
        A key of `ALGORITHMS`.
    format : str
        A key of `FORMATS`.
    elements : int
        Of the whole vector (all_reduce, broadcast), or of each rank's part (reduce_scatter, all_gather, all_to_all).
        Parts follow one another in memory at the next multiple of a beat.
    source, target : int
        Addresses, the same at all ranks, multiples of a beat. They may be equal for all_reduce and broadcast; for
        all_gather that means that each rank's part already stands in its place in the target. Else they must not
        overlap.
    scratch : int
        Where `Plan.scratch_bytes` are free.
    hops : str
        Of bf16 vectors, what sums that are not finished travel and wait as.
    root : int
        Of a broadcast.
    """

    operation: str
    format: str = "binary32"
    elements: int = 0
    source: int = 0
    target: int = 0
    scratch: int = 0
    hops: str = "binary32"
    root: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Programs, one a rank; the algorithm that was chosen; and the scratch memory that each rank needs, in bytes."""

    algorithm: str
    programs: tuple[tuple[Instruction, ...], ...]
    scratch_bytes: int


def plan(job: Job, wiring: Wiring, config: CollectiveConfig, algorithm: str = "auto") -> Plan:
    """Make every rank's program.

    Raises
    ------
    ConfigError
        If the job is impossible, or the algorithm does not go with the topology.
    """
    wiring.check(config)
    _check(job, wiring, config)
    name = choose(job, wiring, config) if algorithm == "auto" else algorithm
    possible = fitting(job, wiring, config)
    if name not in possible:
        raise ConfigError(f"algorithm = {name}: {job.operation} on {wiring.name} has {', '.join(possible)}")
    grain = config.beat_bytes // FORMATS[job.format]
    schedule = Schedule(wiring=wiring, config=config, grain=grain, integer=job.format == "int32")
    scratch = _Writer(job, schedule, name).write()
    for rank in range(wiring.ranks):
        schedule.add(rank, Opcode.END)
    if schedule.most_progress >= 1 << (PROGRESS_BITS - 1):
        raise ConfigError(f"elements = {job.elements}: more than one program can move; cut it into several")
    _check_apart(job, wiring, config, scratch)
    return Plan(algorithm=name, programs=tuple(map(tuple, schedule.programs)), scratch_bytes=scratch)


def vectors_of(operation: str, ranks: int) -> tuple[int, int]:
    """Of a rank: the vectors of as many elements as the job says that it gives, and that it gets."""
    parts = {"reduce_scatter": (ranks, 1), "all_gather": (1, ranks), "all_to_all": (ranks, ranks)}
    return parts.get(operation, (1, 1))


def fitting(job: Job, wiring: Wiring, config: CollectiveConfig) -> list[str]:
    """The algorithms that a topology has the links for."""
    ranks = tuple(range(wiring.ranks))
    meshed = wiring.meshed(ranks) and len(ranks) <= 2 * config.units[0]
    count = len(ranks)
    round_about = count > 2 and all(wiring.links(rank, (rank + 1) % count) for rank in ranks)
    bits = range((count - 1).bit_length())
    butterfly = count > 2 and count.bit_count() == 1
    butterfly = butterfly and all(wiring.links(rank, rank ^ 1 << bit) for rank in ranks for bit in bits)
    grouped = len(wiring.groups) > 1 and len(wiring.groups[0]) > 1
    able = dict(one_shot=meshed, direct=meshed, halving_doubling=butterfly, ring=round_about, two_level=grouped)
    able |= dict(tree=True, routed=not meshed)
    if job.operation == "broadcast" and count == 2:
        able["direct"] = False
    return [name for name in ALGORITHMS[job.operation] if able[name]]


def one_shot_bytes(wiring: Wiring, config: CollectiveConfig) -> int:
    """The size of an all-reduce up to which it is quicker to send all to all at once.

    One step of S bytes on each port takes h + S / r clocks, two steps of S / n take 2 (h + S / (n r)), where h is what
    a hop costs and r the bytes that a port carries a clock: equal at S = h r n / (n - 2). Half a window at most, so
    that a rank that is late holds up nobody.
    """
    count = wiring.ranks
    most = config.window // 2 * config.beat_bytes
    if count == 2:
        return most
    return min(most, HOP_CLOCKS * config.beat_bytes * count // (count - 2))


HOP_CLOCKS = 64
"""From a packet at one engine to its sum at the next, roughly: it only decides between two algorithms."""


def choose(job: Job, wiring: Wiring, config: CollectiveConfig) -> str:
    """The algorithm for a job: the first that fits, but one_shot for small all-reduces only, and the tree for
    broadcasts of few beats a rank."""
    names = fitting(job, wiring, config)
    size = job.elements * FORMATS[job.format]
    if "one_shot" in names and size > one_shot_bytes(wiring, config):
        names.remove("one_shot")
    if job.operation == "broadcast" and size <= config.beat_bytes * HOP_CLOCKS:
        names = ["tree"]
    if not names:
        raise ConfigError(f"{job.operation}: no algorithm for topology {wiring.name}")
    return names[0]


class _Writer:
    """Writes a job's instructions into a schedule."""

    def __init__(self, job: Job, schedule: Schedule, algorithm: str):
        self.job = job
        self.schedule = schedule
        self.algorithm = algorithm
        self.ranks = tuple(range(schedule.wiring.ranks))
        self.width = FORMATS[job.format]
        self.narrow = job.format == "bf16"
        self.narrow_hops = self.narrow and job.hops == "bf16"
        self.grain = schedule.grain
        self.stride = -(-job.elements // self.grain) * self.grain
        self.transit = 0

    def write(self) -> int:
        """Write all; return the bytes of scratch that are used."""
        if self.job.operation == "barrier":
            {"direct": copies.barrier_direct, "tree": copies.barrier_tree}[self.algorithm](self.schedule)
            return 0
        step: Callable[[Span], None] = getattr(self, f"_{self.job.operation}")
        for span in self._slices():
            step(span)
        if self.job.operation in ("all_reduce", "reduce_scatter"):
            whole = self.stride * (len(self.ranks) if self.job.operation == "reduce_scatter" else 1)
            return (
                0
                if self.algorithm in ("one_shot", "direct")
                else whole * (NARROW_BYTES if self.narrow_hops else WIDE_BYTES)
            )
        return self.transit

    def _slices(self) -> Iterator[Span]:
        """Runs of elements, so short that no instruction moves too much.

        With two groups a port's share is an eighth of a window, for both levels to work at the same time. In place,
        all that one_shot sends must fit the windows: nothing is added before it has left.
        """
        config = self.schedule.config
        each = SLICE_BEATS * self.grain
        if self.job.operation == "all_reduce" and self.algorithm == "two_level":
            wiring = self.schedule.wiring
            most = min(config.window // 8, SLICE_BEATS) if len(wiring.groups) == 2 else SLICE_BEATS
            each = len(wiring.groups[0]) * len(wiring.links(0, 1)) * most * self.grain
        elif self.algorithm == "one_shot" and self.job.source == self.job.target:
            each = min(config.window // 2 * self.grain, each)
        elif self.job.operation == "all_reduce" and self.algorithm != "one_shot":
            each *= len(self.ranks)
        for low in range(0, self.job.elements, each):
            yield low, min(each, self.job.elements - low)

    def _all_reduce(self, span: Span) -> None:
        low, elements = span
        job, schedule = self.job, self.schedule
        work = self._reduction(
            {rank: self._block(rank, low, elements, job.source + low * self.width) for rank in self.ranks},
            lambda rank, place: job.target + place * self.width,
        )
        parts = reductions.shares(schedule, span, len(self.ranks))
        if self.algorithm == "one_shot":
            reductions.one_shot(work, span, fence=job.source == job.target)
        elif self.algorithm == "direct":
            reductions.direct(work, [[part] for part in parts], gather=True)
        elif self.algorithm == "halving_doubling":
            reductions.halving(work, [[part] for part in parts])
            copies.gather_doubling(schedule, self.ranks, work.have, [[part] for part in parts], work.final)
        elif self.algorithm == "ring":
            reductions.ring(work, parts)
            copies.gather_ring(schedule, self.ranks, work.have, parts, work.final)
        else:
            two_level.all_reduce(work, span)

    def _reduce_scatter(self, span: Span) -> None:
        low, elements = span
        job = self.job
        parts = [(rank * self.stride + low, elements) for rank in self.ranks]
        blocks = {
            rank: [self._block(rank, *part, job.source + part[0] * self.width) for part in parts] for rank in self.ranks
        }
        work = self._reduction(
            {rank: blocks[rank][0] for rank in self.ranks},
            lambda rank, place: job.target + (place - rank * self.stride) * self.width,
        )
        for rank in self.ranks:
            for block in blocks[rank][1:]:
                work.have[rank].put(block)
        if self.algorithm == "direct":
            reductions.direct(work, [[part] for part in parts])
        elif self.algorithm == "halving_doubling":
            reductions.halving(work, [[part] for part in parts])
        elif self.algorithm == "ring":
            reductions.ring(work, parts)
        else:
            two_level.reduce_scatter(work, parts)

    def _all_gather(self, span: Span) -> None:
        low, elements = span
        job, schedule = self.job, self.schedule
        parts = [(rank * self.stride + low, elements) for rank in self.ranks]
        have = {}
        for rank in self.ranks:
            target = job.target + parts[rank][0] * self.width
            source = target if job.source == job.target else job.source + low * self.width
            block = self._block(rank, *parts[rank], source)
            have[rank] = Holding(schedule.config.beat_bytes, (block,))
        if self.algorithm == "direct":
            copies.gather_direct(schedule, self.ranks, have, [[part] for part in parts], self._target)
        elif self.algorithm == "halving_doubling":
            copies.gather_doubling(schedule, self.ranks, have, [[part] for part in parts], self._target)
        elif self.algorithm == "ring":
            copies.gather_ring(schedule, self.ranks, have, parts, self._target)
        else:
            two_level.all_gather(schedule, have, parts, self._target)
        for rank in self.ranks if job.source != job.target else ():
            block = self._block(rank, *parts[rank], job.source + low * self.width)
            copies.copy_local(schedule, block, self._target(rank, block.low))

    def _broadcast(self, span: Span) -> None:
        low, elements = span
        job, schedule = self.job, self.schedule
        block = self._block(job.root, low, elements, job.source + low * self.width)
        have = {rank: Holding(schedule.config.beat_bytes) for rank in self.ranks}
        have[job.root].put(block)
        write = copies.broadcast_tree if self.algorithm == "tree" else copies.broadcast_direct
        write(schedule, have, job.root, span, self._target)
        if job.source != job.target:
            copies.copy_local(schedule, block, self._target(job.root, low))

    def _all_to_all(self, span: Span) -> None:
        low, elements = span
        job, schedule = self.job, self.schedule
        parts = {
            (source, to): self._block(source, low, elements, job.source + (to * self.stride + low) * self.width)
            for source in self.ranks
            for to in self.ranks
        }
        others = {ends: block for ends, block in parts.items() if ends[0] != ends[1]}

        def place(to: int, source: int) -> int:
            return job.target + (source * self.stride + low) * self.width

        self.transit += copies.all_to_all(schedule, others, place, job.scratch + self.transit)
        for rank in self.ranks:
            copies.copy_local(schedule, parts[rank, rank], place(rank, rank))

    def _reduction(self, blocks: dict[int, Block], final: reductions.Place) -> Reduction:
        hop = NARROW_BYTES if self.narrow_hops else WIDE_BYTES
        return Reduction(
            schedule=self.schedule,
            ranks=self.ranks,
            have={rank: Holding(self.schedule.config.beat_bytes, (block,)) for rank, block in blocks.items()},
            narrow=self.narrow,
            narrow_hops=self.narrow_hops,
            final=final,
            partial=lambda rank, low: self.job.scratch + low * hop,
        )

    def _block(self, rank: int, low: int, elements: int, address: int) -> Block:
        return Block(rank=rank, low=low, elements=elements, address=address, narrow=self.narrow)

    def _target(self, rank: int, low: int) -> int:
        return self.job.target + low * self.width


def _check_apart(job: Job, wiring: Wiring, config: CollectiveConfig, scratch: int) -> None:
    """Raise ConfigError if source, target and scratch lie on each other."""
    if job.operation == "barrier":
        return
    beat = config.beat_bytes
    part = -(-job.elements * FORMATS[job.format] // beat) * beat
    inputs, outputs = vectors_of(job.operation, wiring.ranks)
    ranges = [("source", job.source, inputs * part), ("target", job.target, outputs * part)]
    if job.source == job.target:
        del ranges[0]
    if scratch:
        ranges.append(("scratch", job.scratch, scratch))
    for (name, first, size), (other, begin, count) in combinations(ranges, 2):
        if first < begin + count and begin < first + size:
            raise ConfigError(
                f"{other} = {begin:#x}, {count} bytes, lies on {name} = {first:#x}, {size} bytes: give another place"
            )


def _check(job: Job, wiring: Wiring, config: CollectiveConfig) -> None:
    """Raise ConfigError for a job that cannot be done."""
    for name, value, choices in (
        ("operation", job.operation, ALGORITHMS),
        ("format", job.format, FORMATS),
        ("hops", job.hops, HOPS),
    ):
        if value not in choices:
            raise ConfigError(f"{name} = {value}: give one of {', '.join(choices)}")
    if job.operation == "barrier":
        return
    most = config.lanes << (PROGRESS_BITS - 1)
    if job.elements >= most:
        raise ConfigError(f"elements = {job.elements}: one program can move {most - 1}; cut it into several")
    if job.elements < 1:
        raise ConfigError(f"elements = {job.elements}: give 1 or more")
    if not 0 <= job.root < wiring.ranks:
        raise ConfigError(f"root = {job.root}: give a rank from 0 to {wiring.ranks - 1}")
    for name in ("source", "target", "scratch"):
        address = getattr(job, name)
        if address % config.beat_bytes or not 0 <= address < 1 << ADDRESS_BITS:
            raise ConfigError(
                f"{name} = {address}: give a multiple of {config.beat_bytes}, a beat, below {1 << ADDRESS_BITS}"
            )
    if job.source == job.target and job.operation in ("reduce_scatter", "all_to_all"):
        raise ConfigError(f"target = {job.target}: {job.operation} needs another place than its source")
