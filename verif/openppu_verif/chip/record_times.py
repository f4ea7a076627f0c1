"""When commands begin and end, as their records say it, long after the reset."""

from openppu_sim.device.device import Device
from openppu_sim.device.driver import Driver
from openppu_sim.device.records import read_records, set_records
from openppu_sim.errors import SimulationError
from openppu_sim.program.command import Command

from openppu_verif.dma.commands import copy

BITS = range(13, 16)
"""Of the clock: there are records from when each of them was set for the first time."""

COMMANDS = {
    "load": Command(name="LOAD", fields=copy(memory=0x1000, scratchpad=0x400, row=256), record=True),
    "store": Command(name="STORE", fields=copy(memory=0x2000, scratchpad=0x800, row=256), record=True),
}
OTHER = Command(name="NOTHING", record=True)
COUNT, LIMIT = 3, 4_000


def record_late(backend: Driver) -> None:
    """Let all queues write records whenever the clock has one more bit.

    Raises
    ------
    SimulationError
        If a time is not between those of the registers before and after, or they are not in order.
    """
    device = Device(backend.chip, backend)
    for bit in BITS:
        backend.hardware.run((1 << bit) - backend.hardware.now)
        set_records(device)
        before = _now(backend)
        for queue in backend.queues:
            device.submit(queue, [COMMANDS.get(queue, OTHER)] * COUNT)
        device.wait(LIMIT)
        after = _now(backend)
        found = read_records(device)
        for queue in backend.queues:
            times = [time for each in found if each.queue == queue for time in (each.begun, each.ended)]
            if (
                len(times) != 2 * COUNT
                or not before < times[0] <= times[-1] < after
                or times[1::2] != sorted(times[1::2])
            ):
                raise SimulationError(f"{queue}: records of {times} between {before} and {after}")


def _now(backend: Driver) -> int:
    registers = backend.registers[0]
    return int(registers["command.now"] | registers["command.now_high"] << 32)
