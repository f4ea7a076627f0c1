"""A backend without time: what commands do, by the numpy references of the engines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from openppu.chip.chip import queues_of
from openppu.command.instructions import instructions
from openppu.config import ChipConfig
from openppu.formats.operand import formats_named
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Opcode
from openppu.link.topology import Topology
from openppu.link.unit.instructions import COLLECTIVE
from openppu.matmul.sizes import Sizes

from openppu_sim.checks import some
from openppu_sim.device.backend import CommandError
from openppu_sim.errors import SimulationError, UserError
from openppu_sim.kernels.vector.commands import from_fields
from openppu_sim.lowering.matmul import Ending, MatmulCommand
from openppu_sim.program.command import Command
from openppu_sim.program.encode import encode_program
from openppu_sim.program.text import print_command
from openppu_sim.reference import dma
from openppu_sim.reference.collective_programs import Engines, end_of, fault, read_instruction
from openppu_sim.reference.command import Engine, Interpreter, Queue
from openppu_sim.reference.matmul_engine import MatmulEngineReference
from openppu_sim.reference.vector import VectorReference

SCRATCHPAD = 1 << 39
UNIT_BITS = 24
MOST_MEMORY = 1 << 36
"""Bytes of a chip's memory that are kept, at most; the operating system gives room only to what is touched."""


class ReferenceChip:
    """A chip's memories, and the engines on them.

    Raises
    ------
    UserError
        If there is more memory than it keeps.
    ConfigError
        If there is no hardware of this chip.
    """

    def __init__(self, chip: ChipConfig) -> None:
        Sizes.of(chip)
        if chip.hbm.capacity > MOST_MEMORY:
            raise UserError(f"backend reference: {chip.hbm.capacity} bytes of memory; it keeps {MOST_MEMORY} at most")
        self.chip = chip
        self.memory = np.zeros(chip.hbm.capacity, np.uint8)
        self.pads = [np.zeros(chip.scratchpad.capacity, np.uint8) for _ in range(chip.compute_units)]
        self.multipliers = [MatmulEngineReference(chip, pad) for pad in self.pads]
        self.queues = queues_of(chip)
        self.sent: list[tuple[int, int, bytes]] = []
        """Chip, address, bytes of what goes to others."""
        self.collective: CollectivePart | None = None
        """Its part of the collective engines, if there are other chips."""
        formats = tuple(fmt for fmt in formats_named(chip.tile.formats) if fmt.is_float)
        self._does: dict[str, Engine] = {}
        for number, (name, engine) in enumerate(self.queues):
            unit = number // 4
            if engine in ("load", "store"):
                self._does[name] = self._copier(unit, store=engine == "store", formats=formats)
            elif engine == "matmul":
                self._does[name] = self._multiplier(unit)
            elif engine == "vector":
                self._does[name] = self._vector(unit)
            else:
                self._does[name] = self._link

    def _copier(self, unit: int, *, store: bool, formats: tuple) -> Engine:
        def do(name: str, fields: Mapping[str, int]) -> int:
            memories = dma.Memories(self.memory, self.pads[unit], self.pads)
            units = self.chip.compute_units
            error: Any = dma.run(name, fields, memories, store=store, formats=formats, compute_units=units).error
            return int(Ending[error.name])

        return do

    def _multiplier(self, unit: int) -> Engine:
        engine = self.multipliers[unit]
        return lambda name, fields: int(engine.run(MatmulCommand(**fields)))

    def _vector(self, unit: int) -> Engine:
        engine = VectorReference(self.chip, self.pads[unit], accumulators=self.multipliers[unit].accumulators)
        return lambda name, fields: int(engine.do(from_fields(name, fields)).value)

    def _link(self, name: str, fields: Mapping[str, int]) -> int | None:
        if name == COLLECTIVE.name:
            return self.collective.take(fields) if self.collective else Ending.LINK
        source, count = fields["source"], fields["bytes"]
        grain = max(32, self.chip.link.beat_bytes)
        if count == 0:
            return Ending.FIELD
        if (source | fields["target"] | count) % grain:
            return Ending.ALIGNMENT
        if not self._has(source, count):
            return Ending.MEMORY if source & SCRATCHPAD else Ending.BOUNDS
        if fields["target"] + count > self.memory.size:  # of the other chip, which is alike; no scratchpad is reached
            return Ending.LINK
        memory, place = self.at(source)
        self.sent.append((fields["chip"], fields["target"], memory[place : place + count].tobytes()))
        return Ending.OKAY

    def _has(self, address: int, count: int) -> bool:
        """Whether so many bytes are there."""
        if not address & SCRATCHPAD:
            return address + count <= self.memory.size
        unit, place = divmod(address ^ SCRATCHPAD, 1 << UNIT_BITS)
        return unit < len(self.pads) and place + count <= self.pads[unit].size

    def at(self, address: int) -> tuple[np.ndarray, int]:
        """The memory that an address is in, and the place there."""
        if address & SCRATCHPAD:
            return self.pads[(address ^ SCRATCHPAD) >> UNIT_BITS], address & ((1 << UNIT_BITS) - 1)
        return self.memory, address

    def engines(self) -> list[Engine]:
        """Of each queue."""
        return [self._does[name] for name, _ in self.queues]


@dataclass
class CollectivePart:
    """A chip's engine of collectives, beside those of the others."""

    engines: Engines
    rank: int
    config: CollectiveConfig
    memory_bytes: int
    ending: bool = False
    """Its END waits for all before it."""

    def take(self, fields: Mapping[str, int]) -> int | None:
        """An instruction: how it ended, or None as long as it waits."""
        if not self.ending:
            instruction = read_instruction(fields)
            if fault(instruction, self.config) or end_of(instruction, self.config) > self.memory_bytes:
                return Ending.LINK
            self.engines.add(self.rank, instruction)
            self.ending = instruction.opcode == Opcode.END
        elif not self.engines.left(self.rank):
            self.ending = False
        return None if self.ending else Ending.OKAY


class Reference:
    """The backend ``reference``: chips that do what their queues say, in no time."""

    def __init__(self, chip: ChipConfig, topology: Topology | None, build_root: Path) -> None:
        self.chip = chip
        self.instructions = instructions()
        self.chips = [ReferenceChip(chip) for _ in range(topology.chips if topology else 1)]
        config = chip.command
        self.machines = [
            Interpreter(
                self.instructions,
                [[] for _ in each.queues],
                each.engines(),
                kinds=[kind for _, kind in each.queues],
                semaphores=config.semaphores,
                buffer=config.buffer,
                loops=config.loops,
            )
            for each in self.chips
        ]
        """Of each chip: its queues, address registers and semaphores, from the reset on."""
        self.collectives: Engines | None = None
        if topology and chip.link.ports:
            link = CollectiveConfig(link=chip.link)
            self.collectives = Engines([each.memory for each in self.chips], topology.peers, link, most=link.window)
            for rank, each in enumerate(self.chips):
                each.collective = CollectivePart(self.collectives, rank, link, each.memory.size)

    @property
    def cycles(self) -> int:
        """Always 0."""
        return 0

    @property
    def reserved(self) -> range:
        """No addresses."""
        return range(0)

    def read(self, chip: int, address: int, count: int) -> bytes:
        """Bytes of a chip's memory."""
        memory, place = self.chips[chip].at(address)
        return memory[place : place + count].tobytes()

    def write(self, chip: int, address: int, data: bytes) -> None:
        """Write bytes to a chip's memory."""
        memory, place = self.chips[chip].at(address)
        memory[place : place + len(data)] = np.frombuffer(data, np.uint8)

    load, dump = write, read

    def submit(self, chip: int, queue: str, program: Sequence[Command]) -> None:
        """Put commands into a queue."""
        place = self._queue(chip, queue)
        encode_program(program, self.instructions, chips=len(self.chips), semaphores=self.chip.command.semaphores)
        place.program += program

    def wait(self, limit: int) -> None:
        """Run all queues to their ends; errors as of `openppu_sim.device.backend.Backend`."""
        self._run()
        if left := self._left():
            raise SimulationError(f"nothing can go on, and there is still work in: {', '.join(left)}")

    def semaphore(self, chip: int, number: int) -> int:
        """What a semaphore has."""
        return self.machines[chip].values[number]

    def signal(self, chip: int, number: int, value: int) -> None:
        """Add to a semaphore."""
        self.machines[chip].values[number] += value

    def wait_for(self, chip: int, number: int, value: int, limit: int) -> None:
        """Run all queues as far as they come; errors as of `openppu_sim.device.backend.Backend`."""
        self._run()
        has = self.semaphore(chip, number)
        if has < value:
            left = self._left()
            rest = f"there is still work in: {', '.join(left)}" if left else "all queues are empty"
            raise SimulationError(f"semaphore {number} of chip {chip} has {has}, not {value}, and {rest}")

    def _left(self) -> list[str]:
        """The queues that have work left."""
        return [
            f"chip {number} {name}"
            for number, (chip, machine) in enumerate(zip(self.chips, self.machines, strict=True))
            for (name, _), queue in zip(chip.queues, machine.queues, strict=True)
            if not queue.ended
        ]

    def _run(self) -> None:
        """Until nothing can go on."""
        moved = True
        while moved:
            moved = False
            for number, (chip, machine) in enumerate(zip(self.chips, self.machines, strict=True)):
                before = [queue.place for queue in machine.queues]
                machine.run()
                moved |= before != [queue.place for queue in machine.queues]
                for other, address, data in chip.sent:
                    self.write(other, address, data)
                chip.sent.clear()
                for other, semaphore, value in machine.remote:
                    self.machines[other].values[semaphore] += value
                    moved = True
                machine.remote.clear()
                self._fail(number, machine)
            if self.collectives:
                moved |= self.collectives.go()

    def restart(self, chip: int, queue: str) -> None:
        """Let a queue that stopped forget what it had, its loops and address registers, and go on."""
        self._queue(chip, queue).restart()

    def _queue(self, chip: int, name: str) -> Queue:
        names = [each for each, _ in self.chips[chip].queues]
        if name not in names:
            raise UserError(f"queue {name!r}: give one of {some(names)}")
        return self.machines[chip].queues[names.index(name)]

    def _fail(self, number: int, machine: Interpreter) -> None:
        for (name, _), queue in zip(self.chips[number].queues, machine.queues, strict=True):
            if queue.error is not None:
                code, place = queue.error
                command = queue.program[place]
                raise CommandError(
                    chip=number,
                    queue=name,
                    error=Ending(code).name,
                    place=place,
                    command=print_command(command, self.instructions) if isinstance(command, Command) else "",
                )

    def close(self) -> None:
        """Nothing is left to end."""
