"""Copies that each bit of each stride takes somewhere else, by addresses from each register."""

import random
from collections.abc import Iterator

import numpy as np
from openppu.command.layouts import REGISTERS
from openppu_sim.device.device import Device
from openppu_sim.device.driver import SETTLE, Driver
from openppu_sim.errors import SimulationError
from openppu_sim.program.command import Command

from openppu_verif.chip.far_copies import RINGS
from openppu_verif.chip.native import Session
from openppu_verif.dma.commands import DIMENSIONS, copy

ROW = 32
"""Bytes: a word of memory, and the least stride."""

TOGETHER = REGISTERS - 1
"""Copies that are given at a time: each of the registers holds the address of one, while those before it are done."""

LIMIT = 20_000


def stride_far(backend: Driver) -> None:
    """Load and store two rows that are a power of two apart, upwards or downwards, in each dimension.

    Raises
    ------
    SimulationError
        If something else is written.
    """
    hardware, chip = backend.hardware, backend.chip
    assert isinstance(hardware, Session)
    device, rng, chance = Device(chip, backend), np.random.default_rng(59), random.Random(59)
    end = chip.hbm.capacity - RINGS
    given = list(_strides(end))
    places = []
    for first in range(0, len(given), TOGETHER):
        sets: dict[str, list[Command]] = {"load": [], "store": []}
        copies: dict[str, list[Command]] = {"load": [], "store": []}
        data = rng.integers(0, 256, (TOGETHER, 2, ROW), dtype=np.uint8)
        for number, (dimension, stride) in enumerate(given[first : first + TOGETHER]):
            begin, target = (_place(chance, stride, end) for _ in range(2))
            for turn in range(2):
                hardware.load(0, begin + stride * turn, data[number, turn].tobytes())
            places.append((dimension, stride, target, data[number]))
            dimensions = [(1, 0, 0)] * dimension + [(2, stride, ROW)]
            fields = copy(memory=0, scratchpad=2 * ROW * number, row=ROW, dimensions=dimensions)
            for queue, memory in (("load", begin), ("store", target)):
                sets[queue].append(Command(name="SET", fields={"register": number + 1, "value": memory}))
                copies[queue].append(Command(name=queue.upper(), fields=fields, registers={"memory": number + 1}))
        for queue in sets:
            device.submit(queue, [*sets[queue], *copies[queue]])
            device.wait(LIMIT)
    hardware.run(SETTLE)
    for dimension, stride, target, rows in places:
        for turn, row in enumerate(rows):
            if hardware.dump(0, target + stride * turn, ROW) != row.tobytes():
                raise SimulationError(f"row {turn} of stride {stride} in dimension {dimension} differs")


def _strides(end: int) -> Iterator[tuple[int, int]]:
    """Dimension and stride: each power of two that fits memory and its field, one of two signs."""
    for dimension in range(DIMENSIONS):
        for bit in range(ROW.bit_length() - 1, end.bit_length() - 1):
            yield dimension, (1 << bit) * (1 - 2 * ((bit + dimension) % 2))


def _place(chance: random.Random, stride: int, end: int) -> int:
    """Where a row can begin that has another one so far from it."""
    least = max(0, -stride)
    most = end - ROW - max(0, stride)
    return chance.randrange(least, most + 1) // ROW * ROW
