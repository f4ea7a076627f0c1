"""Chips as Python has them: memory as numpy arrays, queues that take programs."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from openppu.config import ChipConfig, load
from openppu.link.topology import Topology, pair

from openppu_sim.device.backend import Backend, open_backend
from openppu_sim.errors import UserError
from openppu_sim.program.command import Command

SCRATCHPAD = 1 << 39
UNIT_BITS = 24
LIMIT = 50_000_000


class Device:
    """A chip.

    Parameters
    ----------
    config : ChipConfig or str
        Or a preset's name.
    backend : str or Backend
        ``rtl``: the Verilated chip.
    number : int
        Which of the backend's chips.
    build_root : Path
        Folder of all that is generated.
    """

    def __init__(
        self,
        config: ChipConfig | str = "demo",
        backend: str | Backend = "rtl",
        *,
        number: int = 0,
        build_root: Path = Path("build"),
    ) -> None:
        self.config = load(config) if isinstance(config, str) else config
        self.backend = open_backend(backend, self.config, None, build_root) if isinstance(backend, str) else backend
        self.number = number

    @property
    def cycles(self) -> int:
        """Since the reset."""
        return self.backend.cycles

    def write(self, address: int, array: NDArray[Any]) -> None:
        """Put an array's elements into memory, in C order.

        Raises
        ------
        UserError
            If it does not fit.
        """
        data = np.ascontiguousarray(array).tobytes()
        self._check(address, len(data))
        self.backend.write(self.number, address, data)

    def read(self, address: int, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """The array that stands in memory; errors as of `write`."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        self._check(address, count * kind.itemsize)
        return np.frombuffer(self.backend.read(self.number, address, count * kind.itemsize), kind).reshape(shape).copy()

    def load(self, address: int, array: NDArray[Any]) -> None:
        """Put an array's elements into the HBM devices themselves, in C order: no clock passes, whatever its size.

        Raises
        ------
        UserError
            If it does not fit, is not for HBM, or a queue has work.
        """
        data = np.ascontiguousarray(array).tobytes()
        self._check_direct(address, len(data))
        self.backend.load(self.number, address, data)

    def dump(self, address: int, shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """The array that stands in the HBM devices; as `load`."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape)) * kind.itemsize
        self._check_direct(address, count)
        return np.frombuffer(self.backend.dump(self.number, address, count), kind).reshape(shape).copy()

    def scratchpad(self, address: int = 0, unit: int = 0) -> int:
        """The chip's address of a byte of a scratchpad."""
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
        self.backend.wait(limit)

    def close(self) -> None:
        """End the backend."""
        self.backend.close()

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check_direct(self, address: int, count: int) -> None:
        if address & SCRATCHPAD:
            raise UserError(f"address {address:#x} is in a scratchpad: give one in HBM, or take write and read")
        self._check(address, count)

    def _check(self, address: int, count: int) -> None:
        size = self.config.hbm.capacity
        if address & SCRATCHPAD:
            size = self.config.scratchpad.capacity
            unit, place = divmod(address ^ SCRATCHPAD, 1 << UNIT_BITS)
            if unit >= self.config.compute_units:
                raise UserError(f"address {address:#x}: there is no compute unit {unit}")
        else:
            place = address
        if place < 0 or place + count > size:
            raise UserError(f"{count} bytes at {address:#x}: there are {size} bytes")


class Cluster:
    """Chips that are linked.

    Parameters
    ----------
    config : ChipConfig or str
        Of each.
    topology : Topology
        By default two chips.
    backend : str
    build_root : Path
    """

    def __init__(
        self,
        config: ChipConfig | str = "demo",
        topology: Topology | None = None,
        backend: str = "rtl",
        *,
        build_root: Path = Path("build"),
    ) -> None:
        chip = load(config) if isinstance(config, str) else config
        topology = topology or pair()
        self.backend = open_backend(backend, chip, topology, build_root)
        self.devices = [Device(chip, self.backend, number=number) for number in range(topology.chips)]

    def __getitem__(self, number: int) -> Device:
        return self.devices[number]

    def __len__(self) -> int:
        return len(self.devices)

    def wait(self, limit: int = LIMIT) -> None:
        """As of `Device.wait`: all chips."""
        self.backend.wait(limit)

    def close(self) -> None:
        """End the backend."""
        self.backend.close()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
