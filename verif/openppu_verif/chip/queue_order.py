"""Queues that are restarted in the middle of their work, and fences behind which an engine must see what it wrote."""

import random

import numpy as np
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.lowering.matmul import Result
from openppu_sim.program.command import Command
from openppu_sim.reference.dma import REMOTE

from openppu_verif.dma.commands import copy

DELAYS = (0, 5, 9, 14, 20, 27, 35, 44, 54, 65, 80, 100, 130)
"""Clocks from the bell to the restart."""

MORE = 20
"""Commands at the end of what is broken off: more than a queue has room for."""

FENCES = 3
LIMIT, STEP = 4_000, 100
AFTER = 3
"""Commands behind a restart."""

WORK = {
    "load": Command(name="LOAD", fields=copy(memory=0x4000, scratchpad=0x400, row=256)),
    "store": Command(name="STORE", fields=copy(memory=0x8000, scratchpad=0x800, row=256)),
    "matmul": Command(
        name="MATMUL",
        fields={
            **{"m": 4, "n": 4, "k": 8, "a_address": 0x1000, "a_stride": 8, "b_address": 0x1100, "b_stride": 8},
            **{"d_address": 0x1200, "d_stride": 16, "result": Result.SUMS},
        },
    ),
    "vector": Command(name="VECTOR_PROGRAM", fields={"source": 0x2000, "count": 4}),
}
"""Of each queue with an engine that does something alone."""


def restart(backend: Driver) -> None:
    """Restart all queues some clocks after their bells: as many commands as have ended have signalled, and they go on.

    Raises
    ------
    SimulationError
        If a queue does not, or does something of what it is to forget.
    """
    device, registers, names = Device(backend.chip, backend), backend.registers[0], list(backend.queues)
    everyone = (1 << len(names)) - 1
    ended = dict.fromkeys(names, 0)
    for delay in DELAYS:
        registers["command.clear"] = 1
        for number, name in enumerate(names):
            plain = Command(name="NOTHING", signal=(number, 1))
            work = (
                [Command(name=WORK[name].name, fields=WORK[name].fields, signal=(number, 1))] * 2
                if name in WORK
                else []
            )
            device.submit(
                name,
                [plain, *work, plain, *work, Command(name="SET", fields={"register": 3, "value": 99}), *[plain] * MORE],
            )
        backend.hardware.run(delay)
        registers["command.restart"] = everyone
        _rest(backend)
        done = {}
        for number, name in enumerate(names):
            done[name] = registers[f"command.{name}.ended"] - ended[name]
            _expect(f"{name} after {delay} clocks: signals", _semaphore(backend, number), done[name])
        for number, name in enumerate(names):
            device.submit(name, [Command(name="NOTHING", signal=(number, 1))] * AFTER)
        _rest(backend)
        for number, name in enumerate(names):
            ended[name] += done[name] + AFTER
            _expect(f"{name} after {delay} clocks: commands", registers[f"command.{name}.ended"], ended[name])
            _expect(f"{name} after {delay} clocks: later signals", _semaphore(backend, number), done[name] + AFTER)


def fence(backend: Driver) -> None:
    """Let engines read what they have just been told to write, behind a fence.

    Raises
    ------
    SimulationError
        If they read what was there before.
    """
    device, rng, chance = Device(backend.chip, backend), np.random.default_rng(41), random.Random(41)
    _first(device, rng)
    for turn in range(FENCES):
        size = chance.choice([64, 256, 1024])
        data = rng.integers(0, 256, size, dtype=np.uint8)
        device.write(0x1_0000, data)
        device.write(device.scratchpad(), rng.integers(0, 256, 0x2000, dtype=np.uint8))
        place = size - 64
        program = [
            Command(name="LOAD", fields=copy(memory=0x1_0000, scratchpad=0x100, row=size)),
            Command(name="LOAD", fields=copy(memory=REMOTE | 0x100 + place, scratchpad=0x1000, row=64), fence=True),
        ]
        device.submit("load", program)
        device.wait(LIMIT)
        found = device.read(device.scratchpad(0x1000), 64, np.uint8)
        if (found != data[place:]).any():
            raise SimulationError(f"fence {turn}: a load has read what was there before the one that it waits for")
        _products(device, rng, turn)


def _first(device: Device, rng: np.random.Generator) -> None:
    """The first commands of two queues, which signal no earlier than they have written the last byte."""
    size = 1024
    data = rng.integers(0, 256, size, dtype=np.uint8)
    device.write(0x1_0000, data)
    here, back = copy(memory=0x1_0000, scratchpad=0, row=size), copy(memory=0x2_0000, scratchpad=0, row=size)
    end = copy(memory=0x2_0000 + size - 64, scratchpad=0x1000, row=64)
    store = Command(name="STORE", fields=back, wait=(1, 1), signal=(2, 1))
    device.submit("store", [store])
    device.submit(
        "load", [Command(name="LOAD", fields=here, signal=(1, 1)), Command(name="LOAD", fields=end, wait=(2, 1))]
    )
    device.wait(LIMIT)
    if (device.read(device.scratchpad(0x1000), 64, np.uint8) != data[-64:]).any():
        raise SimulationError("the first commands after a reset signal before they have ended")


def _products(device: Device, rng: np.random.Generator, turn: int) -> None:
    """A product of sums that the one before it wrote as bytes."""
    a, b = (rng.integers(-3, 4, (8, 8)).astype(np.int8) for _ in range(2))
    for place, values in ((0x1400, a), (0x1440, b)):
        device.write(device.scratchpad(place), values)
    given = {
        **{"m": 8, "n": 8, "k": 8, "a_stride": 8, "b_address": 0x1440, "b_stride": 8},
        **{"result": Result.CONVERTED, "scale": 0x3F80_0000},
    }
    first = {**given, "a_address": 0x1400, "d_address": 0x1480, "d_stride": 8}
    second = {**given, "a_address": 0x1480, "d_address": 0x14C0, "d_stride": 8}
    program = [Command(name="MATMUL", fields=first), Command(name="MATMUL", fields=second, fence=turn % 2 == 0)]
    if turn % 2:
        program[1] = Command(name="MATMUL", fields={**second, "after": 1})
    device.submit("matmul", program)
    device.wait(LIMIT)
    whole = [a, b]
    for _ in range(2):
        whole[0] = np.clip(whole[0].astype(np.int32) @ b, -128, 127).astype(np.int8)
    found = device.read(device.scratchpad(0x14C0), 64, np.int8)
    if (found != whole[0].ravel()).any():
        raise SimulationError(f"fence {turn}: a product is not of what the one before it wrote")


def _rest(backend: Driver) -> None:
    registers, end = backend.registers[0], backend.hardware.now + LIMIT
    while any(registers[f"command.{name}.busy"] for name in backend.queues):
        if backend.hardware.now > end:
            raise SimulationError(f"after {LIMIT} clocks there is still work")
        backend.hardware.run(STEP)


def _semaphore(backend: Driver, number: int) -> int:
    backend.registers[0]["command.semaphore"] = number
    return int(backend.registers[0]["command.value"])


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise SimulationError(f"{what}: {found} instead of {expected}")
