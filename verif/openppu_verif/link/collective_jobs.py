"""Jobs for collective engines: programs, inputs in memory, and what must stand there afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from openppu.formats.spec import BF16, BINARY32
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Instruction
from openppu.link.collective.plan import FORMATS, Job, plan, vectors_of
from openppu.link.collective.wiring import Wiring
from openppu_sim.reference.collectives import Order, all_to_all, reduce_scatter
from openppu_sim.reference.collectives import all_reduce as all_reduce_of
from openppu_sim.reference.corners import corner_operands
from openppu_sim.reference.formats import Bits, from_binary32

FILL = 0xA5
"""Of every byte that nothing was put into."""


@dataclass
class Case:
    """A job with its inputs, and what the ranks must hold when it is done.

    Parameters
    ----------
    job : Job
    programs : sequence of sequences of Instruction
        Each rank's.
    memories : list of arrays of uint8
        Before the job.
    results : list of (address, raw bits) by rank
        After it. All else in the target's place stays.
    end : int
        Where the target's place ends; its beginning is ``job.target``.
    """

    job: Job
    programs: Sequence[Sequence[Instruction]]
    memories: list[np.ndarray]
    results: list[list[tuple[int, Bits]]] = field(default_factory=list)
    end: int = 0

    def check(self, memories: list[np.ndarray]) -> None:
        """Raise AssertionError unless the memories hold the results, and nothing else has changed beside them."""
        for rank, (memory, before, results) in enumerate(zip(memories, self.memories, self.results, strict=True)):
            expected = before[self.job.target : self.end].copy()
            for address, bits in results:
                raw = bits.view(np.uint8)
                expected[address - self.job.target :][: len(raw)] = raw
            wrong = np.flatnonzero(memory[self.job.target : self.end] != expected)
            assert not len(wrong), (
                f"rank {rank}: {len(wrong)} bytes wrong, the first at target + {wrong[0]}; {self.job}"
            )


def numbers(rng: np.random.Generator, count: int, fmt: str) -> Bits:
    """Raw bits: of floats mostly such that sums round and cancel, and here and there a corner."""
    if fmt == "int32":
        return rng.integers(0, 1 << 32, count, dtype=np.uint32)
    exponent = rng.integers(120, 134, count).astype(np.uint32) << np.uint32(23)
    bits = (
        rng.integers(0, 1 << 23, count, dtype=np.uint32) | exponent | rng.integers(0, 2, count, dtype=np.uint32) << 31
    )
    corners = corner_operands(BINARY32).astype(np.uint32)
    bits = np.where(rng.random(count) < 0.03, rng.choice(corners, count), bits).astype(np.uint32)
    if fmt == "bf16":
        bits16 = from_binary32(bits, BF16)
        return np.where(rng.random(count) < 0.03, rng.choice(corner_operands(BF16), count), bits16).astype(np.uint16)
    return bits


def make_case(
    operation: str,
    wiring: Wiring,
    config: CollectiveConfig,
    algorithm: str,
    *,
    elements: int,
    fmt: str = "binary32",
    hops: str = "binary32",
    in_place: bool = False,
    root: int = 0,
    seed: int = 1,
) -> Case:
    """A job with random inputs; ``algorithm`` is the one that will be used, for the order of its sums."""
    rng = np.random.default_rng(seed)
    ranks, width, beat = wiring.ranks, FORMATS[fmt], config.beat_bytes
    inputs, outputs = vectors_of(operation, ranks)
    stride = -(-elements * width // beat) * beat
    source = beat
    target = source if in_place else source + stride * inputs + beat
    end = target + stride * max(inputs, outputs) + beat
    scratch = end + beat
    job = Job(operation=operation, format=fmt, elements=elements, source=source, target=target, scratch=scratch)
    job = replace(job, hops=hops, root=root)
    made = plan(job, wiring, config, algorithm)
    size = scratch + -(-made.scratch_bytes // beat) * beat + beat
    given = [[numbers(rng, elements, fmt) for _ in range(inputs)] for _ in range(ranks)]
    memories = [np.full(size, FILL, np.uint8) for _ in range(ranks)]
    case = Case(job=job, programs=made.programs, memories=memories, end=end)
    for rank, memory in enumerate(case.memories):
        for index, bits in enumerate(given[rank]):
            own = rank if operation == "all_gather" and in_place else index
            memory[source + own * stride :][: elements * width] = bits.view(np.uint8)

    order = Order(algorithm=algorithm, ranks=ranks, beat_bytes=beat, groups=wiring.groups, narrow_hops=hops == "bf16")
    if operation == "all_reduce":
        total = all_reduce_of([vectors[0] for vectors in given], fmt, order)
        case.results = [[(target, total)] for _ in range(ranks)]
    elif operation == "reduce_scatter":
        case.results = [[(target, total)] for total in reduce_scatter(given, fmt, order)]
    elif operation == "all_gather":
        case.results = [
            [(target + index * stride, vectors[0]) for index, vectors in enumerate(given)] for _ in range(ranks)
        ]
    elif operation == "broadcast":
        case.results = [[(target, given[root][0])] for _ in range(ranks)]
    elif operation == "all_to_all":
        case.results = [
            [(target + index * stride, bits) for index, bits in enumerate(row)] for row in all_to_all(given)
        ]
    else:
        case.results = [[] for _ in range(ranks)]
    return case
