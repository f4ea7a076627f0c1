"""Constants of instructions of the vector unit and parameters of its runs: each bit of each, set and not set."""

import numpy as np
from openppu.formats.spec import BINARY32
from openppu.vector.instruction import INPUTS, PARAMETERS, Source, Target
from openppu.vector.operation import Operation
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.assembly import STOP, Instruction, Operand, image
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream, fields_of
from openppu_sim.program.command import Command

from openppu_verif.chip.program_source import VECTOR_NAMES
from openppu_verif.chip.twin import Twin

COUNT = 48
"""Instructions with constants."""

RESULTS = 0x1000
LIMIT = 10_000


def compute_with_constants(backend: Driver) -> None:
    """Copy constants to the scratchpad; errors as of `copy_parameters`."""
    words = np.random.default_rng(43).integers(0, 1 << 31, (COUNT, 2)).tolist()
    zero = Operand(Source.PARAMETER, 0)
    program = []
    for number, each in enumerate(words):
        constant = Operand(Source.CONSTANT, number % 2)
        # Each of the three operands in turn; the others add nothing.
        operation, a, b, c = (
            (Operation.COPY, constant, zero, zero),
            (Operation.ADD, zero, constant, zero),
            (Operation.MULTIPLY_ADD, zero, zero, constant),
        )[number // 2 % 3]
        program.append(
            Instruction(
                operation=operation,
                target_kind=Target.STREAM,
                a=a,
                b=b,
                c=c,
                constants=(each[0], each[1]),
                rows=1,
            )
        )
    _compare(backend, program, [Run(rows=1)])


def copy_parameters(backend: Driver) -> None:
    """Copy all parameters of a run to the scratchpad, then of one that has all of their bits the other way.

    Raises
    ------
    SimulationError
        If something else is there than the reference says.
    """
    words = np.random.default_rng(83).integers(0, 1 << 32, PARAMETERS, dtype=np.uint32)
    program = [
        Instruction(operation=Operation.COPY, target_kind=Target.STREAM, a=Operand(Source.PARAMETER, number), rows=1)
        for number in range(PARAMETERS)
    ]
    _compare(backend, program, [Run(rows=1, parameters=each.tolist()) for each in (words, ~words)])


def _compare(backend: Driver, program: list[Instruction], runs: list[Run]) -> None:
    """Run a program, a row of results an instruction and run, and compare them with the reference's."""
    device, twin = Device(backend.chip, backend), Twin(backend.chip)
    data, rows = image([*program, STOP]), len(program) * len(runs)
    word = backend.chip.scratchpad.word_bytes
    commands: list[LoadProgram | SetStream | Run] = [
        LoadProgram(source=0, count=len(program) + 1),
        SetStream(stream=INPUTS, base=RESULTS, format=BINARY32.code, counts=[rows], strides=[word]),
        *runs,
    ]
    device.write(device.scratchpad(), data)
    twin.pad[: data.size] = data
    given = [(VECTOR_NAMES[type(each).__name__], fields_of(each)) for each in commands]
    if errors := [error for name, fields in given if (error := twin.run("vector", name, fields))]:
        raise SimulationError(f"the reference refuses it: {errors}")
    device.submit("vector", [Command(name=name, fields=fields) for name, fields in given])
    device.wait(LIMIT)
    found = device.read(device.scratchpad(RESULTS), rows * word, np.uint8)
    if (found != twin.pad[RESULTS:][: found.size]).any():
        raise SimulationError("results differ from the reference's")
