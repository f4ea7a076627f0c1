"""What runs a device's programs."""

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from openppu.config import ChipConfig
from openppu.link.topology import Topology
from openppu.vector.engine import VectorEngine

from openppu_sim.errors import UserError
from openppu_sim.program.command import Command

GROUP = "openppu.device"
"""Entry points of packages that bring backends of their own: what they name takes (chip, topology, build folder)."""


class Backend(Protocol):
    """Chips with memory, and queues that take commands."""

    def read(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory."""

    def write(self, chip: int, address: int, data: bytes) -> None:
        """Write bytes to a chip's memory."""

    def load(self, chip: int, address: int, data: bytes) -> None:
        """Put bytes into a chip's memory devices, in no time."""

    def dump(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory devices, in no time."""

    def submit(self, chip: int, queue: str, program: Sequence[Command]) -> None:
        """Put commands into a queue."""

    def semaphore(self, chip: int, number: int) -> int:
        """What a semaphore has."""

    def signal(self, chip: int, number: int, value: int) -> None:
        """Add to a semaphore."""

    def wait_for(self, chip: int, number: int, value: int, limit: int) -> None:
        """Run until a semaphore has at least a value; errors as of `wait`."""

    def restart(self, chip: int, queue: str) -> None:
        """Let a queue that stopped forget what it had, and go on."""

    def wait(self, limit: int) -> None:
        """Run until all queues are empty, at most so many cycles.

        Raises
        ------
        CommandError
            If a command is refused or fails.
        SimulationError
            If the limit is reached.
        """

    @property
    def cycles(self) -> int:
        """Since the reset; 0 where time does not count."""

    @property
    def reserved(self) -> range:
        """Addresses that are the driver's own."""

    def close(self) -> None:
        """End it."""


MEANINGS = {
    "OPCODE": "this queue has no such command",
    "FIELD": "a field, semaphore or loop is not one of those that are allowed",
    "ALIGNMENT": "an address, stride or size is no multiple of what it must be",
    "BOUNDS": "a range that it names reaches beyond its memory",
    "MEMORY": "data that it read is wrong beyond correction",
    "LINK": "another chip could not be reached, or refused",
    "TIMEOUT": "another chip has not answered in time",
    "FORMAT": "this chip does not have that number format, or not for such operands",
}
"""Of errors (`openppu.command.error`); docs/commands.md says what each command asks for."""


class CommandError(Exception):
    """A command that was refused, or failed.

    Parameters
    ----------
    chip : int
    queue : str
    error : str
        Name of the error.
    place : int
        The command's, in all that was ever put into the queue.
    command : str
        Its text, if it is known.
    """

    def __init__(self, *, chip: int, queue: str, error: str, place: int, command: str) -> None:
        self.chip, self.queue, self.error, self.place, self.command = chip, queue, error, place, command
        super().__init__(
            f"chip {chip}, queue {queue}, command {place} ({command or 'unknown'}): {error}, {MEANINGS[error]}"
        )


def open_backend(name: str, chip: ChipConfig, topology: Topology | None, build_root: Path) -> Backend:
    """The backend of a name.

    Raises
    ------
    UserError
        If there is none of that name.
    ConfigError
        If there is no such chip, as `openppu.vector.engine.VectorEngine`.
    """
    VectorEngine.lanes_of(chip)
    found = {each.name: each for each in entry_points(group=GROUP)}
    if name not in found:
        raise UserError(f"backend {name!r}: give one of {', '.join(sorted(found))}")
    make: Any = found[name].load()
    backend: Backend = make(chip, topology, build_root)
    return backend
