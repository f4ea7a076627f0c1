"""Chips as Python has them: memory as numpy arrays, queues that take programs."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import DTypeLike, NDArray
from openppu.config import ChipConfig, load, presets
from openppu.link.topology import Topology, pair, ring

from openppu_sim.checks import whole
from openppu_sim.device.array_bytes import array_of, bytes_of, place_of
from openppu_sim.device.backend import Backend, open_backend
from openppu_sim.device.registers import RegisterFile
from openppu_sim.errors import UserError
from openppu_sim.program.command import Command

SCRATCHPAD = 1 << 39
UNIT_BITS = 24
LIMIT = 50_000_000
MOST_VALUE = (1 << 16) - 1
"""Of a semaphore."""
PAIR = 2
"""Chips of a cluster, if it is not said otherwise, and at least."""


class Device:
    """A chip.

    Parameters
    ----------
    config : ChipConfig or str
        Or a preset's name, or a TOML file.
    backend : str or Backend
        ``rtl``: the Verilated chip; ``model``: the cycle models; ``reference``: numpy, without time.
    number : int
        Which of the backend's chips.
    build_root : Path
        Folder of all that is generated.

    Raises
    ------
    UserError
        If one of them cannot be; so do all methods, of what they are given, and of a device that is closed.
    """

    def __init__(
        self,
        config: ChipConfig | str | Path = "demo",
        backend: str | Backend = "rtl",
        *,
        number: int = 0,
        build_root: Path = Path("build"),
    ) -> None:
        self.config = chip_of(config)
        self.number = whole("number", number, 0)
        if number and isinstance(backend, str):
            raise UserError(f"number {number}: a backend of its own has chip 0 alone; a Cluster has several")
        self._backend: Backend | None = _backend(backend, self.config, None, build_root)
        self.together: Sequence[Device] = (self,)
        """All chips of the backend: it ends for all of them."""

    @property
    def backend(self) -> Backend:
        """What runs the chip, as long as the device is not closed."""
        if self._backend is None:
            raise UserError("the device is closed: open another one")
        return self._backend

    @property
    def cycles(self) -> int:
        """Since the reset."""
        return self.backend.cycles

    def write(self, address: int, array: NDArray[Any]) -> None:
        """Put an array's elements into memory, in C order, the low byte of each first, whatever its byte order.

        Raises
        ------
        UserError
            If it is no array of numbers, does not fit, or lies on the driver's rings of commands.
        """
        data = bytes_of(array)
        self.backend.write(self.number, self._unreserved(self._check(address, len(data)), len(data)), data)

    def read(self, address: int, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """The array that stands in memory; errors as of `write`."""
        sizes, kind, count = place_of(shape, dtype)
        return array_of(self.backend.read(self.number, self._check(address, count), count), sizes, kind)

    def load(self, address: int, array: NDArray[Any]) -> None:
        """Put an array's elements into the HBM devices themselves, in C order: no clock passes, whatever its size.

        Raises
        ------
        UserError
            As of `write`, and if it is not for HBM, or a queue has work.
        """
        data = bytes_of(array)
        self.backend.load(self.number, self._unreserved(self._check_direct(address, len(data)), len(data)), data)

    def dump(self, address: int, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """The array that stands in the HBM devices; as `load`."""
        sizes, kind, count = place_of(shape, dtype)
        return array_of(self.backend.dump(self.number, self._check_direct(address, count), count), sizes, kind)

    def scratchpad(self, address: int = 0, unit: int = 0) -> int:
        """The chip's address of a byte of a scratchpad.

        Raises
        ------
        UserError
            If there is no such unit or byte.
        """
        self._unit(unit)
        size = self.config.scratchpad.capacity
        if not 0 <= whole("address", address) < size:
            raise UserError(f"address {address:#x} of a scratchpad: give 0 to {size - 1:#x}")
        return SCRATCHPAD | unit << UNIT_BITS | address

    def submit(self, queue: str, program: Sequence[Command]) -> None:
        """Put commands into a queue; they begin at once."""
        self.backend.submit(self.number, queue, program)

    def wait(self, limit: int = LIMIT) -> None:
        """Run until all queues are empty.

        Raises
        ------
        CommandError
            If a command is refused or fails.
        SimulationError
            If there is work left after ``limit`` cycles.
        """
        self.backend.wait(whole("limit", limit, 0))

    @property
    def registers(self) -> RegisterFile:
        """The chip's registers by their names, counters and errors among them; as in docs/registers.md.

        Raises
        ------
        UserError
            If the backend has none.
        """
        try:
            found: Sequence[RegisterFile] = self.backend.registers  # type: ignore[attr-defined]
        except AttributeError:
            raise UserError("registers and records need a backend in which time passes: rtl or model") from None
        return found[self.number]

    def counters(self, unit: int = 0) -> dict[str, dict[str, int]]:
        """Where the cycles of a compute unit went, from the reset on: of each engine the cycles of each cause, and the
        tile's events; modulo 2**32.

        All are taken in one clock, so the causes of each engine add up to the same number.

        Raises
        ------
        UserError
            If there is no such unit, or the backend has no registers.
        """
        registers = self.registers
        registers["engines.unit"] = self._unit(unit)
        registers["engines.freeze"] = 1
        found: dict[str, dict[str, int]] = {}
        for name in registers.names():
            block, engine, *cause = name.split(".")
            if block == "engines" and cause:
                found.setdefault(engine, {})[cause[0]] = registers[name]
        return found

    def _unit(self, unit: int) -> int:
        if not 0 <= whole("unit", unit) < self.config.compute_units:
            raise UserError(f"unit {unit}: give 0 to {self.config.compute_units - 1}")
        return unit

    def semaphore(self, number: int) -> int:
        """What a semaphore has: how far queues have come."""
        return self.backend.semaphore(self.number, self._semaphore(number))

    def signal(self, number: int, value: int = 1) -> None:
        """Add to a semaphore, as a command does that ends: let queues go on that wait for the host.

        Raises
        ------
        UserError
            If it would have more than 65,535: unlike a command, the host does not wait until it fits.
        """
        if whole("value", value, 0) > MOST_VALUE:
            raise UserError(f"value = {value}: give at most {MOST_VALUE}")
        if (has := self.semaphore(number)) + value > MOST_VALUE:
            raise UserError(
                f"semaphore {number} has {has}: {value} more are more than {MOST_VALUE}; let it be waited for"
            )
        self.backend.signal(self.number, self._semaphore(number), value)

    def wait_for(self, number: int, value: int = 1, limit: int = LIMIT) -> None:
        """Run until a semaphore has at least a value, which stays there; errors as of `wait`."""
        whole("value", value, 0)
        self.backend.wait_for(self.number, self._semaphore(number), value, whole("limit", limit, 0))

    def _semaphore(self, number: int) -> int:
        if not 0 <= whole("semaphore", number) < self.config.command.semaphores:
            raise UserError(f"semaphore {number}: give 0 to {self.config.command.semaphores - 1}")
        return number

    def restart(self, queue: str) -> None:
        """Let a queue that a bad command has stopped forget all it had, and go on with what is submitted next."""
        self.backend.restart(self.number, queue)

    def close(self) -> None:
        """End the backend, of all chips that it runs."""
        if self._backend is not None:
            self._backend.close()
        for each in self.together:
            each._backend = None

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check_direct(self, address: int, count: int) -> int:
        if whole("address", address) & SCRATCHPAD:
            raise UserError(f"address {address:#x} is in a scratchpad: give one in HBM, or take write and read")
        return self._check(address, count)

    def _unreserved(self, address: int, count: int) -> int:
        own = self.backend.reserved
        if count and address < own.stop and address + count > own.start:
            raise UserError(
                f"{count} bytes at {address:#x}: the driver's rings of commands are at {own.start:#x} to "
                f"{own.stop - 1:#x}; give other addresses"
            )
        return address

    def _check(self, address: int, count: int) -> int:
        """The address of so many bytes, if they are there."""
        address = whole("address", address)
        unit, place = divmod(address - SCRATCHPAD, 1 << UNIT_BITS)
        if address < SCRATCHPAD:
            place, size, what = address, self.config.hbm.capacity, "memory"
        else:
            size, what = self.config.scratchpad.capacity, f"the scratchpad of compute unit {unit}"
            units = self.config.compute_units
            if unit >= units:
                raise UserError(f"address {address:#x}: there is no compute unit {unit}: give 0 to {units - 1}")
        if place < 0 or place + count > size:
            first = address - place
            raise UserError(f"{count} bytes at {address:#x}: {what} has {first:#x} to {first + size - 1:#x}")
        return address


class Cluster:
    """Chips that are linked.

    Parameters
    ----------
    config : ChipConfig, str or Path, or a sequence of them
        Of each chip; a list says how many there are: ``["tiny", "tiny"]``. They are all alike.
    topology : Topology
        By default two chips face to face, or of more a ring.
    backend : str or Backend
        As of `Device`.
    build_root : Path

    Raises
    ------
    UserError
        If one of them cannot be, or the chips have not the ports for it.
    """

    def __init__(
        self,
        config: ChipConfig | str | Path | Sequence[ChipConfig | str | Path] = "demo",
        topology: Topology | None = None,
        backend: str | Backend = "rtl",
        *,
        build_root: Path = Path("build"),
    ) -> None:
        alone = isinstance(config, ChipConfig | str | Path) or not isinstance(config, Sequence)
        chips = [chip_of(each) for each in ([config] if alone else config)]  # type: ignore[union-attr]
        if topology is None:
            count = PAIR if alone else len(chips)
            if count < PAIR:
                raise UserError(f"a cluster of {count} chips: give {PAIR} or more; Device is one")
            topology = pair() if count == PAIR else ring(count)
        elif not isinstance(topology, Topology):
            raise UserError(f"topology {topology!r}: give one of openppu.link.topology, such as ring(4)")
        elif not alone and len(chips) != topology.chips:
            raise UserError(f"{len(chips)} chips: topology {topology.name} has {topology.chips}")
        chip = chips[0]
        if any(each != chip for each in chips):
            raise UserError("the chips of a cluster are alike: give one configuration for all")
        if topology.ports > chip.link.ports:
            raise UserError(
                f"topology {topology.name} needs {topology.ports} ports of a chip, {chip.name} has {chip.link.ports}: "
                f"set link.ports={topology.ports}"
            )
        made = _backend(backend, chip, topology, build_root)
        self.devices = [Device(chip, made, number=number) for number in range(topology.chips)]
        for device in self.devices:
            device.together = self.devices

    @property
    def backend(self) -> Backend:
        """What runs the chips, as long as the cluster is not closed."""
        return self.devices[0].backend

    def __getitem__(self, number: int) -> Device:
        if not -len(self) <= whole("chip", number) < len(self):
            raise IndexError(f"chip {number}: there are chips 0 to {len(self) - 1}")
        return self.devices[number]

    def __len__(self) -> int:
        return len(self.devices)

    def wait(self, limit: int = LIMIT) -> None:
        """As of `Device.wait`: all chips."""
        self.backend.wait(whole("limit", limit, 0))

    def close(self) -> None:
        """End the backend."""
        self.devices[0].close()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _backend(backend: str | Backend, chip: ChipConfig, topology: Topology | None, build_root: Path) -> Backend:
    """The one of a name, or what is given."""
    if isinstance(backend, str):
        return open_backend(backend, chip, topology, build_root)
    if not callable(getattr(backend, "submit", None)):
        raise UserError(f"backend {backend!r}: give the name of one, or a Backend")
    return backend


def chip_of(config: object) -> ChipConfig:
    """The chip that a preset's name, a file or a configuration is.

    Raises
    ------
    UserError or ConfigError
    """
    if isinstance(config, ChipConfig):
        return config
    if isinstance(config, str | Path):
        return load(str(config))
    raise UserError(
        f"config {config!r}: give a preset ({', '.join(presets())}), a TOML file, or what openppu.config.load gives"
    )
