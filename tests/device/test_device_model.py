"""Devices on the model's backend: results are the reference's, and time passes as the rules say."""

import numpy as np
import pytest
from openppu.config import load
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Cluster, Device
from openppu_sim.device.records import read_records, set_records
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.program.command import Command

TINY = load("tiny")
ROWS = {f"count_{dimension}": 1 for dimension in range(4)}
LOAD = {"memory": 0x4000, "scratchpad": 0, "row": 64, **ROWS}


@pytest.fixture
def device():
    with Device(TINY, "model") as made:
        yield made


def test_a_product_is_right_and_takes_time(device):
    rng = np.random.default_rng(5)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((9, 13), (13, 6)))
    job = MatmulJob(
        m=9,
        n=6,
        k=13,
        format="int8",
        a=Operand(address=0, stride=13),
        b=Operand(address=0x1000, stride=6),
        d=Operand(address=0x2000, stride=24),
    )
    device.write(0, a)
    device.write(0x1000, b)
    set_records(device)
    before = device.cycles
    for queue, program in matmul_programs(TINY, job, record=True).items():
        device.submit(queue, program)
    device.wait()
    assert (device.read(0x2000, (9, 6), np.int32) == a.astype(np.int32) @ b.astype(np.int32)).all()
    records = read_records(device)
    assert {record.queue for record in records} == {"load", "matmul", "store"}
    assert all(before <= record.begun < record.ended <= device.cycles for record in records)


def test_the_same_program_takes_the_same_time():
    found = []
    for _ in range(2):
        with Device(TINY, "model") as device:
            device.submit("load", [Command(name="LOAD", fields=LOAD)] * 5)
            device.wait()
            device.read(0, 32, np.uint8)
            found.append(device.cycles)
    assert found[0] == found[1]


def test_a_refused_command_is_named_and_its_queue_goes_on(device):
    bad = {**LOAD, "memory": TINY.hbm.capacity}
    device.submit("load", [Command(name="LOAD", fields=bad, tag=4), Command(name="LOAD", fields=LOAD)])
    with pytest.raises(
        CommandError,
        match=r"^chip 0, queue load, command 0 \(4: LOAD .*\): BOUNDS, a range .* beyond its memory$",
    ):
        device.wait()
    device.backend.restart(0, "load")
    device.submit("load", [Command(name="LOAD", fields=LOAD)])
    device.wait()


def test_programs_that_wait_for_ever_are_told(device):
    device.submit("store", [Command(name="NOTHING", wait=(3, 1))])
    with pytest.raises(SimulationError, match=r"still work in: chip 0 store \(for semaphore 3\)"):
        device.wait(5_000)


def test_loops_and_address_registers(device):
    data = np.arange(512, dtype=np.uint16)
    device.write(0x5_0000, data)
    device.submit(
        "load",
        [
            Command(name="SET", fields={"register": 1, "value": 0x5_0000}),
            Command(name="LOOP", fields={"count": 8}),
            Command(name="LOAD", fields={"row": 128, **ROWS}, registers={"memory": 1, "scratchpad": 2}),
            Command(name="ADD", fields={"register": 1, "value": 128}),
            Command(name="ADD", fields={"register": 2, "value": 128}),
            Command(name="END"),
            Command(name="NOTHING", signal=(9, 4), fence=True),
        ],
    )
    store = {"memory": 0x6_0000, "scratchpad": 0, "row": 1024, **ROWS}
    device.submit("store", [Command(name="STORE", fields=store, wait=(9, 4))])
    device.wait()
    assert (device.read(0x6_0000, data.shape, np.uint16) == data).all()


def test_a_loop_longer_than_the_buffer_is_an_error(device):
    device.submit("load", [Command(name="LOOP", fields={"count": 2})] + [Command(name="NOTHING")] * 20)
    with pytest.raises(CommandError, match="FIELD"):
        device.wait(20_000)


def test_two_chips_send_and_signal():
    data = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8)
    with Cluster(TINY, backend="model") as cluster:
        cluster[0].write(0x1000, data)
        send = {"source": 0x1000, "target": 0x8000, "bytes": 4096, "chip": 1}
        cluster[0].submit("link", [Command(name="SEND", fields=send, signal=(5, 1), chip=1)])
        take = {"memory": 0x8000, "scratchpad": 64, "row": 4096, **ROWS}
        cluster[1].submit("load", [Command(name="LOAD", fields=take, wait=(5, 1))])
        cluster.wait()
        assert (cluster[1].read(cluster[1].scratchpad(64), 4096, np.uint8) == data).all()
        assert cluster.backend.cycles > 4096 / TINY.link.beat_bytes
