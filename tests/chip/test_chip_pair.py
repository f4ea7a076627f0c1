"""Two whole chips on the RTL, linked: they send, signal, and classify digits with half of a layer each."""

import numpy as np
import pytest
from openppu.config import load
from openppu.link import topology
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Cluster
from openppu_sim.device.driver import Driver
from openppu_sim.digits.deploy import deploy_bf16, deploy_int8
from openppu_sim.digits.network import load_digits, train
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.program.command import Command
from openppu_sim.reference.collectives import Order, reduce_scatter
from openppu_verif.chip import native
from openppu_verif.chip.demo import run

TINY = load("tiny")
IMAGES = 12


@pytest.fixture(scope="module", params=["as they are", pytest.param("stalled", marks=pytest.mark.slow)])
def cluster(build_root, request):
    """Two chips that all tests here use, one after the other; also such whose inner streams stall at random."""
    session = native.Session(TINY, build_root, topology=topology.pair(), stalled=request.param == "stalled")
    with Cluster(TINY, backend=Driver(session, TINY, topology.pair())) as made:
        yield made


def test_what_is_sent_is_there_when_the_signal_is(cluster):
    data = np.random.default_rng(3).integers(0, 256, 8192, dtype=np.uint8)
    cluster[0].write(0x1000, data)
    send = {"source": 0x1000, "target": 0x8000, "bytes": 8192, "chip": 1}
    cluster[0].submit("link", [Command(name="SEND", fields=send, signal=(7, 1), chip=1)])
    counts = {f"count_{dimension}": 1 for dimension in range(4)}
    take = {"memory": 0x8000, "scratchpad": 0, "row": 8192, **counts}
    cluster[1].submit("load", [Command(name="LOAD", fields=take, wait=(7, 1))])
    cluster.wait(50_000)
    assert (cluster[1].read(cluster[1].scratchpad(), 8192, np.uint8) == data).all()


def test_each_chip_has_its_part_of_the_sum_then_all_parts(cluster):
    """Each chip's part of the sum is what the chips then gather, so that both have all of it."""
    rng = np.random.default_rng(4)
    vectors = [rng.standard_normal(160).astype(np.float32).view(np.uint32) for _ in range(2)]
    source, part, whole, scratch = 0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000
    places = {"reduce_scatter": (source, part), "all_gather": (part, whole)}
    link = CollectiveConfig(link=TINY.link)
    for device, vector in zip(cluster.devices, vectors, strict=True):
        device.write(source, vector)
    for operation, (begin, end) in places.items():
        job = Job(operation=operation, elements=80, source=begin, target=end, scratch=scratch)
        for device, program in zip(cluster.devices, collective_programs(job, pair(), link), strict=True):
            device.submit("link", program)
    cluster.wait(50_000)
    order = Order(algorithm="direct", ranks=2, beat_bytes=link.beat_bytes)
    expected = np.concatenate(reduce_scatter([np.split(each, 2) for each in vectors], "binary32", order))
    for device in cluster.devices:
        assert (device.read(whole, 160, np.uint32) == expected).all()


@pytest.mark.parametrize("fmt", ["int8", "bf16"])
def test_two_chips_classify_as_the_reference_says(cluster, fmt):
    digits = load_digits()
    network = train(digits, epochs=3)
    pixels = digits.test_pixels[:IMAGES]
    deployment = deploy_int8(network, digits.train_pixels, pixels) if fmt == "int8" else deploy_bf16(network, pixels)
    outcome = run(cluster, deployment, digits.test_labels[:IMAGES])
    assert outcome.equal
    assert outcome.correct > 0.5
    for records in outcome.records:
        assert {record.error for record in records} == {"OKAY"}
        assert {record.queue for record in records} == {"load", "store", "matmul", "link"}
        assert all(record.begun < record.ended for record in records)


@pytest.mark.parametrize("target", [TINY.hbm.capacity - 512, 1 << 37, 1 << 39])
def test_nothing_is_sent_beyond_the_other_chips_memory(cluster, target):
    """The chip that it goes to refuses it; the sender's queue stops, and goes on when it is told to."""
    sender = cluster[0]
    sender.submit("link", [Command(name="SEND", fields={"target": target, "bytes": 1024, "chip": 1}, tag=3)])
    with pytest.raises(CommandError, match=r"^chip 0, queue link, command \d+ \(3: SEND .*\): LINK, another chip"):
        cluster.wait(100_000)
    sender.restart("link")
    sender.signal(6)
    sender.submit("link", [Command(name="NOTHING", wait=(6, 1), signal=(6, 2), chip=1)])
    cluster[1].wait_for(6, 2, 100_000)
    cluster[1].submit("link", [Command(name="NOTHING", wait=(6, 2))])
    cluster.wait(100_000)
