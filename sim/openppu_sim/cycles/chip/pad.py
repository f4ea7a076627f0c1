"""A scratchpad's banks, and the engines that share them."""

from collections.abc import Callable, Sequence

from openppu.chip.compute_unit import PORTS
from openppu.scratchpad.config import ScratchpadConfig

from openppu_sim.cycles.chip.events import TURNS, Alarm, Events
from openppu_sim.cycles.turns import Ask, Turns

MATMUL, VECTOR, LOAD, STORE, OUTSIDE = 0, 4, 7, 8, PORTS - 1
"""The first port of each engine, and that of the rest of the chip."""


class Pad:
    """Takes the requests that stand, in the ports' turns, once all its words have been set to zero.

    Parameters
    ----------
    config : ScratchpadConfig
    events : Events
    """

    def __init__(self, config: ScratchpadConfig, events: Events) -> None:
        self.events = events
        self.bank_words = config.bank_words
        self.bank_bytes = config.bank_words * config.word_bytes
        banks = config.banks + 1  # the last one: the accumulators, as the vector unit's model has them
        self.turns = Turns(banks, [Ask() for _ in range(PORTS)], begin=events.now + config.bank_words)
        self._settle: dict[Ask, Callable[[], None]] = {}
        self._alarm = Alarm(events, self._step, TURNS)

    def join(self, port: int, asks: Sequence[Ask], settle: Callable[[], None]) -> None:
        """An engine's ports from ``port`` on; ``settle`` is called when some of its requests have been taken."""
        self.turns.asks[port : port + len(asks)] = asks
        self._settle.update(dict.fromkeys(asks, settle))

    def look(self) -> None:
        """Something may have begun to ask."""
        self._alarm.set(self.turns.next)

    def _step(self, clock: int) -> int:
        settles = {self._settle[ask] for ask in self.turns.step(clock)}
        for settle in settles:
            settle()
        return max(self.turns.next, clock + 1)
