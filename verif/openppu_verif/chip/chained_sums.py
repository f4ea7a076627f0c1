"""Sums of what is still on its way to memory: a collective program that no planner makes for two chips."""

import numpy as np
from openppu.link.collective.instruction import Instruction, Opcode, Source, Stream, Thread
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.collective import command_of

COUNT = 300
"""Numbers of each vector."""

SENT, STORED, SUMS = 0x1_0000, 0x2_0000, 0x3_0000
APART = 0x1000
LIMIT = 20_000


def add_in_a_chain(backend: Driver) -> None:
    """Send three vectors; store the first, add the second to it in memory, and the third to those sums.

    Raises
    ------
    SimulationError
        If a sum is of what was in memory before.
    """
    chips = [Device(backend.chip, backend, number=number) for number in range(2)]
    rng = np.random.default_rng(73)
    vectors = rng.integers(0, 1 << 32, (3, COUNT), dtype=np.uint32)
    for number, vector in enumerate(vectors):
        chips[1].write(SENT + APART * number, vector)
        for place in (STORED, SUMS):
            chips[0].write(place + APART * number, rng.integers(0, 1 << 32, COUNT, dtype=np.uint32))
    size = vectors[0].nbytes
    sends = [
        Instruction(
            opcode=Opcode.SEND,
            ports=1,
            stream=Stream.REDUCE if number else Stream.STORE,
            label=1 + number,
            address=SENT + APART * number,
            length=size,
        )
        for number in range(3)
    ]
    sums = [
        Instruction(
            opcode=Opcode.REDUCE,
            label=2 + number,
            length=COUNT,
            sources=(Source.MEMORY, Source.PORT),
            integer=1,
            write=1,
            address=SUMS + APART * number,
            local=(STORED, SUMS)[number],
            wait=1,
            thread=(Thread.PORT, Thread.UNIT)[number],
        )
        for number in range(2)
    ]
    store = Instruction(opcode=Opcode.STORE, ports=1, label=1, address=STORED, length=size)
    end = Instruction(opcode=Opcode.END)
    for chip, program in zip(chips, ([store, *sums, end], [*sends, end]), strict=True):
        chip.submit("link", [command_of(each) for each in program])
    backend.wait(LIMIT)
    for number in range(2):
        found = chips[0].read(SUMS + APART * number, COUNT, np.uint32)
        if (found != vectors[: 2 + number].sum(axis=0, dtype=np.uint32)).any():
            raise SimulationError(f"sums {number} are not of what was sent")
