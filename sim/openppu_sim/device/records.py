"""What commands wrote of themselves: when they began and ended, and how."""

from dataclasses import dataclass
from typing import Any

from openppu.chip.chip import queues_of
from openppu.command.error import Error
from openppu.command.layouts import RECORD_BYTES, record_layout

from openppu_sim.device.device import Device
from openppu_sim.device.driver import RECORDS
from openppu_sim.program.bits import Bits

LOG2 = 12
"""Of the ring's records."""

RECORD = Bits(record_layout())


@dataclass(frozen=True, kw_only=True)
class Record:
    """A command that ended: cycles since the reset; ``place``: its place in all that was ever put into the queue."""

    queue: str
    opcode: int
    tag: int
    error: str
    begun: int
    ended: int
    place: int = 0


def set_records(device: Device) -> None:
    """Let records go to the ring behind the queues', from its beginning.

    Raises
    ------
    UserError
        If the backend has no time, and so no registers.
    """
    registers = device.registers
    registers["command.records.base"] = _base(device)
    registers["command.records.log2"] = LOG2
    registers["command.records.enable"] = 1
    _seen(device)[device.number] = registers["command.records.count"]


def read_records(device: Device) -> list[Record]:
    """Those since `set_records`, in the order in which they were written; of more than fit, the last."""
    count, seen = device.registers["command.records.count"], _seen(device)[device.number]
    first = max(seen, count - (1 << LOG2))
    names = [name for name, _ in queues_of(device.config)]
    found = []
    for number in range(first, count):
        place = _base(device) + RECORD_BYTES * (number % (1 << LOG2))
        of = RECORD.unpack(int.from_bytes(device.backend.read(device.number, place, RECORD_BYTES), "little"))
        found.append(
            Record(
                queue=names[of["queue"]],
                opcode=of["opcode"],
                tag=of["tag"],
                error=Error(of["error"]).name,
                begun=of["begun"],
                ended=of["ended"],
                place=of["index"],
            )
        )
    return found


def _base(device: Device) -> int:
    return device.config.hbm.capacity - RECORDS


def _seen(device: Device) -> dict[int, int]:
    backend: Any = device.backend
    if not hasattr(backend, "records_seen"):
        backend.records_seen = {}
    found: dict[int, int] = backend.records_seen
    return found
