"""Wrong bits of memory and scratchpad: one is put right and counted, two end the command that reads them."""

import numpy as np
from openppu.config import ChipConfig
from openppu.formats.spec import BINARY32
from openppu.vector.instruction import INPUTS
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Device
from openppu_sim.device.driver import SETTLE, Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.assembly import image, parse
from openppu_sim.kernels.vector.commands import Run, SetStream, fields_of
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command

from openppu_verif.chip.native import device_place
from openppu_verif.dma.commands import copy

ONE, TWO = 1, 0b101
"""Wrong bits of eight bytes."""

SOURCE, TARGET, PLACE, SIZE = 0x4000, 0x8000, 0x600, 256
LIMIT, STEP = 10_000, 300
CODE_BITS = 72
MOST_READS = 20

PRODUCT = {
    **{"m": 4, "n": 4, "k": 4, "a_address": 0x800, "a_stride": 8, "b_address": 0x840, "b_stride": 8},
    **{"c_address": 0x880, "c_stride": 32, "d_address": 0x7000, "d_stride": 16, "result": Result.SUMS},
}
CODE = 0x900
PROGRAM = parse("r0 = COPY s0\ns4 = COPY r0\nstop")
STREAMS = [
    Command(
        name="VECTOR_STREAM",
        fields=fields_of(SetStream(stream=stream, base=base, format=BINARY32.code, counts=[1], strides=[0])),
    )
    for stream, base in ((0, PLACE), (INPUTS, 0x7400))
]


def _product(**others: int) -> list[Command]:
    return [Command(name="MATMUL", fields={**PRODUCT, **others})]


READERS: tuple[tuple[str, list[Command]], ...] = (
    ("store", [Command(name="STORE", fields=copy(memory=TARGET, scratchpad=PLACE, row=SIZE))]),
    ("matmul", _product(a_address=PLACE)),
    ("matmul", _product(b_address=PLACE)),
    ("matmul", _product(c_address=PLACE, addend=Addend.SCRATCHPAD)),
    ("vector", [Command(name="VECTOR_PROGRAM", fields={"source": PLACE, "count": 4})]),
    (
        "vector",
        [
            Command(name="VECTOR_PROGRAM", fields={"source": CODE, "count": len(PROGRAM)}),
            *STREAMS,
            Command(name="VECTOR_RUN", fields=fields_of(Run(rows=1))),
        ],
    ),
    ("load", [Command(name="LOAD", fields=copy(memory=1 << 39 | PLACE, scratchpad=0x5000, row=SIZE))]),
)
"""Queues, and commands the last of which reads the scratchpad at `PLACE`."""


def meet(backend: Driver) -> None:
    """Let every engine meet both, of the scratchpad, then of memory.

    Raises
    ------
    SimulationError
        If one of them does not what it should.
    """
    device = Device(backend.chip, backend)
    data = np.random.default_rng(11).integers(0, 256, SIZE, dtype=np.uint8)
    registers, hardware = backend.registers[0], backend.hardware
    device.write(device.scratchpad(0x800), np.zeros(0x100, np.uint8))
    device.write(device.scratchpad(CODE), image(PROGRAM))
    for queue, program in READERS:
        device.write(device.scratchpad(PLACE), data)
        registers["scratchpad.clear"] = 1
        hardware.flip(0, PLACE + 8, ONE << CODE_BITS)  # type: ignore[attr-defined]
        device.submit(queue, program)
        _end(backend, queue)
        device.wait(LIMIT)
        hardware.run(STEP)
        _log(backend, f"{queue}, one wrong bit", uncorrectable=0, repaired=1)
        # A word may be read again before it is written back right.
        if not 1 <= (times := registers["scratchpad.log_corrected"]) <= MOST_READS:
            raise SimulationError(f"{queue} has corrected one wrong bit {times} times, not once or a few times")
        _log(backend, queue, record_valid=1, record_uncorrectable=0, record_address=(PLACE + 8) // 8)
        hardware.flip(0, PLACE, TWO)  # type: ignore[attr-defined]
        _fails(backend, device, queue, program)
        _log(backend, f"{queue}, two wrong bits", record_valid=1, record_uncorrectable=1, record_address=PLACE // 8)
    _of_memory(backend, device, data)


def _of_memory(backend: Driver, device: Device, data: np.ndarray) -> None:
    load = Command(name="LOAD", fields=copy(memory=SOURCE, scratchpad=0x2000, row=SIZE))
    device.write(SOURCE, data)
    backend.hardware.run(SETTLE)
    _flip(backend, backend.chip, SOURCE + 64, [7])
    device.submit("load", [load])
    _end(backend, "load")
    device.wait(LIMIT)
    if not (device.read(device.scratchpad(0x2000), SIZE, np.uint8) == data).all():
        raise SimulationError("a wrong bit of memory was not put right")
    _flip(backend, backend.chip, SOURCE + 128, [3, 40])
    _fails(backend, device, "load", [load])
    if not (device.read(device.scratchpad(0x2000), SIZE, np.uint8) == data).all():
        raise SimulationError("what is known to be wrong was written")


def _flip(backend: Driver, chip: ChipConfig, address: int, bits: list[int]) -> None:
    for bit in bits:
        backend.hardware.inject(0, 0, f"flip_bit {device_place(chip, address)} {bit}")  # type: ignore[attr-defined]


def _fails(backend: Driver, device: Device, queue: str, program: list[Command]) -> None:
    device.submit(queue, program)
    _end(backend, queue)
    try:
        device.wait(LIMIT)
    except CommandError as error:
        if error.error != "MEMORY":
            raise
        backend.registers[0]["command.restart"] = 1 << backend.queues.index(queue)
        backend.hardware.run(STEP)
        backend.registers[0]["command.seen"] = 1 << backend.queues.index(queue)
        return
    raise SimulationError(f"{queue} does not tell of two wrong bits")


def _end(backend: Driver, queue: str) -> None:
    registers, end = backend.registers[0], backend.hardware.now + LIMIT
    while registers[f"command.{queue}.busy"] and not registers[f"command.{queue}.stopped"]:
        if backend.hardware.now > end:
            raise SimulationError(f"{queue} does not end")
        backend.hardware.run(STEP)


def _log(backend: Driver, what: str, **expected: int) -> None:
    for name, value in expected.items():
        found = backend.registers[0][f"scratchpad.log_{name}"]
        if found != value:
            raise SimulationError(f"{what}: {name} is {found} instead of {value}")
