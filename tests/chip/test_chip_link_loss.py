"""A link that is lost in mid-program ends its commands with an error; all else goes on, and it comes back."""

import numpy as np
import pytest
from openppu.command.instructions import instructions
from openppu.config import load
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair
from openppu.link.registers import TIMEOUT
from openppu_sim.device.device import Cluster
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.program.command import Command
from openppu_verif.chip.native import Life
from openppu_verif.dma.commands import copy

TINY = load("tiny")
SIZE = 16384
ACTIVE = 5
"""State of a port that is up."""


@pytest.fixture(scope="module")
def cluster(build_root):
    """Two chips whose ports give up when their lanes are gone; accesses and collectives may not take for ever."""
    with Cluster(TINY, build_root=build_root) as made:
        for registers in made.devices[0].backend.registers:
            registers["link.timeout"] = 30_000
            registers["link.port0.failover_patience"] = 4_096
            registers["collective.patience"] = 20_000
        yield made


def set_lanes(cluster, life):
    for chip in (0, 1):
        cluster[chip].backend.hardware.set_lanes(chip, 0, life)


def stopped(cluster, chip, limit=200_000):
    """The error of a chip's link queue, once it has one."""
    backend = cluster[chip].backend
    end = backend.hardware.now + limit
    while not backend.registers[chip]["command.link.stopped"]:
        assert backend.hardware.now < end, "the link's queue does not end"
        backend.hardware.run(1000)
    return backend.registers[chip]["command.link.error"]


def bring_back(cluster):
    """Lanes, ports, engines and queues as after a reset."""
    backend = cluster[0].backend
    set_lanes(cluster, Life.ALIVE)
    for registers in backend.registers:
        registers["link.reopen"] = 1
    end = backend.hardware.now + 3_000_000
    while any(registers["link.port0.physical_state"] != ACTIVE for registers in backend.registers):
        assert backend.hardware.now < end, "the ports do not come up again"
        backend.hardware.run(2000)
    for registers in backend.registers:
        registers["collective.reset"] = 1
    for chip in (0, 1):
        backend.restart(chip, "link")


@pytest.mark.slow
def test_a_send_over_a_lost_link_ends_with_an_error_and_other_queues_go_on(cluster):
    data = np.random.default_rng(5).integers(0, 256, SIZE, dtype=np.uint8)
    cluster[0].write(0x10000, data)
    send = {"source": 0x10000, "target": 0x40000, "bytes": SIZE, "chip": 1}
    loop = [
        Command(name="SET", fields={"register": 1, "value": 0x10000}),
        Command(name="LOOP", fields={"count": 16}),
        Command(name="LOAD", fields=copy(memory=0, scratchpad=0, row=SIZE), registers={"memory": 1}),
        Command(name="END"),
    ]
    cluster[0].submit("link", [Command(name="SEND", fields=send, signal=(7, 1), chip=1, tag=9)])
    cluster[0].submit("load", loop)
    cluster[0].backend.hardware.run(1500)
    set_lanes(cluster, Life.DARK)
    registers = cluster[0].backend.registers
    assert stopped(cluster, 0) == 6, "LINK"
    assert registers[0]["command.link.tag"] == 9
    assert not registers[0]["command.load.stopped"]
    assert not registers[0]["command.load.busy"]
    assert (cluster[0].read(cluster[0].scratchpad(), SIZE, np.uint8) == data).all()
    registers[1]["command.semaphore"] = 7
    assert registers[1]["command.value"] == 0, "nothing was signalled"
    bring_back(cluster)
    cluster[0].submit("link", [Command(name="SEND", fields=send, signal=(7, 1), chip=1)])
    take = copy(memory=0x40000, scratchpad=0, row=SIZE)
    cluster[1].submit("load", [Command(name="LOAD", fields=take, wait=(7, 1))])
    cluster.wait(500_000)
    assert (cluster[1].read(cluster[1].scratchpad(), SIZE, np.uint8) == data).all()


def test_a_collective_over_a_lost_link_ends_on_both_chips_and_goes_again_afterwards(cluster):
    count = 4096
    arrays = [np.random.default_rng(seed).standard_normal(count).astype(np.float32) for seed in (1, 2)]
    job = Job(operation="all_reduce", format="binary32", elements=count, source=0, target=0x10000, scratch=0x20000)
    programs = collective_programs(job, pair(), CollectiveConfig(link=TINY.link))
    for device, array, program in zip(cluster.devices, arrays, programs, strict=True):
        device.write(0, array)
        device.submit("link", program)
    cluster[0].backend.hardware.run(1500)
    set_lanes(cluster, Life.DARK)
    fill = {"address": 0x50000, "row": 64, "value": 7, **{f"count_{dimension}": 1 for dimension in range(4)}}
    cluster[0].submit("store", [Command(name="FILL_MEMORY", fields=fill)])
    assert {stopped(cluster, chip) for chip in (0, 1)} <= {6, 7}, "LINK or TIMEOUT"
    assert (cluster[0].read(0x50000, 64, np.uint8) == 7).all()
    bring_back(cluster)
    for device, program in zip(cluster.devices, programs, strict=True):
        device.submit("link", program)
    cluster.wait(1_000_000)
    for device in cluster.devices:
        assert (device.read(0x10000, count, np.float32) == arrays[0] + arrays[1]).all()


@pytest.mark.parametrize("timeout", [2_000, pytest.param(TIMEOUT, marks=pytest.mark.slow)])
def test_a_send_to_a_chip_that_is_not_there_ends_and_the_next_one_arrives(build_root, timeout):
    data = np.random.default_rng(6).integers(0, 256, SIZE, dtype=np.uint8)
    send = {"source": 0x10000, "target": 0x40000, "bytes": SIZE, "chip": 5}
    with Cluster(TINY, build_root=build_root) as cluster:
        backend, registers = cluster[0].backend, cluster[0].registers
        assert registers["link.timeout"] == TIMEOUT, "after a reset"
        registers["link.timeout"] = timeout
        cluster[0].write(0x10000, data)
        # The driver would refuse it.
        backend.submit(0, "link", [Command(name="SEND", fields=send).encode(instructions())])
        begun = backend.hardware.now
        assert stopped(cluster, 0, 3 * timeout + 10_000) == 6, "LINK"
        assert timeout <= backend.hardware.now - begun
        registers["link.reopen"] = 1
        backend.restart(0, "link")
        cluster[0].submit("link", [Command(name="SEND", fields=send | {"chip": 1})])
        cluster.wait(200_000)
        assert (cluster[1].read(0x40000, SIZE, np.uint8) == data).all()
