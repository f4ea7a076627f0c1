"""Collectives over real ports, RTL to RTL: engines, routers, link layers and lanes of several chips."""

from pathlib import Path

import pytest
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job, plan
from openppu.link.collective.wiring import of
from openppu.link.config import LinkConfig
from openppu.link.topology import Topology, pair, ring
from openppu_verif.link.collective_jobs import make_case
from openppu_verif.link.collectives import Surroundings, build_engine, run


@pytest.mark.slow
@pytest.mark.parametrize(("topology", "ports"), [(pair(), 1), (ring(4), 2)], ids=["pair", "ring"])
def test_collectives_over_real_ports(topology: Topology, ports: int, build_root: Path) -> None:
    link = LinkConfig(ports=ports, lanes=4, lane_bits=16)
    config = CollectiveConfig(link=link, window=64, packet=8, reads=32)
    wiring = of(topology)
    executable = build_engine(config, build_root, fabric=True)
    barrier = plan(Job(operation="barrier"), wiring, config)
    for number, operation in enumerate(("all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all")):
        for elements in (1, 300):
            algorithm = plan(Job(operation=operation, elements=elements, target=4096), wiring, config).algorithm
            fmt = ("binary32", "bf16", "int32")[number % 3]
            case = make_case(operation, wiring, config, algorithm, elements=elements, fmt=fmt)
            made = plan(case.job, wiring, config, algorithm)
            programs = [[*first, *then] for first, then in zip(barrier.programs, made.programs, strict=True)]
            about = Surroundings(delay=number, memory_stall=10_000, seed=number, patience=50_000)
            outcome = run(executable, config, wiring, programs, case.memories, about, topology)
            case.check(outcome.memories)
