"""A queue of commands in time: fetch, sequencer, completion, clock for clock as docs/command-processor.md has them."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from openppu.command.error import Error
from openppu.command.fetch import AT_ONCE
from openppu.command.layouts import COMMAND_BYTES

from openppu_sim.cycles.chip.events import EARLY, LATE
from openppu_sim.program.command import Command

if TYPE_CHECKING:
    from openppu_sim.cycles.chip.chip import ChipCycles

ADDRESSES = 1 << 40
NOTE = 2
"""Clocks from a command's beginning to its note's being at the end of the notes."""


class Engine(Protocol):
    """What a queue's commands go to."""

    ended: Callable[[int], None]
    """Called with the error in the clock from which on an end is told, until it is `heard`."""

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """A command is offered from now on; ``taken`` is called in the clock in which it is taken."""

    def heard(self) -> None:
        """The end that is told is taken in this clock."""


@dataclass
class Note:
    """A command that has begun."""

    command: Command
    place: int
    begun: int
    error: int | None
    """None: the engine says it."""

    opcode: int


@dataclass
class QueueCycles:
    """A ring's commands, run for an engine.

    Parameters
    ----------
    chip : ChipCycles
    number : int
    name : str
    kind : str
        Its engine's name.
    engine : Engine
    """

    chip: "ChipCycles"
    number: int
    name: str
    kind: str
    engine: Engine
    base: int = 0
    log2: int = 0
    enable: int = 0
    tail: int = 0
    asked: int = 0
    fetched: int = 0
    place: int = 0
    begun: int = 0
    ended: int = 0
    commands: dict[int, tuple[int, Command]] = field(default_factory=dict)
    """Those in the buffer, each with what is wrong with its bits."""

    loops: list[list[int]] = field(default_factory=list)
    registers: list[int] = field(default_factory=lambda: [0] * 16)
    state: str = "read"
    halted: bool = False
    stopped: bool = False
    first: Note | None = None
    waits_for: int | None = None
    notes: deque[tuple[int, Note]] = field(default_factory=deque)
    told: deque[int] = field(default_factory=deque)
    ending: bool = False
    _asks: bool = False
    _given: Any = None
    """What waits for room for its note."""

    _outstanding: int = 0
    _ends_at: int = -1
    """The last clock in which a note was taken: its place is free from the next one on."""

    def __post_init__(self) -> None:
        self.engine.ended = self._engine_ended

    @property
    def kept(self) -> int:
        """Commands before it are done with."""
        return self.loops[0][0] if self.loops else self.place

    @property
    def all_ended(self) -> bool:
        """No command has begun and not ended."""
        return not self.notes and not self.ending

    @property
    def busy(self) -> bool:
        """There is something left to do."""
        idle = self.state == "read" and self.place == self.fetched
        return not idle or not self.all_ended or self.tail != self.place or self._outstanding > 0

    @property
    def _has_room(self) -> bool:
        """For a note."""
        kept = len(self.notes) + (self._ends_at == self.chip.events.now)
        return kept < self.chip.config.command.in_flight

    def set_tail(self, tail: int) -> None:
        """Software has written so many commands."""
        self.tail = tail
        self._fetch()

    def restart(self) -> None:
        """Forget all up to the tail. Only while nothing is under way."""
        self.asked = self.fetched = self.place = self.tail
        self.loops.clear()
        self.registers = [0] * 16
        self.commands.clear()
        self.halted = self.stopped = False
        self.state, self.first = "read", None

    # Fetch.

    def _fetch(self) -> None:
        """Ask for what is wanted and has room, a request at a time, the clock after."""
        if self._asks or not self.enable or self.stopped:
            return
        place = self.asked & ((1 << self.log2) - 1)
        room = self.chip.config.command.buffer - (self.asked - self.kept)
        count = min(self.tail - self.asked, room, (1 << self.log2) - place, AT_ONCE)
        if count <= 0:
            return
        self._asks = True
        events, first = self.chip.events, self.asked
        self.asked += count
        self._outstanding += count
        address = self.base + COMMAND_BYTES * place
        images = self.chip.image(address, COMMAND_BYTES * count)
        words = [0]

        def came(start: int, number: int) -> None:
            for word in range(number):
                if words[0] & 1:
                    command = words[0] >> 1
                    raw = images[COMMAND_BYTES * command : COMMAND_BYTES * (command + 1)]
                    events.at(start + word + 2, lambda raw=raw, at=first + command: self._arrived(at, raw), EARLY)  # type: ignore[misc]
                words[0] += 1

        def taken() -> None:
            self._asks = False
            events.at(events.now, self._fetch, LATE)

        def ask() -> None:
            self.chip.share.ask(address >> 5, 2 * count, came, taken, tag=self.number)

        events.at(events.now + 1, ask)

    def _arrived(self, place: int, raw: bytes) -> None:
        self.commands[place] = self.chip.judged(raw, self.kind)
        self.fetched += 1
        self._outstanding -= 1
        self._read()

    # Sequencer.

    def _read(self) -> None:
        """In the clock in which the sequencer may begin with a command."""
        if self.state != "read" or self.halted or self.stopped or not self.enable:
            return
        buffer = self.chip.config.command.buffer
        if self.place < self.fetched:
            self.state = "check"
            self.chip.events.at(self.chip.events.now + 2, self._wait)
        elif self.loops and self.fetched - self.kept == buffer:
            self.state = "check"
            self.chip.events.at(
                self.chip.events.now + 1,
                lambda: self._give_at(Command(name="LOOP"), {}, int(Error.FIELD.value)),  # type: ignore[attr-defined]
            )

    def _wait(self) -> None:
        """The command is known; it may have to wait."""
        error, command = self.commands[self.place]
        if error:
            self._give_at(command, {}, error)
            return
        error, fields = self.chip.rules.check(command, self.loops, self.registers)
        if command.fence and not self.all_ended:
            self.state = "fence"
            return
        self.state = "wait"
        if error or command.wait is None:
            self._give_at(command, fields, error)
            return
        semaphore, value = command.wait
        self.waits_for = semaphore
        since = self.chip.events.now

        def granted() -> None:
            self.waits_for = None
            if self.chip.events.now > since:
                self.chip.waited(self, semaphore, since)
            self._give_at(command, fields, 0)

        self.chip.semaphores.wait(self.number, semaphore, value, granted)

    def _give_at(self, command: Command, fields: Mapping[str, int], error: int) -> None:
        self.chip.events.at(self.chip.events.now + 1, lambda: self._give(command, fields, error))

    def _give(self, command: Command, fields: Mapping[str, int], error: int) -> None:
        """The command goes, to the engine if it is one of its own."""
        self.state = "give"
        of_engine = not error and bool(self.chip.instructions.by_name[command.name].engine)
        needs_note = of_engine or error or command.signal is not None or command.record or command.interrupt
        if needs_note and not self._has_room:
            self._given = command, fields, error
            self.chip.events.at(self.chip.events.now + 1, self._give_again)
            return
        if of_engine:
            self.engine.offer(command.name, fields, lambda: self._goes(command, fields, 0, of_engine=True))
        else:
            self._goes(command, fields, error, of_engine=False)

    def _give_again(self) -> None:
        """Once there is room for its note."""
        if not self._has_room:
            self.chip.events.at(self.chip.events.now + 1, self._give_again)
        else:
            self._give(*self._given)

    def _goes(self, command: Command, fields: Mapping[str, int], error: int, *, of_engine: bool) -> None:
        now, place = self.chip.events.now, self.place
        if of_engine or error or command.signal is not None or command.record or command.interrupt:
            opcode = self.chip.instructions.by_name[command.name].opcode
            note = Note(command, place, now, None if of_engine else error, opcode)
            self.notes.append((now + NOTE, note))
            self.chip.events.at(now + NOTE, self._take)
        self.place += 1
        self.begun += 1
        if error:
            self.halted = True
        elif not of_engine:
            self.place = self.chip.rules.control(command.name, fields, self.loops, self.registers, self.place)
        for old in [number for number in self.commands if number < self.kept]:
            del self.commands[old]
        self.chip.events.at(now + 1, self._again, EARLY)

    def _again(self) -> None:
        self.state = "read"
        self._read()
        self._fetch()

    # Completion.

    def _engine_ended(self, error: int) -> None:
        self.told.append(error)
        self._take()

    def _take(self) -> None:
        """End the oldest command, if it has come to its end."""
        if self.ending or not self.notes:
            return
        now = self.chip.events.now
        visible, note = self.notes[0]
        if visible > now or (note.error is None and not self.told):
            return
        self.notes.popleft()
        self._ends_at = now
        error = note.error
        if error is None:
            error = self.told.popleft()
            self.engine.heard()
        self.ending = True
        command = note.command
        if error and not self.stopped:
            self.stopped = True
            self.first = note
            note.error = error
        signals = command.signal is not None and not self.stopped
        records = command.record or bool(error)

        def record() -> None:
            if records:
                self.chip.records.put(self, note, error, now, done)
            else:
                done()

        def done() -> None:
            self.chip.events.at(self.chip.events.now + 1, self._over)

        def signalled() -> None:
            # Known in the next clock, in which a record can be offered.
            self.chip.events.at(self.chip.events.now + 1, record if records else self._over)

        def begin() -> None:
            if not signals:
                record() if records else self._over()
            elif command.chip is None:
                assert command.signal is not None
                self.chip.semaphores.signal(self.number, *command.signal, signalled)
            else:
                assert command.signal is not None
                self.chip.remote(command.chip, *command.signal, signalled)

        self.chip.events.at(now + 1, begin)

    def _over(self) -> None:
        """In its last clock."""
        self.chip.events.at(self.chip.events.now + 1, self._next, EARLY)

    def _next(self) -> None:
        self.ending = False
        self.ended += 1
        self._take()
        if self.state == "fence" and self.all_ended:
            self.state = "check"
            self._wait()
