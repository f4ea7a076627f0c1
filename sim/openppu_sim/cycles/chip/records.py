"""Records of ended commands, on their way to memory."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from openppu.command.layouts import RECORD_BYTES, record_layout

from openppu_sim.cycles.chip.events import LATE
from openppu_sim.cycles.turns import RoundRobin
from openppu_sim.program.bits import Bits

if TYPE_CHECKING:
    from openppu_sim.cycles.chip.chip import ChipCycles
    from openppu_sim.cycles.chip.queue import Note, QueueCycles

_RECORD = Bits(record_layout())

WORD_SENT = 3
"""Clocks from a record's request to the first in which its word has gone, too."""


class RecordsCycles:
    """As `openppu.command.records.RecordWriter`.

    Parameters
    ----------
    chip : ChipCycles
    tag : int
        Of its requests.
    """

    def __init__(self, chip: "ChipCycles", tag: int) -> None:
        self.chip, self.tag = chip, tag
        self.base = self.log2 = self.enable = 0
        self.count = 0
        self.waiting: list[tuple[QueueCycles, Note, int, int, Callable[[], None]]] = []
        self.free = True
        self._turns = RoundRobin(tag)

    def put(self, queue: "QueueCycles", note: "Note", error: int, ended: int, taken: Callable[[], None]) -> None:
        """A record is offered from now on; ``taken`` is called in the clock in which it is taken."""
        self.waiting.append((queue, note, error, ended, taken))
        self.chip.events.at(self.chip.events.now, self._look, LATE)

    def _look(self) -> None:
        if not self.waiting or (self.enable and not self.free):
            return
        number = self._turns.pick(each[0].number for each in self.waiting)
        place = next(n for n, each in enumerate(self.waiting) if each[0].number == number)
        queue, note, error, ended, taken = self.waiting.pop(place)
        if self.enable:
            self._write(queue, note, error, ended)
            self.free = False
            self.chip.events.at(self.chip.events.now + 1, self._ask)
        taken()
        if self.waiting and not self.enable:
            self.chip.events.at(self.chip.events.now + 1, self._look)

    def _write(self, queue: "QueueCycles", note: "Note", error: int, ended: int) -> None:
        values = {
            "tag": note.command.tag,
            "queue": queue.number,
            "opcode": note.opcode,
            "error": error,
            "index": note.place,
            "number": self.count,
            "begun": note.begun - self.chip.reset,
            "ended": ended - self.chip.reset,
        }
        self._at = self.base + RECORD_BYTES * (self.count & ((1 << self.log2) - 1))
        self.chip.write(self._at, _RECORD.pack(values).to_bytes(RECORD_BYTES, "little"))
        self.count += 1

    def _ask(self) -> None:
        self.chip.share.ask(self._at >> 5, 1, lambda clock, number: None, self._asked, write=True, tag=self.tag)

    def _asked(self) -> None:
        self.chip.events.at(self.chip.events.now + WORD_SENT, self._again)

    def _again(self) -> None:
        self.free = True
        self._look()
