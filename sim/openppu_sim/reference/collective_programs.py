"""Runs the programs of collective engines, as docs/collectives.md defines their instructions, on memories of bytes.

There is no time in it: in each turn the parts of all engines, in an order chosen at random, move some beats. What has a
limit in the hardware has it here, too: queues, windows, what STOREs have granted. So programs that wait for each other
in a circle are found out.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from openppu.formats.spec import BF16
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import (
    MOST_BEATS,
    SLOTS,
    Instruction,
    Opcode,
    Source,
    Stream,
    Thread,
)
from openppu.link.collective.wiring import Wiring
from openppu.link.topology import Peers

from .arithmetic import add32
from .formats import Bits32, from_binary32

MINUS_ZERO = np.uint32(0x80000000)
"""Added to anything it changes nothing, but NaNs become the one NaN."""


ALL = 1 << 40
"""More beats than there are."""


class StuckError(Exception):
    """No part of any engine can go on; the message says what each waits with."""


@dataclass
class _Step:
    op: Instruction
    done: int = 0


@dataclass
class _Port:
    sends: deque[_Step] = field(default_factory=deque)
    results: deque[_Step] = field(default_factory=deque)
    stores: deque[_Step] = field(default_factory=deque)
    window: deque[tuple[int, np.ndarray]] = field(default_factory=deque)
    consumers: deque[int] = field(default_factory=deque)
    tokens: int = 0


class _Engine:
    """One rank. What moves returns whether it did."""

    def __init__(self, config: CollectiveConfig, memory: np.ndarray):
        self.config = config
        self.program: deque[Instruction] = deque()
        self.memory = memory
        self.ports = [_Port() for _ in range(config.ports)]
        self.units: list[deque[_Step]] = [deque() for _ in config.units]
        self.fed: list[deque[Bits32]] = [deque(), deque()]
        self.progress: dict[int, int] = {}
        self.peers: list[tuple[_Engine, int] | None] = []

    def dispatch(self, most: int) -> bool:
        """Put up to so many instructions into their queues, while there is room in all of them."""
        count = 0
        while count < most and self._dispatch():
            count += 1
        return count > 0

    def _dispatch(self) -> bool:
        if not self.program:
            return False
        op = self.program[0]
        ports = [port for number, port in enumerate(self.ports) if op.ports >> number & 1]
        queues: list[deque[_Step]] = []
        ready = True
        if op.opcode in (Opcode.END, Opcode.FENCE):
            ready = not any(self.units) and not any(port.sends or port.results or port.stores for port in self.ports)
        elif op.opcode == Opcode.SEND:
            queues = [port.sends for port in ports]
            ready = not any(step.op.stream == op.stream for port in ports for step in port.results)
        elif op.opcode == Opcode.STORE:
            queues = [port.stores for port in ports]
        elif op.opcode == Opcode.REDUCE:
            queues = [self.units[op.unit], *[port.results for port in ports]]
            ready = not any(step.op.stream == op.stream for port in ports for step in port.sends)
        elif op.opcode == Opcode.WAIT:
            ready = all(port.tokens for port in ports)
        if not ready or any(len(queue) > self.config.queue for queue in queues):
            return False
        for queue in queues:
            queue.append(_Step(op))
        if op.opcode == Opcode.END:
            self.progress = {}
        for source in op.sources:
            if source >= Source.PORT:
                self.ports[source - Source.PORT].consumers.append(op.unit)
        for number in range(self.config.ports):
            if op.ports >> number & 1 and op.opcode == Opcode.TOKEN:
                engine, other = self._peer(number)
                engine.ports[other].tokens += 1
        for port in ports if op.opcode == Opcode.WAIT else ():
            port.tokens -= 1
        self.program.popleft()
        return True

    def send(self, number: int, most: int) -> bool:
        """Move up to so many beats of a port's SEND."""
        queue, width = self.ports[number].sends, self.config.beat_bytes
        if not queue:
            return False
        step = queue[0]
        left = -(-step.op.length // width) - step.done
        count = min(most, left, self._written(step.op) - step.done, self._room(number, step.op.stream))
        if count < 1:
            return False
        begin = step.op.address + step.done * width
        data = self.memory[begin : begin + count * width].copy()
        for low in range(0, len(data), width):
            self._deliver(number, step.op, data[low : low + width])
        step.done += count
        if step.done * width >= step.op.length:
            queue.popleft()
        return True

    def reduce(self, unit: int, most: int) -> bool:
        """Add up to so many times as many elements as a beat of bf16 has."""
        if not self.units[unit]:
            return False
        step = self.units[unit][0]
        parts = min(most, -(-(step.op.length - step.done) // (2 * self.config.lanes)))
        while parts and not self._reduce(unit, step, parts):
            parts //= 2
        return parts > 0

    def _reduce(self, unit: int, step: _Step, parts: int) -> bool:
        op, width = step.op, self.config.beat_bytes
        count = min(2 * parts * self.config.lanes, op.length - step.done)
        beats = -(-count // self.config.lanes)
        begin = 4 * step.done // width
        values: list[Bits32 | None] = []
        pops: list[tuple[deque, int]] = []
        for slot, source in enumerate(op.sources):
            narrow = op.narrow_sources >> slot & 1
            needed = parts if narrow else beats
            if source == Source.NOTHING:
                values.append(None)
                continue
            if source == Source.MEMORY:
                first = begin // 2 if narrow else begin
                if self._written(op) < first + needed:
                    return False
                raw = self.memory[op.local + first * width :][: needed * width]
            elif source >= Source.PORT:
                port = self.ports[source - Source.PORT]
                if len(port.window) < needed or port.consumers[0] != unit:
                    return False
                labels = {port.window[index][0] for index in range(needed)}
                assert labels == {op.label}, f"port {source - Source.PORT}: labels {labels} for {op}"
                raw = np.concatenate([port.window[index][1] for index in range(needed)])
                pops.append((port.window, needed))
            else:
                queue = self.fed[source - Source.UNIT_0]
                if len(queue) < parts:
                    return False
                values.append(np.concatenate([queue[index] for index in range(parts)]))
                pops.append((queue, parts))
                continue
            wide = raw.copy().view("<u2").astype(np.uint32) << np.uint32(16) if narrow else raw.copy().view("<u4")
            values.append(wide[:count])
        gives = parts if op.narrow else beats
        if not op.feed and not self._results_free(op, gives):
            return False
        for popped, needed in pops:
            for _ in range(needed):
                popped.popleft()
        self._give(op, step.done, _sum(op, values))
        step.done += count
        if step.done == op.length:
            self.units[unit].popleft()
            for source in op.sources:
                if source >= Source.PORT:
                    self.ports[source - Source.PORT].consumers.popleft()
        return True

    def _give(self, op: Instruction, done: int, total: Bits32) -> None:
        """Sums to wherever they go."""
        if op.feed:
            part = 2 * self.config.lanes
            self.fed[op.unit].extend(total[low : low + part] for low in range(0, len(total), part))
            return
        data = total.view(np.uint8)
        if op.narrow:
            halves = (total >> np.uint32(16)).astype(np.uint16) if op.integer else from_binary32(total, BF16)
            data = halves.astype("<u2").view(np.uint8)
        width = self.config.beat_bytes
        first = done * (2 if op.narrow else 4)
        if op.write:
            self.memory[op.address + first : op.address + first + len(data)] = data
            self.progress[Thread.UNIT + op.unit] = self.progress.get(Thread.UNIT + op.unit, 0) + -(-len(data) // width)
        for number, port in enumerate(self.ports):
            if op.ports >> number & 1:
                for low in range(0, len(data), width):
                    self._deliver(number, op, np.resize(data[low : low + width], width))
                port.results[0].done += len(total)
                if port.results[0].done == op.length:
                    port.results.popleft()

    def _results_free(self, op: Instruction, beats: int) -> bool:
        ports = [number for number in range(self.config.ports) if op.ports >> number & 1]
        mine = all(self.ports[number].results[0].op is op for number in ports)
        return mine and all(self._room(number, op.stream) >= beats for number in ports)

    def _written(self, op: Instruction) -> int:
        """Beats of what it reads that may be read."""
        return self.progress.get(op.thread, 0) - op.base if op.wait else ALL

    def _peer(self, number: int) -> "tuple[_Engine, int]":
        peer = self.peers[number]
        assert peer is not None, f"port {number} leads nowhere"
        return peer

    def _room(self, number: int, stream: int) -> int:
        """Beats that the peer has room for."""
        engine, other = self._peer(number)
        port = engine.ports[other]
        if stream == Stream.REDUCE:
            return self.config.window - len(port.window)
        return sum(-(-step.op.length // self.config.beat_bytes) - step.done for step in port.stores)

    def _deliver(self, number: int, op: Instruction, data: np.ndarray) -> None:
        """Give a beat to the peer: into its window, or to memory."""
        engine, other = self._peer(number)
        port = engine.ports[other]
        if op.stream == Stream.REDUCE:
            port.window.append((op.label, data))
            return
        step = port.stores[0]
        assert op.label == step.op.label, f"port {other}: label {op.label} for {step.op}"
        begin = step.done * self.config.beat_bytes
        count = min(self.config.beat_bytes, step.op.length - begin)
        engine.memory[step.op.address + begin :][:count] = data[:count]
        engine.progress[Thread.PORT + other] = engine.progress.get(Thread.PORT + other, 0) + 1
        step.done += 1
        if begin + count == step.op.length:
            port.stores.popleft()


class Engines:
    """The engines of all ranks, and what links them.

    Parameters
    ----------
    memories : sequence of ndarray of uint8
        Of each rank; programs change them.
    peers : Peers
        As of `openppu.link.collective.wiring.Wiring`.
    config : CollectiveConfig
    seed : int
        Of the order in which they move.
    most : int
        Beats that a part moves in a turn, at most.
    """

    def __init__(
        self, memories: Sequence[np.ndarray], peers: Peers, config: CollectiveConfig, *, seed: int = 0, most: int = 20
    ) -> None:
        self._most = most
        self._chance = random.Random(seed)
        self._engines = [_Engine(config, memory) for memory in memories]
        self._movers: list[Callable[[int], bool]] = []
        for engine, ports in zip(self._engines, peers, strict=True):
            engine.peers = [None if peer is None else (self._engines[peer[0]], peer[1]) for peer in ports]
            self._movers.append(engine.dispatch)
            self._movers += [partial(engine.send, number) for number in range(len(engine.peers))]
            self._movers += [partial(engine.reduce, unit) for unit in range(len(config.units))]

    def add(self, rank: int, instruction: Instruction) -> None:
        """Let an engine have an instruction."""
        self._engines[rank].program.append(instruction)

    def go(self) -> bool:
        """Go on until nothing can; whether anything could. What is an END's is done when it is not `left`."""
        moved = False
        while True:
            self._chance.shuffle(self._movers)
            if not any([mover(self._chance.randrange(1, self._most)) for mover in self._movers]):
                return moved
            moved = True

    def left(self, rank: int) -> Sequence[Instruction]:
        """Instructions of an engine that wait: the first one for what is before it."""
        return tuple(self._engines[rank].program)


def read_instruction(values: Mapping[str, int]) -> Instruction:
    """The instruction of a command's fields, which may be one that an engine refuses: see `fault`."""
    numbers = dict(values)
    sources = numbers.pop("sources")
    slots = tuple(sources >> 4 * slot & 15 for slot in range(SLOTS))
    return Instruction(**{**numbers, "sources": slots})  # type: ignore[arg-type]


def end_of(op: Instruction, config: CollectiveConfig) -> int:
    """The byte of memory behind all that an instruction reads or writes; 0 if that is nothing."""
    beat, ends = config.beat_bytes, [0]
    if op.opcode in (Opcode.SEND, Opcode.STORE):
        ends.append(op.address + -(-op.length // beat) * beat)
    elif op.opcode == Opcode.REDUCE:
        if op.write:
            ends.append(op.address + -(-op.length * (2 if op.narrow else 4) // beat) * beat)
        for slot, source in enumerate(op.sources):
            if source == Source.MEMORY:
                size = 2 if op.narrow_sources >> slot & 1 else 4
                ends.append(op.local + -(-op.length * size // beat) * beat)
    return max(ends)


def fault(op: Instruction, config: CollectiveConfig) -> bool:
    """Whether an engine refuses an instruction: what ``openppu.link.collective.packets.Fault`` lists."""
    if op.opcode not in tuple(Opcode):
        return True
    if op.opcode in (Opcode.END, Opcode.FENCE):
        return False
    moves = op.opcode in (Opcode.SEND, Opcode.STORE, Opcode.REDUCE)
    if op.ports >> config.ports or (op.opcode != Opcode.REDUCE and not op.ports):
        return True
    if op.opcode == Opcode.STORE and op.ports.bit_count() > 1:
        return True
    if not moves:
        return False
    grain = config.lanes * (2 if op.narrow else 1) if op.opcode == Opcode.REDUCE else config.beat_bytes
    if not op.length or -(-op.length // grain) > MOST_BEATS:
        return True
    if (op.opcode != Opcode.REDUCE or op.write) and op.address % config.beat_bytes:
        return True
    return op.opcode == Opcode.REDUCE and _cannot_add(op, config)


def _cannot_add(op: Instruction, config: CollectiveConfig) -> bool:
    if op.unit >= len(config.units) or op.local % config.beat_bytes:
        return True
    named = [source for source in op.sources if source != Source.NOTHING]
    known = {Source.MEMORY, *(Source.PORT + port for port in range(config.ports))}
    if op.unit == config.joining:
        known |= {Source.UNIT_0, Source.UNIT_1}
    most = config.units[op.unit]
    wrong = not named or len(set(named)) < len(named) or not set(named) <= known
    wrong = wrong or any(source != Source.NOTHING for source in op.sources[most:])
    if op.feed:
        return wrong or bool(op.narrow or op.write or op.ports) or op.unit == config.joining or config.joining is None
    return wrong or not (op.write or op.ports)


def run(
    programs: Sequence[Sequence[Instruction]],
    memories: Sequence[np.ndarray],
    wiring: Wiring,
    config: CollectiveConfig,
    seed: int = 0,
) -> None:
    """Run all ranks' programs to their ends; ``memories`` are arrays of uint8, which change.

    Raises
    ------
    StuckError
        If none can go on before all are at their end.
    """
    engines = Engines(memories, wiring.peers, config, seed=seed)
    for rank, program in enumerate(programs):
        for instruction in program:
            engines.add(rank, instruction)
    engines.go()
    waiting = [f"rank {rank}: {engines.left(rank)[0]}" for rank in range(len(programs)) if engines.left(rank)]
    if waiting:
        raise StuckError("; ".join(waiting))


def _sum(op: Instruction, slots: list[Bits32 | None]) -> Bits32:
    """The sum as a tree of neighbours. One that has none goes up as it is."""
    while len(slots) > 1:
        slots = [_add(op, *[*slots[place : place + 2], None][:2]) for place in range(0, len(slots), 2)]
    only = slots[0]
    assert only is not None
    return only if op.integer else add32(only, np.full_like(only, MINUS_ZERO))


def _add(op: Instruction, a: Bits32 | None, b: Bits32 | None) -> Bits32 | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b if op.integer else add32(a, b)
