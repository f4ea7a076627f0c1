"""Cycles of the vector unit's commands, from docs/vector.md: exact where no request to the scratchpad has to wait.

Nothing of it depends on data. Each instruction's rows are placed in time one after the other: none before what it reads
can be read, its stream's element is there, and there is room for what it writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.vector.instruction import COUNTS, INPUTS, INSTRUCTION_BYTES, PACKED_ROWS, STRIP, Kind, Source, Target

from openppu_sim.kernels.vector.assembly import OF_REGISTERS, Instruction, instructions
from openppu_sim.kernels.vector.commands import Command, LoadProgram, Run, SetStream, fields_of

ADMISSION = 7
"""Cycles from a command to its end, if nothing is to be done or it is refused."""

QUEUED_ROWS = 16
"""Of an input stream, and of all output streams."""

QUEUED_INSTRUCTIONS = 2
READ_PORTS = 2
VISIBLE = 10
"""From a row to the first that may read what it wrote."""

WRITTEN = 14
"""From a row for an output stream to the first cycle in which its place is free again."""

ARRIVAL = 5
"""From the choice of a request to the cycle in which its row may be taken, beside the scratchpad's latency."""


@dataclass
class _Stream:
    """An input stream during a run."""

    held: bool
    block: int
    loads: list[int] = field(default_factory=list)
    pops: list[int] = field(default_factory=list)
    frees: list[int] = field(default_factory=list)

    def next_load(self, begin: int) -> int | None:
        """The first cycle in which its next element can be requested; None if that is not known yet."""
        number = len(self.loads)
        earliest = begin
        if number:
            earliest = self.loads[-1] + 1
        if self.held and number % self.block == 0:
            block = number // self.block
            if block >= len(self.frees):
                return None
            earliest = max(earliest + (1 if number else 0), self.frees[block] + 2)
        if number >= QUEUED_ROWS:
            if number - QUEUED_ROWS >= len(self.pops):
                return None
            earliest = max(earliest, self.pops[number - QUEUED_ROWS] + 1)
        return earliest


class _Port:
    """A port for reading, and the streams that share it."""

    def __init__(self) -> None:
        self.turn = 0
        self.streams: dict[int, _Stream] = {}
        self.begin = 0
        self.now = 0

    def start(self, begin: int, streams: dict[int, _Stream]) -> None:
        self.begin = self.now = begin
        self.streams = streams

    def load(self, until: int | None = None) -> bool:
        """Choose one more request, not after cycle ``until``; whether there was one."""
        ready = {}
        for place, stream in self.streams.items():
            first = stream.next_load(self.begin)
            if first is not None:
                ready[place] = max(first, self.now)
        if not ready:
            return False
        cycle = min(ready.values())
        if until is not None and cycle > until:
            return False
        wants = [place for place, first in ready.items() if first == cycle]
        chosen = self.turn if len(wants) == 2 else wants[0]
        self.streams[chosen].loads.append(cycle)
        self.turn = 1 - chosen
        self.now = cycle + 1
        return True


class VectorCycles:
    """A vector unit's clock.

    Parameters
    ----------
    chip : ChipConfig
    latency : int
        Cycles from a read that the scratchpad takes to its result.
    """

    def __init__(self, chip: ChipConfig, *, latency: int = Scratchpad.LATENCY):
        self.config = config = chip.vector
        self.lanes = chip.scratchpad.word_bytes // 4
        self.latency = latency
        self.program: list[Instruction | None] = [None] * config.program_words
        self.patterns: dict[int, dict[str, int]] = {}
        self.ports = [_Port() for _ in range(READ_PORTS)]
        self.refused = ADMISSION
        """As of `length`, if a command is refused."""
        self.rows = 0
        """Issued by all runs so far."""

    def predict(self, commands: Sequence[Command], memory: NDArray[np.uint8], start: int = 0) -> list[tuple[int, int]]:
        """The cycles in which each command is taken and its end is offered, one after the other and none refused.

        Parameters
        ----------
        commands : sequence of Command
        memory : ndarray of uint8
            The scratchpad, for the programs in it.
        start : int
            The cycle in which the first is taken.
        """
        times = []
        for command in commands:
            end = start + self.length(command, memory)
            times.append((start, end))
            start = end + 1
        return times

    def length(self, command: Command, memory: NDArray[np.uint8]) -> int:
        """Cycles from the one in which a command is taken to that in which its end is offered."""
        if isinstance(command, LoadProgram):
            at = command.source
            found = instructions(memory[at : at + command.count * INSTRUCTION_BYTES])
            self.program[command.start : command.start + command.count] = found
            return ADMISSION + 1 + command.count + self.latency
        if isinstance(command, SetStream):
            self.patterns[command.stream] = fields_of(command)
        if isinstance(command, Run):
            return self._run(command)
        return ADMISSION

    def _run(self, run: Run) -> int:
        words: list[Instruction] = []
        while not words or words[-1].kind != Kind.STOP:
            word = self.program[run.start + len(words)]
            if word is None:
                raise ValueError(f"program memory, word {run.start + len(words)}: never loaded")
            words.append(word)
        # Admission, one word a cycle in the check, then the streams and the program begin.
        begin = ADMISSION + 3 + len(words)
        streams = {}
        for number in range(INPUTS):
            uses = [each for word in words if word.kind == Kind.COMPUTE for each in word.operands]
            if any(each.kind == Source.STREAM and each.number == number for each in uses):
                fields = self.patterns[number]
                block = fields["count_0"] * fields["count_1"]
                streams[number] = _Stream(bool(fields["held"]), block)
        for place, port in enumerate(self.ports):
            port.start(begin, {n // READ_PORTS: stream for n, stream in streams.items() if n % READ_PORTS == place})
        timeline = _Timeline(self, run, streams)
        stopped = timeline.play(words, begin)
        self.rows += timeline.rows
        last = 0
        for port in self.ports:
            while port.load(until=stopped + 1):
                pass
            last = max([last, *(stream.loads[-1] for stream in port.streams.values() if stream.loads)])
        return max(stopped + 2, last + self.latency + 2) + 1


class _Timeline:
    """The rows of a run, in time."""

    def __init__(self, unit: VectorCycles, run: Run, streams: dict[int, _Stream]):
        self.unit = unit
        self.streams = streams
        self.strip = run.rows
        values = fields_of(run)
        self.counts = [values[f"count_{n}"] for n in range(COUNTS)]
        config = unit.config
        self.readable = np.zeros((config.registers, config.strip_rows), np.int64)
        self.pops: list[int] = []
        """When each instruction's last row was issued."""
        self.last = -1
        self.last_write = -VISIBLE
        self.outputs: list[int] = []
        self.rows = 0

    def play(self, words: list[Instruction], begin: int) -> int:
        """The cycle in which the program's end finds all done."""
        place = 0
        decode = begin + 1
        loops: list[list[int]] = []
        while True:
            word = words[place]
            place += 1
            if word.kind == Kind.COMPUTE:
                if len(self.pops) >= QUEUED_INSTRUCTIONS:
                    decode = max(decode, self.pops[-QUEUED_INSTRUCTIONS] + 1)
                self._issue(word, decode + 1)
            elif word.kind == Kind.LOOP:
                loops.append([place, self.counts[word.a.number]])
            elif word.kind == Kind.END:
                loops[-1][1] -= 1
                if loops[-1][1]:
                    place = loops[-1][0]
                else:
                    loops.pop()
            else:
                decode = max(decode, self._drained())
                if word.kind == Kind.STOP:
                    return decode
                for number, stream in self.streams.items():
                    if word.a.number >> number & 1:
                        stream.frees.append(decode)
            decode += 2

    def _drained(self) -> int:
        written = self.outputs[-1] + WRITTEN if self.outputs else 0
        return max(self.last + 1, self.last_write + VISIBLE, written)

    def _issue(self, word: Instruction, first: int) -> None:
        lanes = self.unit.lanes
        count = {STRIP: self.strip, PACKED_ROWS: -(-self.strip // lanes)}.get(word.rows, word.rows)
        first = max(first, self.last + 1)
        self.rows += count
        rows = np.arange(count)
        reads = [
            (each.number, self._rows_of(each.kind, word, rows)) for each in word.operands if each.kind in OF_REGISTERS
        ]
        numbers = sorted({each.number for each in word.operands if each.kind == Source.STREAM})
        output = word.target_kind in (Target.STREAM, Target.BOTH)
        register = word.target_kind != Target.STREAM
        writes = rows // lanes if word.target_kind == Target.PACKED else rows
        itself = register and any(number == word.target for number, _ in reads)
        if not numbers and not output and not itself:
            ready = np.maximum.reduce(
                [self.readable[number, place] for number, place in reads] or [np.zeros(count, int)]
            )
            times = rows + np.maximum.accumulate(np.maximum(ready - rows, first))
            self.readable[word.target, writes] = times + VISIBLE
            self.last = self.last_write = int(times[-1])
        else:
            time = first - 1
            for row in range(count):
                time = max([time + 1, *(int(self.readable[number, place[row]]) for number, place in reads)])
                for number in numbers:
                    time = max(time, self._arrival(number))
                if output:
                    if len(self.outputs) >= QUEUED_ROWS:
                        time = max(time, self.outputs[-QUEUED_ROWS] + WRITTEN)
                    self.outputs.append(time)
                if register:
                    self.readable[word.target, writes[row]] = time + VISIBLE
                    self.last_write = time
                for number in numbers:
                    self.streams[number].pops.append(time)
            self.last = time
        self.pops.append(self.last)

    def _rows_of(self, kind: object, word: Instruction, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if kind == Source.SPREAD:
            return rows // self.unit.lanes
        return (rows + word.shift) % self.unit.config.strip_rows if kind == Source.SHIFTED else rows

    def _arrival(self, number: int) -> int:
        """When the next element of a stream may be taken."""
        stream = self.streams[number]
        place = len(stream.pops)
        while len(stream.loads) <= place:
            if not self.unit.ports[number % READ_PORTS].load():
                raise ValueError(f"stream {number}: the program reads a block that it never releases")
        return stream.loads[place] + self.unit.latency + ARRIVAL
