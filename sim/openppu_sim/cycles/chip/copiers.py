"""The DMA's engines on a chip: their cycle models, stepped through while something moves."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from openppu.config import ChipConfig
from openppu.dma.cause import Cause

from openppu_sim.cycles import dma
from openppu_sim.cycles.account import Account
from openppu_sim.cycles.chip.events import EARLY, LAST, LATE, Events
from openppu_sim.cycles.chip.network import Initiator
from openppu_sim.cycles.chip.pad import LOAD, STORE, Pad
from openppu_sim.cycles.dma_engine import SETTLED, LoadCycles, Put, StoreCycles
from openppu_sim.cycles.turns import NEVER, Ask
from openppu_sim.reference import dma as reference


class _Reads(dma.Memory):
    def __init__(self, config: ChipConfig, initiator: Initiator, wake: Callable[[int], None]) -> None:
        super().__init__(config)
        self.initiator, self.wake = initiator, wake
        self.events = initiator.network.events

    def send(self, now: int, word: int, count: int, tag: int) -> bool:
        if not self.initiator.free:
            return False
        pieces = deque([count])

        def told(first: int, words: int) -> None:
            self.there.extend(range(first + 2, first + 2 + words))
            pieces[0] -= words
            if not pieces[0]:
                self.events.at(first + words, lambda: self._last(tag), EARLY)
            self.wake(first + 2)

        self.initiator.ask(word, count, told, write=False, tag=tag)
        return True

    def _last(self, tag: int) -> None:
        self.queued[tag] -= 1
        self.wake(self.events.now)

    def answer(self, now: int) -> None:
        """Words come by themselves."""


class _Writes(Put):
    def __init__(self, config: ChipConfig, initiator: Initiator, wake: Callable[[int], None]) -> None:
        super().__init__(config)
        self.initiator, self.wake = initiator, wake
        self.events = initiator.network.events

    def send(self, now: int, word: int, count: int, tag: int, command: int, masked: bool) -> bool:
        if not self.initiator.free:
            return False

        def told(clock: int, _: int) -> None:
            self.events.at(clock + 1, lambda: self._done(tag, command), EARLY)

        self.initiator.ask(word, count, told, write=True, tag=tag, masked=masked)
        return True

    def _done(self, tag: int, command: int) -> None:
        self.acknowledge(tag, command)
        self.wake(self.events.now)

    def send_word(self, now: int) -> bool:
        if not self.initiator.word_free:
            return False
        self.initiator.give()
        return True

    def answer(self, now: int) -> None:
        """Acknowledges come by themselves."""


class Copier:
    """The load or the store engine of a compute unit.

    Parameters
    ----------
    config : ChipConfig
    events : Events
    initiator : Initiator
    memories : Memories
        Of the reference, which is what is copied.
    pad : Pad
        The scratchpad.
    store : bool
    """

    def __init__(
        self,
        config: ChipConfig,
        events: Events,
        initiator: Initiator,
        memories: reference.Memories,
        pad: Pad,
        *,
        store: bool,
    ) -> None:
        self.config, self.events, self.memories, self.store = config, events, memories, store
        self.pad = pad
        self.ask = Ask(self._given)
        self.free = False
        pad.join(STORE if store else LOAD, [self.ask], lambda: None)
        self.due = self.stepped = -1
        engine: LoadCycles | StoreCycles
        if store:
            engine = StoreCycles(config, [], _Writes(config, initiator, self._wake))
        else:
            engine = LoadCycles(config, [], _Reads(config, initiator, self._wake))
        self.engine = engine
        self.account = Account(Cause, Cause.IDLE, begin=events.now, now=lambda: events.now)
        self.inside = 0
        """Commands that are offered, or whose end is not taken yet."""
        self.jobs = engine.front.jobs
        self.errors: deque[int] = deque()
        self.tells = False
        self.taken: Callable[[], None] | None = None
        self.ended: Callable[[int], None] = lambda error: None
        initiator.on_free = lambda: self._wake(self.events.now)

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """A command is offered from now on; ``taken`` is called in the clock in which it is taken."""
        (job,) = dma.jobs_of(self.config, [(name, fields)], self.memories, store=self.store)
        self.errors.append(job.error)
        self.jobs.append(job)
        self.inside += 1
        self.taken = taken
        self.engine.moved = self.events.now
        self._wake(self.events.now)

    def heard(self) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        self.tells = False
        self.events.at(self.events.now + 1, self._leave, EARLY)
        self.engine.told()
        self._wake(self.events.now)

    def _leave(self) -> None:
        self.inside -= 1
        self._wake(self.events.now)

    def _wake(self, clock: int) -> None:
        clock = max(clock, self.stepped + 1)
        if self.due < 0 or clock < self.due:
            self.due = clock
            self.events.at(clock, lambda: self._cycle(clock), LATE)

    def _given(self, clock: int) -> None:
        self.free = True

    def _cycle(self, clock: int) -> None:
        """The first part of a cycle: what is asked of the scratchpad."""
        if clock != self.due:
            return  # another one came before
        self.due, self.stepped = -1, clock
        engine: Any = self.engine
        if engine.tells and not self.tells:
            self.tells = True
            self.ended(self.errors.popleft())
        wanted = engine.wanted
        self.free = False
        if wanted is None:
            self._end(clock)
            return
        word, merges = wanted
        self.ask.at, self.ask.bank, self.ask.merges = clock, word // self.pad.bank_words, merges
        self.pad.look()
        self.events.at(clock, lambda: self._end(clock), LAST)

    def _end(self, clock: int) -> None:
        """The rest of it."""
        engine: Any = self.engine
        waits = self.ask.at < NEVER
        self.ask.at = NEVER
        engine.cycle(clock, free=self.free)
        cause = engine.cause if self.inside else Cause.IDLE
        self.account.add(self.account.current, clock)
        self.account.add(cause, clock + 1)
        self.account.current = cause
        if self.taken is not None and not self.jobs:
            taken, self.taken = self.taken, None
            taken()
        if waits or clock - engine.moved < SETTLED or not engine.rests:
            self._wake(clock + 1)
        elif not self.store and engine.memory.there and engine.memory.there[0] > clock:
            self._wake(engine.memory.there[0])
