"""Collectives that must end with an error: instructions that are wrong, and one that waits for ever."""

from openppu.link.collective.instruction import Instruction, Opcode, Source, Stream
from openppu.link.collective.packets import Fault
from openppu_sim.device.backend import CommandError
from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.collective import command_of

WRONG = (
    (Instruction(opcode=Opcode.SEND, ports=1, length=0), Fault.LENGTH),
    (Instruction(opcode=Opcode.SEND, ports=1, length=64, address=1), Fault.ADDRESS),
    (Instruction(opcode=Opcode.STORE, stream=Stream.STORE, length=64), Fault.PORTS),
    (Instruction(opcode=Opcode.STORE, ports=2, stream=Stream.STORE, length=64), Fault.PORTS),
    (Instruction(opcode=Opcode.REDUCE, length=16, sources=(Source.MEMORY,)), Fault.TARGET),
    (Instruction(opcode=Opcode.REDUCE, length=16, write=1), Fault.SOURCES),
    (Instruction(opcode=Opcode.REDUCE, length=16, write=1, unit=3, sources=(Source.MEMORY,)), Fault.UNIT),
    (Instruction(opcode=Opcode.TOKEN), Fault.PORTS),
    (Instruction(opcode=Opcode.WAIT, ports=2), Fault.PORTS),
)
PATIENCE = 300
LIMIT, STEP = 5_000, 50
END = Instruction(opcode=Opcode.END)


def fail(backend: Driver) -> None:
    """Give the link instructions of which each is wrong, then one that waits for what nobody sends.

    Raises
    ------
    SimulationError
        If the error is not the one that is due, or the registers tell of another one.
    """
    device = Device(backend.chip, backend)
    for instruction, fault in WRONG:
        _expect(device, instruction, "LINK")
        found = tuple(device.registers[f"collective.engine_error_{name}"] for name in ("fault", "opcode"))
        if found != (fault, instruction.opcode):
            raise SimulationError(f"{instruction}: fault and opcode are {found}, not {fault} and {instruction.opcode}")
        device.registers["collective.reset"] = 1
    device.registers["collective.patience"] = PATIENCE
    begun = backend.hardware.now
    _expect(device, Instruction(opcode=Opcode.WAIT, ports=1), "TIMEOUT")
    if backend.hardware.now < begun + PATIENCE:
        raise SimulationError(f"less than {PATIENCE} clocks were waited")


def _expect(device: Device, instruction: Instruction, error: str) -> None:
    queue = 1 << device.backend.queues.index("link")  # type: ignore[attr-defined]
    device.submit("link", [command_of(each) for each in (instruction, END)])
    try:
        device.wait(LIMIT)
    except CommandError as found:
        if found.error != error:
            raise SimulationError(f"{instruction} ends with {found.error}, not {error}") from None
    else:
        raise SimulationError(f"{instruction} is done")
    device.registers["command.restart"] = queue
    device.backend.hardware.run(STEP)  # type: ignore[attr-defined]
    device.registers["command.seen"] = queue
