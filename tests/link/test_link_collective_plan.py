"""The planner's programs, run step by step on memories, give the reference's bits and never wait in a circle."""

from collections.abc import Iterator

import pytest
from collective_jobs import make_case
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import ALGORITHMS, Job, fitting, plan
from openppu.link.collective.wiring import Wiring, four_groups, mesh, pair, ring, two_groups
from openppu.link.config import LinkConfig
from openppu_sim.reference.collective_programs import run

WIRINGS = {
    "pair": pair(),
    "ring3": ring(3),
    "ring4": ring(4),
    "ring5": ring(5),
    "mesh3": mesh(3),
    "mesh4": mesh(4),
    "mesh5": mesh(5),
    "mesh8": mesh(8),
    "groups8": two_groups(),
    "groups16": four_groups(),
}


def engine(wiring: Wiring, *, window: int = 8, queue: int = 4, lanes: int = 2) -> CollectiveConfig:
    ports = max(len(ports) for ports in wiring.peers)
    link = LinkConfig(ports=ports, lanes=lanes, lane_bits=16)
    return CollectiveConfig(link=link, window=window, packet=2, queue=queue)


def combinations() -> Iterator[tuple[str, str, str]]:
    for name, wiring in WIRINGS.items():
        for operation in ALGORITHMS:
            job = Job(operation=operation, elements=1)
            for algorithm in fitting(job, wiring, engine(wiring)):
                yield name, operation, algorithm


@pytest.mark.parametrize(("name", "operation", "algorithm"), list(combinations()))
def test_programs_give_the_bits_of_the_reference(name: str, operation: str, algorithm: str) -> None:
    wiring = WIRINGS[name]
    sizes = (1, 2, 7, 16, 61) if wiring.ranks <= 8 else (1, 37)
    for place, elements in enumerate(sizes):
        for fmt, hops in (("binary32", "binary32"), ("bf16", "binary32"), ("bf16", "bf16"), ("int32", "binary32")):
            config = engine(wiring, lanes=2 + 2 * (place & 1))
            in_place = bool(place & 2) and operation in ("all_reduce", "all_gather", "broadcast")
            root = wiring.ranks - 1 if place & 1 else 0
            case = make_case(
                operation,
                wiring,
                config,
                algorithm,
                elements=elements,
                fmt=fmt,
                hops=hops,
                in_place=in_place,
                root=root,
                seed=elements,
            )
            made = plan(case.job, wiring, config, algorithm)
            memories = [memory.copy() for memory in case.memories]
            run(made.programs, memories, wiring, config, seed=elements)
            case.check(memories)
