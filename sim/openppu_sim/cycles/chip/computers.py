"""The engines that compute, on a chip: their cycle models, fed as commands come."""

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig

from openppu_sim.cycles.chip.events import LATE, Events
from openppu_sim.cycles.chip.pad import MATMUL, VECTOR, Pad
from openppu_sim.cycles.matmul_ports import MatmulPorts
from openppu_sim.cycles.vector import VectorCycles
from openppu_sim.kernels.vector.commands import from_fields
from openppu_sim.lowering.matmul import MatmulCommand

Does = Callable[[str, Mapping[str, int]], int]
"""Does a command, and says with which error it ends."""

Offer = tuple[str, Mapping[str, int], Callable[[], None]]
"""As of `openppu_sim.cycles.chip.queue.Engine.offer`."""


class Multiplier:
    """A matmul engine.

    Parameters
    ----------
    config : ChipConfig
    events : Events
    does : Does
        The reference.
    pad : Pad
        The scratchpad.
    """

    def __init__(self, config: ChipConfig, events: Events, does: Does, pad: Pad) -> None:
        self.events, self.does, self.pad = events, does, pad
        self.engine = MatmulPorts(config, hears=False, begin=events.now, now=lambda: events.now)
        self.account = self.engine.account
        self.offered: Offer | None = None
        self.errors: deque[int] = deque()
        self.told = 0
        self.ended: Callable[[int], None] = lambda error: None
        pad.join(MATMUL, self.engine.asks, self._settle)

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.offered = (name, fields, taken)
        self._look()

    def heard(self) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.engine.hear(self.events.now)
        self._look()

    def _settle(self) -> None:
        self.engine.settle()
        self._look()

    def _look(self) -> None:
        """What has become known: that a command can be taken, that one ends."""
        engine, events = self.engine, self.events
        while self.told < engine.finished.count:
            error = self.errors.popleft()
            events.at(engine.finished[self.told], lambda error=error: self.ended(error), LATE)  # type: ignore[misc]
            self.told += 1
        known = engine.dispatched.count
        if self.offered is not None and known == engine.works.count:
            offer, self.offered = self.offered, None
            events.at(max(events.now, engine.dispatched[known - 1] if known else 0), lambda: self._take(offer))

    def _take(self, offer: Offer) -> None:
        name, fields, taken = offer
        error = self.does(name, fields)
        self.errors.append(error)
        self.engine.take(MatmulCommand(**fields), error != 0, self.events.now)
        self._look()
        self.pad.look()
        taken()


class Calculator:
    """A vector unit, as `Multiplier`.

    Parameters
    ----------
    config, events, does, pad
        As of `Multiplier`.
    words : ndarray of uint8
        What is in the scratchpad, for the programs in it.
    """

    def __init__(self, config: ChipConfig, events: Events, does: Does, pad: Pad, words: NDArray[np.uint8]) -> None:
        self.events, self.does, self.pad, self.words = events, does, pad, words
        self.engine = VectorCycles(config, begin=events.now, now=lambda: events.now)
        self.account = self.engine.account
        self.offered: Offer | None = None
        self.busy = self.ends = False
        self.free_at = 0
        self.ended: Callable[[int], None] = lambda error: None
        pad.join(VECTOR, self.engine.asks, self._settle)

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.offered = (name, fields, taken)
        self._look()

    def heard(self) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.busy, self.free_at = False, self.events.now + 1
        self.engine.told(self.events.now)
        self._look()

    def _look(self) -> None:
        if self.offered is not None and not self.busy:
            offer, self.offered = self.offered, None
            self.events.at(max(self.events.now, self.free_at), lambda: self._take(offer))

    def _take(self, offer: Offer) -> None:
        name, fields, taken = offer
        now = self.events.now
        error = self.does(name, fields)
        self.busy, self.ends = True, False
        if error:
            self._end(self.engine.refuse(now), error)
        else:
            self.engine.begin(from_fields(name, fields), self.words, now)
            self.pad.look()
            if self.engine.end is not None:
                self._end(self.engine.end, 0)
        taken()

    def _settle(self) -> None:
        self.engine.settle()
        if not self.ends and self.engine.end is not None:
            self._end(self.engine.end, 0)

    def _end(self, clock: int, error: int) -> None:
        self.ends = True
        self.events.at(clock, lambda: self.ended(error))
