"""The engines that compute, on a chip: their cycle models, fed as commands come."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openppu.config import ChipConfig

from openppu_sim.cycles.chip.banks import Banks
from openppu_sim.cycles.chip.events import LATE, Events
from openppu_sim.cycles.matmul_engine import EngineCycles
from openppu_sim.cycles.vector import VectorCycles
from openppu_sim.kernels.vector.commands import from_fields
from openppu_sim.lowering.matmul import MatmulCommand

Does = Callable[[str, Mapping[str, int]], int]
"""Does a command, and says with which error it ends."""


class Multiplier:
    """A matmul engine.

    Parameters
    ----------
    config : ChipConfig
    events : Events
    does : Does
        The reference.
    banks : Banks
        Of the scratchpad: what the DMA takes of A's and B's delays the engine.
    """

    def __init__(self, config: ChipConfig, events: Events, does: Does, banks: Banks) -> None:
        self.events, self.does, self.banks = events, does, banks
        self.engine = EngineCycles(config)
        self.flight: deque[_Flight] = deque()
        self.ended: Callable[[int], None] = lambda error: None

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.events.at(max(self.events.now, self.engine.dispatched), lambda: self._take(name, fields, taken))

    def _take(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        if self.events.now < self.engine.dispatched:  # it has turned out later
            self.offer(name, fields, taken)
            return
        error = self.does(name, fields)
        flight = _Flight(MatmulCommand(**fields), error, self.events.now, self.engine.copy())
        self.flight.append(flight)
        self._run(flight)
        if len(self.flight) == 1:
            self.events.at(flight.finished, self._look, LATE)
        taken()

    def _run(self, flight: "_Flight") -> None:
        """Work out when a command ends, as far as the DMA's accesses are known."""
        engine, command = self.engine, flight.command
        engine.dispatched = max(engine.dispatched, flight.taken)
        flight.banks = [self.banks.bank(address) for address in (command.a_address, command.b_address)]
        flight.stolen = [self.banks.since(bank, flight.taken) for bank in flight.banks]
        for operand, bank, stolen in zip((engine.a, engine.b), flight.banks, flight.stolen, strict=True):
            operand.next_free = partial(self.banks.next_free, bank) if stolen else None
        engine.run(command, flight.error != 0)
        engine.a.next_free = engine.b.next_free = None
        flight.finished = engine.finished[-1]
        del engine.finished[:-1], engine.taken[:-1]

    def _look(self) -> None:
        """The oldest command should end now, if the DMA has not had its banks in the meantime."""
        head = self.flight[0]
        if head.stolen != [self.banks.since(bank, head.taken) for bank in head.banks]:
            self.engine = head.before.copy()
            for flight in self.flight:
                flight.before = self.engine.copy()
                self._run(flight)
        if head.finished > self.events.now:
            self.events.at(head.finished, self._look, LATE)
            return
        self.flight.popleft()
        if self.flight:
            self.events.at(max(self.events.now + 1, self.flight[0].finished), self._look, LATE)
        self.ended(head.error)


@dataclass
class _Flight:
    """A command that the matmul engine has, and the engine as it was before."""

    command: MatmulCommand
    error: int
    taken: int
    before: EngineCycles
    finished: int = 0
    banks: list[int] = field(default_factory=list)
    stolen: list[int] = field(default_factory=list)


class Calculator:
    """A vector unit, as `Multiplier`; the scratchpad holds its programs."""

    def __init__(self, config: ChipConfig, events: Events, does: Does, scratchpad: Any) -> None:
        self.events, self.does, self.scratchpad = events, does, scratchpad
        self.engine = VectorCycles(config)
        self.free_at = 0
        self.ended: Callable[[int], None] = lambda error: None

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.events.at(max(self.events.now, self.free_at), lambda: self._take(name, fields, taken))

    def _take(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        now = self.events.now
        before = self.scratchpad.copy() if name == "VECTOR_PROGRAM" else self.scratchpad
        error = self.does(name, fields)
        end = now + (self.engine.refused if error else self.engine.length(from_fields(name, fields), before))
        self.free_at = end + 1
        self.events.at(end, lambda: self.ended(error))
        taken()
