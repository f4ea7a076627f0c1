"""Cycles of the vector unit's commands, from docs/vector.md: exact, whatever its requests to the scratchpad wait for.

Nothing of it depends on data. Each instruction's rows are placed in time one after the other: none before what it reads
can be read, its stream's element is there, and there is room for what it writes. That depends on when requests are
taken, so the unit is driven by who knows: `Turns` where others use the scratchpad, `VectorCycles.predict` alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from openppu.config import ChipConfig
from openppu.scratchpad.config import CODE_BYTES, ScratchpadConfig
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.vector.cause import Cause
from openppu.vector.command import ADDRESS_BITS
from openppu.vector.instruction import COUNTS, INPUTS, INSTRUCTION_BYTES, PACKED_ROWS, STRIP, Kind, Source, Target

from openppu_sim.cycles.turns import NEVER, Ask, Turns
from openppu_sim.cycles.vector_account import VectorAccount
from openppu_sim.kernels.vector.assembly import OF_REGISTERS, Instruction, instructions
from openppu_sim.kernels.vector.commands import Command, LoadProgram, Run, SetStream, fields_of
from openppu_sim.reference.dma import SIZES

ADMISSION = 7
"""Cycles from a command to its end, if nothing is to be done or it is refused."""

QUEUED_ROWS = 16
"""Of an input stream, and of all output streams."""

QUEUED_INSTRUCTIONS = 2
READ_PORTS = 2
VISIBLE = 10
"""From a row to the first that may read what it wrote."""

WRITTEN = 13
"""From a row for an output stream to its write's request; the cycle after that is taken, its place is free again."""

ARRIVAL = 4
"""From a request that is taken to the cycle in which its row may be taken, beside the scratchpad's latency."""

OUTPUT = 2
"""The port for writing, behind those for reading."""

IN_PLACE = (Source.REGISTER, Source.CROSS)
"""Operands of row r that are row r of a register."""


@dataclass
class _Element:
    """Where a stream is, and of an output stream how it writes."""

    bank: int
    merges: bool


class _Pattern:
    """A stream's elements, one after the other, without end."""

    def __init__(self, fields: dict[str, int], pad: ScratchpadConfig) -> None:
        self.fields, self.pad = fields, pad
        self.bank_bytes = pad.bank_words * pad.word_bytes

    def __iter__(self) -> Iterator[_Element]:
        of, mask = self.fields, (1 << ADDRESS_BITS) - 1
        size = SIZES[of["format"]]
        whole = not of["single"] and self.pad.word_bytes // 4 * size % CODE_BYTES == 0
        cut_whole = not of["single"] and of["tail"] * size % CODE_BYTES == 0
        counts, strides = [of[f"count_{d}"] for d in range(4)], [of[f"stride_{d}"] for d in range(4)]
        last = [count - 1 for count in counts]
        index = [0, 0, 0, 0]
        while True:
            address = of["base"] + sum(n * stride for n, stride in zip(index, strides, strict=True)) & mask
            cut = of["tail"] and index[of["tail_dimension"]] == last[of["tail_dimension"]]
            # The accumulators are a bank of their own, which only one port asks.
            yield _Element(min(address // self.bank_bytes, self.pad.banks), not (cut_whole if cut else whole))
            for d in range(4):
                if index[d] != last[d]:
                    index[d] += 1
                    break
                index[d] = 0


@dataclass
class _Stream:
    """An input stream during a run."""

    held: bool
    block: int
    elements: Iterator[_Element]
    next: _Element
    loads: list[int] = field(default_factory=list)
    there: list[int] = field(default_factory=list)
    """From when on each row may be taken."""

    pops: list[int] = field(default_factory=list)
    frees: list[int] = field(default_factory=list)

    def next_load(self, begin: int) -> int:
        """The first cycle in which its next element can be requested, if that is known yet."""
        number = len(self.loads)
        earliest = self.loads[-1] + 1 if number else begin
        if self.held and number % self.block == 0:
            block = number // self.block
            if block >= len(self.frees):
                return NEVER
            earliest = max(earliest + (1 if number else 0), self.frees[block] + 2)
        if number >= QUEUED_ROWS:
            if number - QUEUED_ROWS >= len(self.pops):
                return NEVER
            earliest = max(earliest, self.pops[number - QUEUED_ROWS] + 1)
        return earliest


class _InputPort:
    """A port for reading, and the streams that share it: one request stands in its register."""

    def __init__(self, ask: Ask, latency: int) -> None:
        self.ask, self.latency = ask, latency
        self.turn = 0
        self.streams: dict[int, _Stream] = {}
        self.begin = self.free_from = self.taken = 0
        self.until = NEVER
        """The last cycle in which a request may be chosen."""

    def start(self, begin: int, streams: dict[int, _Stream]) -> None:
        self.begin = self.free_from = begin
        self.streams, self.until, self.taken = streams, NEVER, 0
        self.ask.given = self._given
        self.look()

    def look(self) -> None:
        """Choose the next request, as far as is known; what stands stays, since nothing earlier becomes known."""
        first = {place: stream.next_load(self.begin) for place, stream in self.streams.items()}
        cycle = max(min(first.values(), default=NEVER), self.free_from)
        if cycle > self.until or cycle >= NEVER:
            self.ask.at = NEVER
            return
        wants = [place for place, at in first.items() if at <= cycle]
        self.chosen, self.cycle = self.turn if len(wants) == 2 else wants[0], cycle
        self.ask.at, self.ask.bank = cycle + 1, self.streams[self.chosen].next.bank

    def _given(self, clock: int) -> None:
        stream = self.streams[self.chosen]
        stream.loads.append(self.cycle)
        stream.there.append(clock + self.latency + ARRIVAL)
        stream.next = next(stream.elements)
        self.turn = 1 - self.chosen
        self.free_from = self.taken = clock


class VectorCycles:
    """A vector unit's clock.

    `begin` begins with a command; then, whenever requests of ``asks`` have been taken, `settle` works out what follows,
    until ``end`` is known.

    Parameters
    ----------
    chip : ChipConfig
    latency : int
        Cycles from a read that the scratchpad takes to its result.
    begin : int
        The first cycle.
    now : callable
        As of `openppu_sim.cycles.account.Account`.

    Members
    -------
    account : VectorAccount
        Where the cycles went.
    """

    def __init__(
        self,
        chip: ChipConfig,
        *,
        latency: int = Scratchpad.LATENCY,
        begin: int = 0,
        now: Callable[[], int] = lambda: NEVER,
    ):
        self.config = config = chip.vector
        self.pad = chip.scratchpad
        self.lanes = chip.scratchpad.word_bytes // 4
        self.bank_bytes = chip.scratchpad.bank_words * chip.scratchpad.word_bytes
        self.latency = latency
        self.program: list[Instruction | None] = [None] * config.program_words
        self.patterns: dict[int, dict[str, int]] = {}
        self.asks = tuple(Ask() for _ in range(READ_PORTS + 1))
        self.ports = [_InputPort(ask, latency) for ask in self.asks[:READ_PORTS]]
        self.rows = 0
        """Issued by all runs so far."""
        self.account = VectorAccount(begin=begin, now=now)
        self.end: int | None = None
        """The cycle in which the present command's end is offered, once that is known."""
        self._work: Iterator[None] = iter(())

    def predict(
        self, commands: Sequence[Command], memory: NDArray[np.uint8], start: int = 0, *, conflicts: bool = False
    ) -> list[tuple[int, int]]:
        """The cycles in which each command is taken and its end is offered, one after the other and none refused.

        Parameters
        ----------
        commands : sequence of Command
        memory : ndarray of uint8
            The scratchpad, for the programs in it.
        start : int
            The cycle in which the first is taken.
        conflicts : bool
            Its ports wait for each other at the scratchpad's banks, else for nothing.

        Raises
        ------
        ValueError
            If a program reads a block of a held stream that it never releases.
        """
        times = []
        turns = Turns(self.pad.banks + 1, self.asks)
        for command in commands:
            self.begin(command, memory, start)
            clock = start
            while self.end is None:
                clock = max(clock + 1, turns.next)
                if clock >= NEVER:
                    raise ValueError("the program reads a block of a stream that it never releases")
                if conflicts:
                    turns.step(clock)
                else:
                    for ask in self.asks:
                        if ask.at <= clock:
                            ask.at = NEVER
                            ask.given(clock)
                self.settle()
            times.append((start, self.end))
            self.told(self.end)
            start = self.end + 1
        return times

    def begin(self, command: Command, memory: NDArray[np.uint8], start: int) -> None:
        """Begin with a command that is not refused."""
        self.end = None
        self.account.begin(start)
        if isinstance(command, LoadProgram):
            at = command.source
            found = instructions(memory[at : at + command.count * INSTRUCTION_BYTES])
            self.program[command.start : command.start + command.count] = found
            self._work = self._load(command, start)
            self.settle()
        elif isinstance(command, Run):
            self._work = self._run(command, start)
            self.settle()
        else:
            if isinstance(command, SetStream):
                self.patterns[command.stream] = fields_of(command)
            self.end = start + ADMISSION

    def refuse(self, start: int) -> int:
        """A command is refused: the cycle in which its end is offered."""
        self.account.begin(start)
        return start + ADMISSION

    def told(self, clock: int) -> None:
        """The end of the present command is taken."""
        self.account.end_command(clock)

    def settle(self) -> None:
        """Work out what follows from the requests that were taken."""
        next(self._work, None)

    def _load(self, command: LoadProgram, start: int) -> Iterator[None]:
        ask, taken = self.asks[0], [start + ADMISSION - 1]
        ask.given = taken.append
        for number in range(command.count):
            ask.at = taken[-1] + 1
            ask.bank = (command.source + number * INSTRUCTION_BYTES) // self.bank_bytes
            while len(taken) <= number + 1:
                yield
        self.end = taken[-1] + self.latency + 2

    def _run(self, run: Run, start: int) -> Iterator[None]:
        words: list[Instruction] = []
        while not words or words[-1].kind != Kind.STOP:
            word = self.program[run.start + len(words)]
            if word is None:
                raise ValueError(f"program memory, word {run.start + len(words)}: never loaded")
            words.append(word)
        # Admission, one word a cycle in the check, then the streams and the program begin.
        begin = start + ADMISSION + 3 + len(words)
        self.account.begin_run(begin)
        uses = [each for word in words if word.kind == Kind.COMPUTE for each in word.operands]
        streams = {}
        for number in range(INPUTS):
            if any(each.kind == Source.STREAM and each.number == number for each in uses):
                fields = self.patterns[number]
                elements = self.elements(number)
                block = fields["count_0"] * fields["count_1"]
                streams[number] = _Stream(bool(fields["held"]), block, elements, next(elements))
        for place, port in enumerate(self.ports):
            port.start(begin, {n // READ_PORTS: stream for n, stream in streams.items() if n % READ_PORTS == place})
        timeline = _Timeline(self, run, streams)
        yield from timeline.play(words, begin)
        stopped = timeline.stopped
        self.account.end_run(stopped)
        self.rows += timeline.rows
        for port in self.ports:
            port.until = stopped + 1
            port.look()
        while any(port.ask.at < NEVER for port in self.ports):
            yield
            for port in self.ports:
                port.look()
        last = max(port.taken for port in self.ports)
        self.end = max(stopped + 2, last + self.latency + 1) + 1

    def elements(self, number: int) -> Iterator[_Element]:
        """Of a stream, from its first on."""
        return iter(_Pattern(self.patterns[number], self.pad))


class _Timeline:
    """The rows of a run, in time."""

    def __init__(self, unit: VectorCycles, run: Run, streams: dict[int, _Stream]):
        self.unit = unit
        self.account = unit.account
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
        self.rows = 0
        self.stopped = 0
        """The cycle in which the program's end finds all done."""
        self.outputs: list[tuple[int, _Element]] = []
        """Each row for an output stream: when its write is requested at the earliest, and where."""
        self.written: list[int] = []
        """When those were taken."""
        self.targets: dict[int, Iterator[_Element]] = {}
        self.ask = unit.asks[OUTPUT]
        self.ask.given = self.written.append

    def play(self, words: list[Instruction], begin: int) -> Iterator[None]:
        """Goes through the program; between two steps requests have been taken."""
        place = 0
        decode = begin + 1
        loops: list[list[int]] = []
        while True:
            word = words[place]
            place += 1
            if word.kind == Kind.COMPUTE:
                if len(self.pops) >= QUEUED_INSTRUCTIONS:
                    decode = max(decode, self.pops[-QUEUED_INSTRUCTIONS] + 1)
                yield from self._issue(word, decode + 1)
            elif word.kind == Kind.LOOP:
                loops.append([place, self.counts[word.a.number]])
            elif word.kind == Kind.END:
                loops[-1][1] -= 1
                if loops[-1][1]:
                    place = loops[-1][0]
                else:
                    loops.pop()
            else:
                self.account.current = Cause.SEQUENCE
                while len(self.written) < len(self.outputs):
                    yield from self._wait()
                written = self.written[-1] + 1 if self.written else 0
                decode = max(decode, self.last + 1, self.last_write + VISIBLE, written)
                if word.kind == Kind.STOP:
                    self.stopped = decode
                    return
                for number, stream in self.streams.items():
                    if word.a.number >> number & 1:
                        stream.frees.append(decode)
            decode += 2

    def _wait(self) -> Iterator[None]:
        """Until a request has been taken."""
        for port in self.unit.ports:
            port.look()
        place = len(self.written)
        if place < len(self.outputs):
            at, element = self.outputs[place]
            if place:
                at = max(at, self.written[-1] + 1)
            self.ask.at, self.ask.bank, self.ask.merges = at, element.bank, element.merges
        yield

    def _issue(self, word: Instruction, first: int) -> Iterator[None]:
        lanes = self.unit.lanes
        count = {STRIP: self.strip, PACKED_ROWS: -(-self.strip // lanes)}.get(word.rows, word.rows)
        first = max(first, self.last + 1)
        account = self.account
        account.add(Cause.SEQUENCE, first)
        self.rows += count
        rows = np.arange(count)
        operands = [each for each in word.operands if each.kind in OF_REGISTERS]
        reads = [(each.number, self._rows_of(each.kind, word, rows)) for each in operands]
        streams = [self.streams[n] for n in sorted({e.number for e in word.operands if e.kind == Source.STREAM})]
        output = word.target_kind in (Target.STREAM, Target.BOTH)
        register = word.target_kind != Target.STREAM
        packed = word.target_kind == Target.PACKED
        writes = rows // lanes if packed else rows
        itself = register and any(
            each.number == word.target and (packed or each.kind not in IN_PLACE) for each in operands
        )
        ready = np.zeros(count, np.int64)
        for number, places in reads:
            ready = np.maximum(ready, self.readable[number, places])
        if not streams and not output and not itself:
            times = rows + np.maximum.accumulate(np.maximum(ready - rows, first))
            self.last = int(times[-1])
            account.rows(times)
        else:
            times = np.empty(count, np.int64)
            time, from_when = first - 1, ready.tolist()
            if output and word.stream not in self.targets:
                self.targets[word.stream] = self.unit.elements(INPUTS + word.stream)
            for row in range(count):
                time = max(time + 1, from_when[row])
                if itself:
                    time = max(time, *(int(self.readable[number, places[row]]) for number, places in reads))
                account.add(Cause.DEPENDENCE, time)
                account.current = Cause.INPUT
                for stream in streams:
                    while len(stream.there) <= len(stream.pops):
                        yield from self._wait()
                    time = max(time, stream.there[len(stream.pops)])
                account.add(Cause.INPUT, time)
                account.current = Cause.OUTPUT
                if output:
                    number = len(self.outputs) - QUEUED_ROWS
                    while len(self.written) <= number:
                        yield from self._wait()
                    if number >= 0:
                        time = max(time, self.written[number] + 1)
                        account.add(Cause.OUTPUT, time)
                    self.outputs.append((time + WRITTEN, next(self.targets[word.stream])))
                account.add(Cause.COMPUTE, time + 1)
                for stream in streams:
                    stream.pops.append(time)
                times[row] = time
                if itself:
                    self.readable[word.target, writes[row]] = time + VISIBLE
            self.last = time
        if register:
            self.readable[word.target, writes] = times + VISIBLE
            self.last_write = self.last
        self.pops.append(self.last)

    def _rows_of(self, kind: object, word: Instruction, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if kind == Source.SPREAD:
            return rows // self.unit.lanes
        return (rows + word.shift) % self.unit.config.strip_rows if kind == Source.SHIFTED else rows
