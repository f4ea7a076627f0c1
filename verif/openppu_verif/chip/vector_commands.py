"""Commands of the vector unit for cases: to a device, and to its twin."""

from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Device
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.vector.commands import LoadProgram, Run, SetStream, fields_of
from openppu_sim.program.command import Command

from openppu_verif.chip.program_source import VECTOR_NAMES
from openppu_verif.chip.twin import Twin

LIMIT, STEP = 10_000, 100

Given = LoadProgram | SetStream | Run


def do(device: Device, twin: Twin, commands: list[Given]) -> None:
    """Let both do commands.

    Raises
    ------
    SimulationError
        If the twin refuses one.
    """
    for each in commands:
        if error := twin_error(twin, each):
            raise SimulationError(f"the reference refuses {each}: {error}")
    submit(device, commands)
    _pause(device)
    device.wait(LIMIT)


def twin_error(twin: Twin, command: Given) -> int:
    """How a command ends that the twin does."""
    return twin.run("vector", VECTOR_NAMES[type(command).__name__], fields_of(command))


def submit(device: Device, commands: list[Given]) -> None:
    """Give commands to a device's queue."""
    device.submit(
        "vector", [Command(name=VECTOR_NAMES[type(each).__name__], fields=fields_of(each)) for each in commands]
    )


def error_of(device: Device) -> str | None:
    """How what the queue has been given ends; it may go on after that."""
    _pause(device)
    try:
        device.wait(LIMIT)
    except CommandError as error:
        queue = 1 << device.backend.queues.index("vector")  # type: ignore[attr-defined]
        device.registers["command.restart"] = queue
        device.backend.hardware.run(STEP)  # type: ignore[attr-defined]
        device.registers["command.seen"] = queue
        return error.error
    return None


def _pause(device: Device) -> None:
    """Until the queue has nothing to do, or stops."""
    for _ in range(LIMIT // STEP):
        if device.registers["command.vector.stopped"] or not device.registers["command.vector.busy"]:
            break
        device.backend.hardware.run(STEP)  # type: ignore[attr-defined]
