"""Programs of the vector unit that must be refused, word by word, and loops that go round very often."""

from collections.abc import Iterator

import numpy as np
from openppu.formats.spec import BINARY32
from openppu.vector.instruction import COUNTS, INPUTS, INSTRUCTION_BYTES, Source, Target
from openppu.vector.operation import Operation
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.assembly import (
    END,
    NOTHING,
    PLACES,
    STOP,
    Instruction,
    Operand,
    image,
    loop,
    to_word,
)
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream

from openppu_verif.chip.native import Session
from openppu_verif.chip.twin import Twin
from openppu_verif.chip.vector_commands import do, error_of, submit, twin_error

SOURCES, RESULTS = 0x1800, 0x3800
"""In the scratchpad, behind a program."""

PARTS = (10, 11)
"""Rows of the instructions of a round: an odd number, and more than it takes clocks to go round the loops."""

ROUNDS = 3
ROWS = ROUNDS * sum(PARTS)
"""After which a run is to end."""

NUMBER_BITS = 5
"""Of an operand."""

OFTEN = 0xFFFF, 0xAAAB, 0x5556
"""Counts of a loop."""

TWO = 0b101
"""Wrong bits of eight bytes."""


def refuse_programs(backend: Driver) -> None:
    """Run an instruction with one bit that is other, of any kind, and operands with each bit of their number.

    Raises
    ------
    SimulationError
        If one is refused that the reference runs, or the other way round.
    """
    device, twin = Device(backend.chip, backend), Twin(backend.chip)
    streams = [
        SetStream(stream=number, base=base, format=BINARY32.code, counts=[1], strides=[0])
        for number, base in ((0, SOURCES), (INPUTS, RESULTS))
    ]
    do(device, twin, [*streams])
    words = list(_words())
    most = backend.chip.vector.program_words // 2
    for begin in range(0, len(words), most):
        some = words[begin : begin + most]
        data = np.frombuffer(
            b"".join(each.to_bytes(INSTRUCTION_BYTES, "little") for word in some for each in (word, to_word(STOP))),
            np.uint8,
        )
        device.write(device.scratchpad(), data)
        twin.pad[: data.size] = data
        do(device, twin, [LoadProgram(source=0, count=2 * len(some))])
        for number, word in enumerate(some):
            run = Run(start=2 * number, rows=1)
            submit(device, [run])
            due, found = twin_error(twin, run) != 0, error_of(device) is not None
            if found != due:
                raise SimulationError(f"a program of {word:#034x} is {'refused' if found else 'run'}")


def _words() -> Iterator[int]:
    plain = to_word(Instruction(operation=Operation.COPY, rows=1))
    for name, (offset, width) in PLACES.items():
        if name not in ("constants", *"abc"):
            for bit in range(width):
                yield plain ^ 1 << offset + bit
    for place in "abc":
        for kind in Source.__members__.values():
            for bit in range(NUMBER_BITS):
                yield to_word(_with(place, Operand(kind, 1 << bit)))


def _with(place: str, operand: Operand) -> Instruction:
    a, b, c = (operand if each == place else NOTHING for each in "abc")
    return Instruction(operation=Operation.COPY, target_kind=Target.REGISTER, rows=1, a=a, b=b, c=c)


def go_round(backend: Driver) -> None:
    """Let each of the loops within each other go round very often, until a wrong row ends the run.

    Raises
    ------
    SimulationError
        If the rows before it are not those that were due.
    """
    hardware, device, twin = backend.hardware, Device(backend.chip, backend), Twin(backend.chip)
    assert isinstance(hardware, Session)
    word = backend.chip.scratchpad.word_bytes
    data = np.random.default_rng(101).integers(0, 1 << 31, (2 * ROWS, word // 4), dtype=np.uint32)
    device.write(device.scratchpad(SOURCES), data)
    hardware.flip(0, SOURCES + word * ROWS, TWO)
    rows = [
        Instruction(
            operation=Operation.ADD_INTEGER,
            target_kind=Target.STREAM,
            a=Operand(Source.STREAM, 0),
            b=Operand(Source.INDEX, 0),
            rows=part,
        )
        for part in PARTS
    ]
    program = image([*(loop(level) for level in range(COUNTS)), *rows, *[END] * COUNTS, STOP])
    device.write(device.scratchpad(), program)
    twin.pad[: program.size] = program
    do(device, twin, [LoadProgram(source=0, count=program.size // INSTRUCTION_BYTES)])
    for level in range(COUNTS):
        for count in OFTEN:
            submit(
                device,
                [
                    *(
                        SetStream(stream=number, base=base, format=BINARY32.code, counts=[2 * ROWS], strides=[word])
                        for number, base in ((0, SOURCES), (INPUTS, RESULTS))
                    ),
                    Run(rows=1, counts=[count if each == level else 1 for each in range(COUNTS)]),
                ],
            )
            if error_of(device) != "MEMORY":
                raise SimulationError(f"loop {level}: nothing is told of a wrong row")
            rounds = np.arange(ROWS)[:, None] // sum(PARTS) * (level == COUNTS - 1)
            due = data[:ROWS] + (word // 4 * rounds + np.arange(word // 4)).astype(np.uint32)
            if (device.read(device.scratchpad(RESULTS), (ROWS, word // 4), np.uint32) != due).any():
                raise SimulationError(f"loop {level} of {count} rounds: other rows are written than were due")
            device.write(device.scratchpad(RESULTS), np.zeros(ROWS * word, np.uint8))
