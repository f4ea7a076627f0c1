"""Semaphores and registers from the host's side."""

import numpy as np
import pytest
from openppu.config import load
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Cluster, Device
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.program.command import Command

TINY = load("tiny")
BACKENDS = ["reference", "model"]
ROWS = {f"count_{dimension}": 1 for dimension in range(4)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_host_lets_queues_go_on_and_sees_how_far_they_are(backend):
    with Device(TINY, backend) as device:
        load = {"memory": 0x1000, "row": 64, **ROWS}
        device.submit("load", [Command(name="LOAD", fields=load, wait=(2, 2), signal=(3, 1)) for _ in range(2)])
        device.write(0x1000, np.arange(16, dtype=np.int32))
        device.signal(2)
        with pytest.raises(
            SimulationError, match=r"^semaphore 3 of chip 0 has 0, not 1, and there is still work in: chip"
        ):
            device.wait_for(3, 1, 20_000)
        device.signal(2)
        device.wait_for(3)
        assert (device.semaphore(2), device.semaphore(3)) == (0, 1)
        assert device.read(device.scratchpad(), 16, np.int32)[15] == 15
        device.signal(2, 2)
        device.wait()
        assert device.semaphore(3) == 2
        with pytest.raises(SimulationError, match=r"^semaphore 3 of chip 0 has 2, not 3, and all queues are empty$"):
            device.wait_for(3, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_waits_until_it_fits(backend):
    with Device(TINY, backend) as device:
        device.submit("load", [Command(name="NOTHING", signal=(1, 65_535)), Command(name="NOTHING", signal=(1, 3))])
        with pytest.raises(SimulationError, match="still work in: chip 0 load"):
            device.wait(10_000)
        assert device.semaphore(1) == 65_535
        device.submit("store", [Command(name="NOTHING", wait=(1, 65_534))])
        device.wait()
        assert device.semaphore(1) == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_host_signals_no_more_than_fits(backend):
    with Device(TINY, backend) as device:
        device.signal(1, 65_534)
        with pytest.raises(UserError, match=r"^semaphore 1 has 65534: 2 more are more than 65535; let it be waited"):
            device.signal(1, 2)
        device.signal(1)
        assert device.semaphore(1) == 65_535


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_chip_is_waited_for(backend):
    with Cluster(TINY, backend=backend) as pair:
        pair[0].submit("load", [Command(name="NOTHING", signal=(5, 7), chip=1)])
        pair[1].wait_for(5, 7)
        assert (pair[0].semaphore(5), pair[1].semaphore(5)) == (0, 7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_command_that_fails_ends_the_waiting(backend):
    with Device(TINY, backend) as device:
        device.submit("load", [Command(name="LOAD", signal=(3, 1))])
        with pytest.raises(CommandError, match=r"command 0 \(LOAD signal 3 1\): FIELD"):
            device.wait_for(3)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda device: device.semaphore(16), "semaphore 16: give 0 to 15"),
        (lambda device: device.signal(-1), "semaphore -1: give 0 to 15"),
        (lambda device: device.signal(0, 1 << 16), "value = 65536: give at most 65535"),
        (lambda device: device.wait_for("x"), "semaphore = 'x': give a whole number"),
        (lambda device: device.wait_for(0, 1, -1), "limit = -1: give at least 0"),
        (lambda device: device.registers, "registers and records need a backend in which time passes: rtl or model"),
    ],
)
def test_semaphores_that_are_not_there(use, message):
    with Device(TINY, "reference") as device, pytest.raises(UserError, match=f"^{message}"):
        use(device)


def test_registers_have_names():
    with Device(TINY, "model") as device:
        assert device.registers["command.semaphores"] == 16
        with pytest.raises(UserError, match=r"^register command.sing: there is none"):
            device.registers["command.sing"]
        with pytest.raises(UserError, match=r"^register command.semaphore = '1': give a whole number"):
            device.registers["command.semaphore"] = "1"
