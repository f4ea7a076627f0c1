"""What one user of the network sends and gets, whatever the others have on their wires."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import pair
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.program.command import Command
from openppu_sim.reference.dma import REMOTE

from openppu_verif.dma.commands import copy

OPERATIONS = ("all_gather", "broadcast", "all_reduce")
ELEMENTS, FEW = 640, 160
"""Of a collective, and of one in scratchpads."""

SOURCE, TARGET, SCRATCH, PLACE = 0x1_0000, 0x2_0000, 0x3_0000, 0x4_0000
LIMIT = 20_000

COPIES, SENDS, SIZE = 24, 24, 1024
"""Loads and SENDs one after the other, and the bytes of each at most."""

PLACES = 0x1000, 0x3000, 0x5000
"""Of a collective's source, target and scratch, in memory or in the scratchpad."""


def write_while_collecting(backend: Driver) -> None:
    """Let the host write words while a collective writes others, which are their inverse.

    Raises
    ------
    SimulationError
        If either is not in memory then.
    """
    devices = [Device(backend.chip, backend, number=number) for number in range(2)]
    for operation, value in product(OPERATIONS, (-1, 0)):
        _begin(devices, operation, np.full((2, ELEMENTS), value, np.int32), (SOURCE, TARGET, SCRATCH))
        mine = np.full(ELEMENTS, ~value, np.int32)
        writes = 0
        while any(backend.registers[number]["command.link.busy"] for number in range(2)):
            for device in devices:
                device.write(PLACE + mine.nbytes * writes, mine)
            writes += 1
        backend.wait(LIMIT)
        for device in devices:
            written = device.read(PLACE, ELEMENTS * writes, np.int32)
            collected = device.read(TARGET, ELEMENTS, np.int32)
            if (written != ~value).any() or (collected != value * (1 + (operation == "all_reduce"))).any():
                raise SimulationError(f"{operation} of {value}: something else is in memory of chip {device.number}")


def load_from_both(backend: Driver) -> None:
    """Load from memory and, by the network, from the scratchpad, in turns without a pause.

    Raises
    ------
    SimulationError
        If something else arrives.
    """
    device, rng = Device(backend.chip, backend), np.random.default_rng(67)
    data = rng.integers(0, 256, (2, SIZE), dtype=np.uint8)
    device.write(SOURCE, data[0])
    device.write(device.scratchpad(), data[1])
    sizes = rng.integers(1, SIZE // 32 + 1, COPIES) * 32
    program = [
        Command(
            name="LOAD",
            fields=copy(memory=(SOURCE, REMOTE)[number % 2], scratchpad=SIZE * (2 + number), row=int(size)),
        )
        for number, size in enumerate(sizes)
    ]
    device.submit("load", program)
    device.wait(LIMIT)
    for number, size in enumerate(sizes):
        found = device.read(device.scratchpad(SIZE * (2 + number)), int(size), np.uint8)
        if (found != data[number % 2, :size]).any():
            raise SimulationError(f"load {number} differs")


def send_from_both(backend: Driver) -> None:
    """Let each of two chips send to the other from memory and from its scratchpad, in turns without a pause.

    Raises
    ------
    SimulationError
        If something else arrives.
    """
    chips = [Device(backend.chip, backend, number=number) for number in range(2)]
    rng = np.random.default_rng(109)
    data = rng.integers(0, 256, (2, 2, SIZE), dtype=np.uint8)
    sizes = rng.integers(1, SIZE // 32 + 1, SENDS) * 32
    for mine, chip in enumerate(chips):
        for place, row in zip((SOURCE, REMOTE), data[mine], strict=True):
            chip.write(place, row)
    for mine, chip in enumerate(chips):
        program = [
            Command(
                name="SEND",
                fields={
                    "source": (SOURCE, REMOTE)[number % 2],
                    "target": TARGET + SIZE * number,
                    "bytes": int(size),
                    "chip": 1 - mine,
                },
            )
            for number, size in enumerate(sizes)
        ]
        chip.submit("link", program)
    backend.wait(LIMIT)
    for number, size in enumerate(sizes):
        for mine, chip in enumerate(chips):
            found = chip.read(TARGET + SIZE * number, int(size), np.uint8)
            if (found != data[1 - mine, number % 2, :size]).any():
                raise SimulationError(f"what was sent to chip {mine} as number {number} differs")


def collect_in_scratchpads(backend: Driver) -> None:
    """Run collectives of vectors in memory, then of the same in scratchpads, which the link reaches by the network.

    Raises
    ------
    SimulationError
        If the results are not the same.
    """
    devices = [Device(backend.chip, backend, number=number) for number in range(2)]
    rng = np.random.default_rng(113)
    for operation in OPERATIONS:
        vectors = rng.integers(0, 1 << 32, (len(devices), FEW), dtype=np.uint32)
        results = []
        for base in (0, REMOTE):
            source, target, scratch = (base + place for place in PLACES)
            _begin(devices, operation, vectors, (source, target, scratch))
            backend.wait(LIMIT)
            results.append([device.read(target, FEW, np.uint32) for device in devices])
        if (np.array(results[0]) != results[1]).any():
            raise SimulationError(f"{operation}: results in scratchpads are not those in memory")


def _begin(devices: Sequence[Device], operation: str, vectors: np.ndarray, places: tuple[int, int, int]) -> None:
    """A collective of a vector of 32-bit numbers of each chip: ``places`` are its source, target and scratch."""
    source, target, scratch = places
    for device, vector in zip(devices, vectors, strict=True):
        device.write(source, vector)
    job = Job(
        operation=operation,
        format="int32",
        elements=vectors.shape[1],
        source=source,
        target=target,
        scratch=scratch,
    )
    config = CollectiveConfig(link=devices[0].config.link)
    for device, program in zip(devices, collective_programs(job, pair(), config), strict=True):
        device.submit("link", program)
