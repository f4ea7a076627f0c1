"""The driver of chips: commands in rings in memory, registers, interrupts."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from openppu.chip.chip import queues_of
from openppu.command.error import Error
from openppu.command.instructions import instructions
from openppu.command.layouts import COMMAND_BYTES
from openppu.config import ChipConfig
from openppu.hbm.settings import Settings
from openppu.host.blocks import blocks
from openppu.link.route_table import table_of
from openppu.link.topology import Topology

from openppu_sim.checks import some
from openppu_sim.device.backend import CommandError
from openppu_sim.device.registers import RegisterFile
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.program.command import Command
from openppu_sim.program.encode import encode_program
from openppu_sim.program.text import print_command

LOG2 = 8
"""Of a ring's commands, by default."""

RECORDS = 1 << 19
"""Bytes at the end of memory that are for records; the rings are before them."""

STEP = 2_000
"""Cycles between two looks at the queues."""

SETTLE = 2 * Settings.age_limit
"""Cycles after which no memory controller holds a write: twice what it may wait for others."""


def rings_base(chip: ChipConfig) -> int:
    """The first byte of memory that rings or records take: the last MiB, more if there are more than 32 queues."""
    rings = len(queues_of(chip)) * (COMMAND_BYTES << LOG2)
    return chip.hbm.capacity - RECORDS - max(rings, RECORDS)


class Hardware(Protocol):
    """Chips whose memory and registers can be reached, and that run when they are told to."""

    def read(self, chip: int, address: int, count: int) -> bytes: ...
    def write(self, chip: int, address: int, data: bytes) -> None: ...
    def load(self, chip: int, address: int, data: bytes) -> None: ...
    def dump(self, chip: int, address: int, count: int) -> bytes: ...
    def read_register(self, chip: int, address: int) -> int: ...
    def write_register(self, chip: int, address: int, value: int) -> None: ...
    def run(self, clocks: int, *, until: int = 0) -> int: ...
    def watch_causes(self, chip: int, *, on: bool) -> None: ...
    def causes(self, chip: int, unit: int, engine: str) -> list[tuple[int, int, int]]: ...
    def close(self) -> None: ...
    @property
    def now(self) -> int: ...


class Driver:
    """A backend that runs programs on hardware, as its host would.

    Parameters
    ----------
    hardware : Hardware
    chip : ChipConfig
    topology : Topology, optional
        Of several chips, whose links are brought up.
    rings : int, optional
        Address of the rings, a multiple of 64, in memory or in a scratchpad; by default at the end of memory.
    log2 : int
        Of a ring's commands.
    """

    def __init__(
        self,
        hardware: Hardware,
        chip: ChipConfig,
        topology: Topology | None,
        *,
        rings: int | None = None,
        log2: int = LOG2,
    ) -> None:
        self.hardware, self.chip = hardware, chip
        self.rings = rings_base(chip) if rings is None else rings
        self.log2 = log2
        self.chips = topology.chips if topology else 1
        self.queues = [name for name, _ in queues_of(chip)]
        self.instructions = instructions()
        found = blocks(chip, self.queues)
        self.registers = [
            RegisterFile(
                found,
                read=lambda address, number=number: hardware.read_register(number, address),  # type: ignore[misc]
                write=lambda address, value, number=number: hardware.write_register(  # type: ignore[misc]
                    number, address, value
                ),
            )
            for number in range(self.chips)
        ]
        self._settled = True
        """No controller holds a write."""
        self.watch: Callable[[], None] | None = None
        """Called whenever the queues are looked at, and there is work left."""
        self._tails = [dict.fromkeys(self.queues, 0) for _ in range(self.chips)]
        self._pending: list[dict[str, deque[tuple[Command | bytes, bytes]]]] = [
            {queue: deque() for queue in self.queues} for _ in range(self.chips)
        ]
        self._written: list[dict[str, dict[int, Command | bytes]]] = [
            {queue: {} for queue in self.queues} for _ in range(self.chips)
        ]
        self.topology = topology
        for number in range(self.chips):
            self._set_up(number)
        if topology and chip.link.ports:
            self._bring_up()

    def _set_up(self, number: int) -> None:
        """Give a chip that was reset its rings and its neighbours."""
        registers = self.registers[number]
        for queue in self.queues:
            registers[f"command.{queue}.base"] = self._ring(queue)
            registers[f"command.{queue}.log2"] = self.log2
            registers[f"command.{queue}.enable"] = 1
        if self.topology and self.chip.link.ports:
            self._link(number, registers, self.topology)

    def reset(self, chip: int) -> None:
        """Reset a chip in the middle of whatever it does, and forget what its queues had; its memory stays.

        Raises
        ------
        UserError
            If this hardware cannot be reset.
        """
        reset = getattr(self.hardware, "reset", None)
        if reset is None:
            raise UserError("this backend cannot reset a chip; take rtl")
        reset(chip)
        for queue in self.queues:
            self._tails[chip][queue] = 0
            self._pending[chip][queue].clear()
            self._written[chip][queue].clear()
        self._set_up(chip)
        if self.topology and self.chip.link.ports:
            self._bring_up()

    def _ring(self, queue: str) -> int:
        return self.rings + self.queues.index(queue) * (COMMAND_BYTES << self.log2)

    def _link(self, number: int, registers: RegisterFile, topology: Topology) -> None:
        registers["link.chip"] = number
        registers["link.memory_bytes"] = self.chip.hbm.capacity
        for line in table_of(topology, number):
            registers["link.route_role"] = line["role"].value
            registers["link.route_destination"] = line["destination"]
            for field, value in line["route"].items():
                registers[f"link.route_route_{field}"] = int(value)
            registers["link.write_route"] = 1
        peers = 0
        for port, peer in enumerate(topology.peers[number]):
            if peer is None:
                continue
            peers |= peer[0] << 6 * port
            registers[f"collective.stream{port}_direct_valid"] = 1
            registers[f"collective.stream{port}_direct_port"] = port
            registers[f"collective.stream{port}_peer"] = peer[1]
        registers["collective.peers"] = peers

    def _bring_up(self, limit: int = 200_000) -> None:
        ports = range(self.chip.link.ports)
        active = 5
        end = self.hardware.now + limit
        while any(
            registers[f"link.port{port}.physical_state"] != active for registers in self.registers for port in ports
        ):
            if self.hardware.now > end:
                raise SimulationError(f"not all ports are up after {limit} cycles")
            self.hardware.run(STEP)
        self.hardware.run(STEP)

    @property
    def cycles(self) -> int:
        """Since the reset."""
        return self.hardware.now

    @property
    def reserved(self) -> range:
        """Addresses of the rings."""
        return range(self.rings, self.rings + len(self.queues) * (COMMAND_BYTES << self.log2))

    def read(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory."""
        return self.hardware.read(chip, address, count)

    def write(self, chip: int, address: int, data: bytes) -> None:
        """Write bytes to a chip's memory."""
        self._settled = False
        self.hardware.write(chip, address, data)

    def load(self, chip: int, address: int, data: bytes) -> None:
        """Put bytes into a chip's memory devices.

        Raises
        ------
        UserError
            If a queue has work.
        """
        self._settle()
        self.hardware.load(chip, address, data)

    def dump(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory devices; errors as of `load`."""
        self._settle()
        return self.hardware.dump(chip, address, count)

    def _settle(self) -> None:
        """Let what the memory controllers hold be written."""
        if busy := self._look():
            raise UserError(f"memory devices are loaded and dumped at rest: wait; there is work in {', '.join(busy)}")
        if not self._settled:
            self.hardware.run(SETTLE)
            self._settled = True

    def submit(self, chip: int, queue: str, program: Sequence[Command | bytes]) -> None:
        """Put commands into a queue: into its ring as far as there is room, the rest while `wait` runs.

        The 64 bytes of a command are taken as they are, so that what no `Command` can be may be tried.
        """
        self._check(queue)
        # All of them are encoded before any is written.
        images = encode_program(program, self.instructions, chips=self.chips, semaphores=self.chip.command.semaphores)
        self._settled = False
        self._pending[chip][queue].extend(zip(program, images, strict=True))
        self._feed(chip, queue)

    def _check(self, queue: str) -> None:
        if queue not in self.queues:
            raise UserError(f"queue {queue!r}: give one of {some(self.queues)}")

    def written(self, chip: int) -> dict[str, dict[int, Command | bytes]]:
        """Of each queue, the commands that were ever put into its ring, by their places."""
        return self._written[chip]

    def _feed(self, chip: int, queue: str) -> None:
        """Write what there is room for to a queue's ring, and ring its bell."""
        pending, tails = self._pending[chip][queue], self._tails[chip]
        registers = self.registers[chip]
        while pending:
            head = registers[f"command.{queue}.head"] if tails[queue] else 0
            size = 1 << self.log2
            place = tails[queue] % size
            count = min(size - (tails[queue] - head), len(pending), size - place)
            if not count:
                return
            given = [pending.popleft() for _ in range(count)]
            self.write(chip, self._ring(queue) + COMMAND_BYTES * place, b"".join(image for _, image in given))
            self._written[chip][queue] |= {tails[queue] + n: command for n, (command, _) in enumerate(given)}
            tails[queue] += count
            registers[f"command.{queue}.tail"] = tails[queue]

    def feed(self) -> bool:
        """Write what there is room for to the rings; whether there is more."""
        more = False
        for chip, queues in enumerate(self._pending):
            for queue, pending in queues.items():
                if pending:
                    self._feed(chip, queue)
                more |= bool(pending)
        return more

    def wait(self, limit: int) -> None:
        """Run until all queues are empty; errors as of `openppu_sim.device.backend.Backend`."""
        end = self.hardware.now + limit
        while busy := self._look():
            if self.watch is not None:
                self.watch()
            if self.hardware.now >= end:
                raise SimulationError(f"after {limit} cycles there is still work in: {', '.join(busy)}")
            self.hardware.run(min(STEP, end - self.hardware.now))

    def semaphore(self, chip: int, number: int) -> int:
        """What a semaphore has."""
        registers = self.registers[chip]
        registers["command.semaphore"] = number
        return registers["command.value"]

    def signal(self, chip: int, number: int, value: int) -> None:
        """Add to a semaphore."""
        registers = self.registers[chip]
        registers["command.semaphore"] = number
        registers["command.raise"] = value

    def wait_for(self, chip: int, number: int, value: int, limit: int) -> None:
        """Run until a semaphore has at least a value; errors as of `openppu_sim.device.backend.Backend`."""
        end = self.hardware.now + limit
        while self.semaphore(chip, number) < value:
            busy = self._look()
            if self.watch is not None:
                self.watch()
            if self.hardware.now >= end or not busy:
                self.hardware.run(STEP)  # a signal may be on its way
                has = self.semaphore(chip, number)
                if has >= value:
                    return
                left = f"there is still work in: {', '.join(busy)}" if busy else "all queues are empty"
                raise SimulationError(f"semaphore {number} of chip {chip} has {has}, not {value}, and {left}")
            self.hardware.run(min(STEP, end - self.hardware.now))

    def _look(self) -> list[str]:
        """The queues that have work left."""
        busy = []
        for number, registers in enumerate(self.registers):
            for queue in self.queues:
                if not self._tails[number][queue]:
                    continue
                name = f"command.{queue}"
                if registers[f"{name}.stopped"]:
                    self._fail(number, queue, registers)
                if self._pending[number][queue]:
                    self._feed(number, queue)
                if registers[f"{name}.busy"]:
                    waits = f" (for semaphore {registers[f'{name}.semaphore']})" if registers[f"{name}.waiting"] else ""
                    busy.append(f"chip {number} {queue}{waits}")
        return busy

    def restart(self, chip: int, queue: str) -> None:
        """Let a queue that stopped forget what it had, and go on."""
        self._check(queue)
        registers = self.registers[chip]
        self._pending[chip][queue].clear()
        registers["command.restart"] = 1 << self.queues.index(queue)
        self.hardware.run(STEP)
        registers["command.seen"] = 1 << self.queues.index(queue)

    def _fail(self, chip: int, queue: str, registers: RegisterFile) -> None:
        name = f"command.{queue}"
        place = registers[f"{name}.index"]
        command = self._written[chip][queue].get(place)
        raise CommandError(
            chip=chip,
            queue=queue,
            error=Error(registers[f"{name}.error"]).name,
            place=place,
            command=print_command(command, self.instructions) if isinstance(command, Command) else "",
        )

    def close(self) -> None:
        """End the hardware."""
        self.hardware.close()
