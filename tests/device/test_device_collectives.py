"""Collectives of linked chips on the reference backend: commands of their queues, with the order of every sum."""

import numpy as np
import pytest
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair, ring
from openppu.section import ConfigError
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Cluster
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.program.command import Command
from openppu_sim.reference.collectives import Order, all_reduce, reduce_scatter

TINY = load("tiny")
LINK = CollectiveConfig(link=TINY.link)
ORDER = Order(algorithm="direct", ranks=2, beat_bytes=LINK.beat_bytes)
SOURCE, TARGET, SCRATCH = 0x1_0000, 0x8_0000, 0x10_0000


def collective(cluster, operation, fmt, vectors):
    """Run an operation of vectors on both chips."""
    elements = len(vectors[0]) // (2 if operation == "reduce_scatter" else 1)
    job = Job(operation=operation, format=fmt, elements=elements, source=SOURCE, target=TARGET, scratch=SCRATCH)
    for device, vector, program in zip(cluster.devices, vectors, collective_programs(job, pair(), LINK), strict=True):
        device.write(SOURCE, vector)
        device.submit("link", program)
    cluster.wait()


@pytest.mark.parametrize("elements", [1, 37, 3000])
@pytest.mark.parametrize("fmt", ["binary32", "bf16", "int32"])
def test_both_chips_have_the_sum(elements, fmt):
    rng = np.random.default_rng(elements)
    vectors = [rng.standard_normal(elements).astype(np.float32).view(np.uint32) for _ in range(2)]
    vectors = [each >> np.uint32(16) for each in vectors] if fmt == "bf16" else vectors
    vectors = [each.astype(np.uint16) for each in vectors] if fmt == "bf16" else vectors
    with Cluster(TINY, backend="reference") as cluster:
        for _ in range(2):
            collective(cluster, "all_reduce", fmt, vectors)
        for device in cluster.devices:
            assert (device.read(TARGET, elements, vectors[0].dtype) == all_reduce(vectors, fmt, ORDER)).all()


def test_each_chip_has_its_part_of_the_sum_or_all_parts():
    rng = np.random.default_rng(2)
    vectors = [rng.standard_normal(256).astype(np.float32).view(np.uint32) for _ in range(2)]
    with Cluster(TINY, backend="reference") as cluster:
        collective(cluster, "reduce_scatter", "binary32", vectors)
        expected = reduce_scatter([np.split(each, 2) for each in vectors], "binary32", ORDER)
        for device, part in zip(cluster.devices, expected, strict=True):
            assert (device.read(TARGET, 128, np.uint32) == part).all()
        collective(cluster, "all_gather", "binary32", vectors)
        for device in cluster.devices:
            assert (device.read(TARGET, 512, np.uint32) == np.concatenate(vectors)).all()


def test_a_chip_that_is_alone_waits_for_ever_and_a_wrong_instruction_is_refused():
    with Cluster(TINY, backend="reference") as cluster:
        job = Job(operation="all_reduce", elements=8, source=SOURCE, target=TARGET, scratch=SCRATCH)
        cluster[0].submit("link", collective_programs(job, pair(), LINK)[0])
        with pytest.raises(SimulationError, match="still work in: chip 0 link"):
            cluster.wait()
        cluster[1].submit("link", [Command(name="COLLECTIVE", fields={"opcode": 3, "ports": 1, "length": 0})])
        with pytest.raises(CommandError, match=r"COLLECTIVE .*: LINK"):
            cluster.wait()


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"target": SOURCE + 32}, r"target = 0x10020, 4000 bytes, lies on source = 0x10000, 4000 bytes: give another"),
        ({"scratch": SOURCE}, r"scratch = 0x10000, \d+ bytes, lies on source"),
        ({"target": SOURCE, "scratch": SOURCE + 3968}, r"scratch = 0x10f80, \d+ bytes, lies on target = 0x10000"),
    ],
)
def test_vectors_and_scratch_are_apart(places, message):
    job = Job(**{"operation": "all_reduce", "elements": 1000, "source": SOURCE, "target": TARGET, **places})
    with pytest.raises(ConfigError, match=f"^{message}"):
        collective_programs(job, ring(4), CollectiveConfig(link=load("tiny", ["link.ports=2"]).link))


@pytest.mark.parametrize("backend", ["reference", "model"])
@pytest.mark.parametrize("end", ["source", "target"])
def test_what_reaches_beyond_memory_is_refused(backend, end):
    places = {"source": SOURCE, "target": TARGET, end: TINY.hbm.capacity - 32}
    programs = collective_programs(Job(operation="all_reduce", elements=64, scratch=SCRATCH, **places), pair(), LINK)
    with Cluster(TINY, backend=backend) as cluster:
        for device, program in zip(cluster.devices, programs, strict=True):
            device.submit("link", program)
        with pytest.raises(CommandError, match=r"COLLECTIVE .*: LINK"):
            cluster.wait()
