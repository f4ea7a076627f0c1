"""Input streams of the vector unit: each alone, all in one instruction, and wrong bits in any of their rows."""

from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.formats.spec import BINARY32, INT8
from openppu.vector.command import ACCUMULATORS
from openppu.vector.input_port import InputPort
from openppu.vector.instruction import ACCUMULATOR_STREAMS, INPUTS, Source, Target
from openppu.vector.operation import Operation
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.assembly import END, STOP, Instruction, Operand, image, loop
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream
from openppu_sim.lowering.matmul import Addend, MatmulCommand
from openppu_sim.program.command import Command

from openppu_verif.chip.native import Session
from openppu_verif.chip.twin import Twin, matmul_fields
from openppu_verif.chip.vector_commands import LIMIT, do, error_of, submit

SOURCES, RESULTS = 0x1000, 0x800
"""Addresses: the first in each bank."""

ROWS = 8
ZERO = Operand(Source.PARAMETER, 0)
PLACES: Any = {
    "a": (Operation.COPY, {}),
    "b": (Operation.EXCLUSIVE_OR, {"a": ZERO}),
    "c": (Operation.SELECT, {"a": ZERO, "b": ZERO}),
}
"""Of an operand in each place an operation that gives it back."""

TWO = 0b101
"""Wrong bits of eight bytes."""

AHEAD = 2 * InputPort.DEPTH
"""Rows of a stream."""

WAITS = [Instruction(operation=Operation.MULTIPLY, a=ZERO, b=ZERO, rows=1)]
FILL, REFILL = 16, 7
"""Of those as many as its queue takes to become full, and full again when a row was taken."""


def combine_streams(backend: Driver) -> None:
    """Copy the rows of each stream, when no other has a pattern; then combine those of any two.

    Raises
    ------
    SimulationError
        If a result is not the reference's.
    """
    data = np.random.default_rng(47).integers(0, 256, backend.chip.scratchpad.capacity, dtype=np.uint8)
    for stream in range(INPUTS):
        backend.reset(0)
        device, twin = _prepared(backend, data)
        for bank, (place, (operation, others)) in enumerate(PLACES.items(), start=stream):
            do(device, twin, [_stream(backend, stream, _in_bank(backend, bank), ROWS)])
            operands = {**others, place: Operand(Source.STREAM, stream)}
            _run(device, twin, [_to_output(operation, operands)] * ROWS)
    device, twin = _prepared(backend, data)
    do(device, twin, [_stream(backend, stream, _in_bank(backend, stream), ROWS) for stream in range(INPUTS)])
    for a, b in permutations(range(INPUTS), 2):
        operands = {"a": Operand(Source.STREAM, a), "b": Operand(Source.STREAM, b)}
        _run(device, twin, [_to_output(Operation.ADD_INTEGER, operands)] * ROWS)


def _prepared(backend: Driver, data: NDArray[np.uint8]) -> tuple[Device, Twin]:
    """A device with rows for streams in each bank, and the output."""
    device, twin = Device(backend.chip, backend), Twin(backend.chip)
    for bank in range(backend.chip.scratchpad.banks):
        place = _in_bank(backend, bank)
        rows = data[place:][: ROWS * backend.chip.scratchpad.word_bytes]
        device.write(device.scratchpad(place), rows)
        twin.pad[place:][: rows.size] = rows
    do(device, twin, [_stream(backend, INPUTS, RESULTS, ROWS)])
    return device, twin


def _in_bank(backend: Driver, bank: int) -> int:
    """Where streams are in a bank, counted round."""
    pad = backend.chip.scratchpad
    return bank % pad.banks * (pad.capacity // pad.banks) + SOURCES


def meet_wrong_rows(backend: Driver) -> None:
    """Let each stream have a row that is wrong, at each place of its queue, which is full all the time.

    Raises
    ------
    SimulationError
        If a run does not end with the error, or one without a wrong row does.
    """
    hardware, device = backend.hardware, Device(backend.chip, backend)
    assert isinstance(hardware, Session)
    word = backend.chip.scratchpad.word_bytes
    data = np.random.default_rng(53).integers(0, 256, AHEAD * word, dtype=np.uint8)
    device.write(device.scratchpad(SOURCES), data)
    run = Run(rows=1, counts=[AHEAD])
    for stream in range(INPUTS):
        copies = [_to_output(Operation.COPY, {"a": Operand(Source.STREAM, stream)}), *WAITS * REFILL]
        program = [*WAITS * FILL, loop(0), *copies, END, STOP]
        device.write(device.scratchpad(), image(program))
        patterns = [_stream(backend, stream, SOURCES, AHEAD), _stream(backend, INPUTS, RESULTS, AHEAD)]
        submit(device, [LoadProgram(source=0, count=len(program)), *patterns, run])
        device.wait(LIMIT)
        for row in range(InputPort.DEPTH):
            place = SOURCES + word * row
            hardware.flip(0, place, TWO)
            submit(device, [run])
            if error_of(device) != "MEMORY":
                raise SimulationError(f"stream {stream}: nothing is told of row {row}, which is wrong")
            device.write(device.scratchpad(place), data[word * row :][:word])
    submit(device, [run])
    device.wait(LIMIT)


def read_sums(backend: Driver) -> None:
    """Copy all accumulators, which a product has left any words in, by each stream that may read them; then add them to
    a stream of the scratchpad.

    Raises
    ------
    SimulationError
        If a result is not the reference's.
    """
    device, twin = Device(backend.chip, backend), Twin(backend.chip)
    data = np.random.default_rng(97).integers(0, 256, RESULTS, dtype=np.uint8)
    device.write(device.scratchpad(SOURCES), data)
    twin.pad[SOURCES:][: data.size] = data
    rows, columns = backend.chip.tile.accumulators, backend.chip.tile.columns
    product = MatmulCommand(
        m=rows, n=columns, k=8, format=INT8.code, addend=Addend.SCRATCHPAD,
        a_address=SOURCES, a_stride=8, b_address=SOURCES, b_stride=8,
        c_address=SOURCES, c_stride=backend.chip.scratchpad.word_bytes,
        d_address=SOURCES + RESULTS, d_stride=4 * columns,
    )  # fmt: skip
    if error := twin.run("matmul", "MATMUL", matmul_fields(product)):
        raise SimulationError(f"the reference refuses a product: {error}")
    device.submit("matmul", [Command(name="MATMUL", fields=matmul_fields(product))])
    device.wait(LIMIT)
    others = [each for each in range(INPUTS) if each not in ACCUMULATOR_STREAMS]
    for stream, other in zip(ACCUMULATOR_STREAMS, others, strict=True):
        patterns = ((stream, ACCUMULATORS), (other, SOURCES), (INPUTS, RESULTS))
        do(device, twin, [_stream(backend, number, base, rows) for number, base in patterns])
        sums = Operand(Source.STREAM, stream)
        both = {"a": Operand(Source.STREAM, other), "b": sums}
        for operation, operands in ((Operation.COPY, {"a": sums}), (Operation.ADD_INTEGER, both)):
            _run(device, twin, [_to_output(operation, operands)] * rows, rows)


def _stream(backend: Driver, stream: int, base: int, rows: int) -> SetStream:
    word = backend.chip.scratchpad.word_bytes
    return SetStream(stream=stream, base=base, format=BINARY32.code, counts=[rows], strides=[word])


def _to_output(operation: Any, operands: dict[str, Operand]) -> Instruction:
    a, b, c = (operands.get(place, ZERO) for place in "abc")
    return Instruction(operation=operation, target_kind=Target.STREAM, rows=1, a=a, b=b, c=c)


def _run(device: Device, twin: Twin, program: list[Instruction], rows: int = ROWS) -> None:
    """Run a program of which all commands are right, and compare what it writes."""
    data = image([*program, STOP])
    device.write(device.scratchpad(), data)
    twin.pad[: data.size] = data
    do(device, twin, [LoadProgram(source=0, count=len(program) + 1), Run(rows=1)])
    size = rows * device.config.scratchpad.word_bytes
    if (device.read(device.scratchpad(RESULTS), size, np.uint8) != twin.pad[RESULTS:][:size]).any():
        raise SimulationError(f"{program[0]} has other results than the reference")
