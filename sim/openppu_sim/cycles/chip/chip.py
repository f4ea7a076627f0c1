"""A whole chip in time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from openppu.command.instructions import instructions
from openppu.config import ChipConfig
from openppu.link.collective.config import CollectiveConfig
from openppu.link.topology import Topology

from openppu_sim.cycles.account import Account
from openppu_sim.cycles.chip.computers import Calculator, Multiplier
from openppu_sim.cycles.chip.copiers import Copier
from openppu_sim.cycles.chip.events import Events
from openppu_sim.cycles.chip.link import LinkCycles
from openppu_sim.cycles.chip.network import Initiator, Network
from openppu_sim.cycles.chip.pad import Pad
from openppu_sim.cycles.chip.pad_memory import PadMemory
from openppu_sim.cycles.chip.queue import Engine, QueueCycles
from openppu_sim.cycles.chip.records import RecordsCycles
from openppu_sim.cycles.chip.semaphores import SemaphoreCycles
from openppu_sim.cycles.chip.share import Share
from openppu_sim.cycles.tile_account import TileAccount
from openppu_sim.device.reference import CollectivePart, ReferenceChip
from openppu_sim.program.command import Command
from openppu_sim.reference import dma as reference
from openppu_sim.reference.collective_programs import Engines
from openppu_sim.reference.command import Interpreter

RESET = 4
"""Clocks of the reset: what a chip counts begins behind it."""

MEMORY_START = 328
"""The clock in which memory begins to count its refreshes, in a chip as it is simulated: behind the reset three times
33 clocks, 19 of training, and 13 for each of 16 mode registers."""

MEMORY_OPENS = 3
"""Clocks from then to the first request that it takes."""


@dataclass(frozen=True)
class Waited:
    """A queue's wait for a semaphore."""

    queue: str
    semaphore: int
    begun: int
    ended: int


class ChipCycles:
    """A chip: what its queues' commands do, by the references, and when, by the cycle models.

    A command's effects are there as soon as its engine has it; so programs are right only if their commands wait for
    what they need and for what they overwrite.

    Parameters
    ----------
    config : ChipConfig
    events : Events
        All chips share them.
    number : int
        Which chip it is.
    """

    def __init__(self, config: ChipConfig, events: Events, number: int = 0) -> None:
        self.config, self.events, self.number = config, events, number
        self.reset = RESET
        self.chips: tuple[ChipCycles, ...] = (self,)
        """All that are linked."""
        self.link: LinkCycles | None = None
        self.instructions = instructions()
        self.memory = ReferenceChip(config)
        units, per_unit = config.compute_units, 2 * config.dma.channels
        collective = CollectiveConfig(link=config.link) if config.link.ports else None
        link = 1 + collective.ports + len(collective.units) if collective else 0
        self.pads = [Pad(config.scratchpad, events) for _ in range(units)]
        self.network = Network(
            config,
            events,
            2 + units * per_unit + link,
            start=MEMORY_START,
            opens=MEMORY_OPENS,
            pads=[PadMemory(pad) for pad in self.pads],
        )
        initiators = self.network.initiators
        self.share, self.window = Share(initiators[0], len(self.memory.queues) + 1), initiators[1]
        self.semaphores = SemaphoreCycles(config.command.semaphores, events, len(self.memory.queues))
        self.rules = Interpreter(
            self.instructions, [], [], semaphores=config.command.semaphores, loops=config.command.loops
        )
        self.records = RecordsCycles(self, len(self.memory.queues))
        self.waits: list[Waited] = []
        self._judged: dict[tuple[bytes, str], tuple[int, Command]] = {}
        engines = self.memory.engines()
        self.queues: list[QueueCycles] = []
        self.accounts: list[dict[str, Account | TileAccount]] = [{} for _ in range(units)]
        """Of each compute unit, by its engines, where their cycles went."""
        for place, (name, kind) in enumerate(self.memory.queues):
            unit = place // 4
            first = 2 + unit * per_unit
            engine = self._engine(kind, unit, initiators[first:], engines[place])
            self.queues.append(QueueCycles(self, place, name, kind, engine))

    def _engine(self, kind: str, unit: int, initiators: list[Initiator], does: Any) -> Engine:
        config, memory = self.config, self.memory
        if kind == "link":
            self.link = LinkCycles(config, self.events, does)
            return self.link
        engine: Copier | Multiplier | Calculator
        if kind in ("load", "store"):
            store = kind == "store"
            memories = reference.Memories(memory.memory, memory.pads[unit], memory.pads)
            own = initiators[config.dma.channels if store else 0]
            engine = Copier(config, self.events, own, memories, self.pads[unit], store=store)
        elif kind == "matmul":
            engine = Multiplier(config, self.events, does, self.pads[unit])
        else:
            engine = Calculator(config, self.events, does, self.pads[unit], memory.pads[unit])
        self.accounts[unit][kind] = engine.account
        return engine

    def image(self, address: int, count: int) -> bytes:
        """Bytes of memory as they are now."""
        memory, place = self.memory.at(address)
        return memory[place : place + count].tobytes()

    def write(self, address: int, data: bytes) -> None:
        """Write bytes to memory."""
        memory, place = self.memory.at(address)
        memory[place : place + len(data)] = np.frombuffer(data, np.uint8)

    def judged(self, raw: bytes, kind: str) -> tuple[int, Command]:
        """What is wrong with the 64 bytes of a command of an engine's queue, and the command, as far as it is one."""
        key = (raw, kind)
        if key not in self._judged:
            error, command = self.rules.judge(raw, kind)
            self._judged[key] = (error, command or Command(name="NOTHING", tag=int.from_bytes(raw[8:10], "little")))
        return self._judged[key]

    def waited(self, queue: QueueCycles, semaphore: int, since: int) -> None:
        """A queue has waited."""
        self.waits.append(Waited(queue.name, semaphore, since, self.events.now))

    def remote(self, chip: int, semaphore: int, value: int, taken: Callable[[], None]) -> None:
        """Signal another chip, if there is one of that number."""
        events = self.events
        events.at(events.now + 1, taken)
        if self.link is not None and chip < len(self.chips):
            others = self.chips[chip].semaphores
            self.link.signal(lambda: others.signal(others.others, semaphore, value, lambda: None))

    def deliver(self) -> None:
        """What the reference of the link has for other chips goes to their memories."""
        for other, address, data in self.memory.sent:
            if other < len(self.chips):
                self.chips[other].write(address, data)
        self.memory.sent.clear()

    @property
    def busy(self) -> bool:
        """Some queue has work left."""
        return any(queue.busy for queue in self.queues)


def join(chips: Sequence[ChipCycles], topology: Topology) -> None:
    """Link chips."""
    config = CollectiveConfig(link=chips[0].config.link)
    engines = Engines([chip.memory.memory for chip in chips], topology.peers, config, most=config.window)
    for number, chip in enumerate(chips):
        chip.chips = tuple(chips)
        chip.memory.collective = CollectivePart(engines, number, config, chip.memory.memory.size)
        link = chip.link
        if link is not None:
            link.sent, link.go = chip.deliver, engines.go
            peers: list[tuple[LinkCycles, int] | None] = []
            for peer in topology.peers[number]:
                other = chips[peer[0]].link if peer is not None else None
                peers.append((other, peer[1]) if peer is not None and other is not None else None)
            link.peers = peers
