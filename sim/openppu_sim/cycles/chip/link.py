"""The link unit of a chip in time: copies and signals to other chips, and the collective engine's instructions.

Data flows: it is not followed word by word, but from its first word to its last, at the rate of what it goes through.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from openppu.config import ChipConfig
from openppu.link.bridge.beat_runs import BLOCK_BYTES
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import Instruction, Opcode, Source, Stream, Thread
from openppu.link.config import FLIT_BYTES, HEADER_BYTES

from openppu_sim.cycles.chip.events import Events
from openppu_sim.cycles.collectives import DONE, FIRST_WORD, INTO_UNIT, OUT, THROUGH_MEMORY, UNIT_OF_2, UNIT_OF_4
from openppu_sim.reference.collective_programs import read_instruction

PORT = 12
"""Clocks of a port from word to word, beside a flit's beats (docs/link.md)."""

LANES = 4
"""Clocks of the lanes' way, as they are simulated."""

SIGNAL = 24
"""Clocks of a signal beside its way: initiator, target, and what was written before it."""

READ, WRITE = 26, 20
"""Clocks of memory, network included, to a first word, and from a last one to its acknowledge."""

HAS = 3
"""Clocks from an instruction to its end, which is told when the collective engine has it."""

PACKET = 4096
"""Bytes of a packet of a copy."""


@dataclass
class _Flow:
    """Data on its way through a port; clocks in which its first and last beats are there to be sent."""

    port: int
    stream: int
    length: int
    first: float | None = None
    last: float = 0.0
    then: Callable[[float], None] = lambda last: None
    """Told of the clock in which the last beat is sent."""


@dataclass
class _Arrival:
    first: float
    last: float


@dataclass
class _Port:
    out: deque[_Flow] = field(default_factory=deque)
    free: float = 0.0
    window: deque[_Arrival] = field(default_factory=deque)
    stores: deque[tuple[float, Instruction]] = field(default_factory=deque)
    granted: deque[float] = field(default_factory=deque)
    tokens: deque[float] = field(default_factory=deque)


class LinkCycles:
    """The engine of the link's queue.

    Parameters
    ----------
    config : ChipConfig
    events : Events
    does : function of a command's name and fields
        The reference: the error, or None as long as it waits for other chips.
    """

    def __init__(
        self, config: ChipConfig, events: Events, does: Callable[[str, Mapping[str, int]], int | None]
    ) -> None:
        self.events, self.does = events, does
        self.collective = CollectiveConfig(link=config.link)
        link = config.link
        self.rate = link.beat_bytes * link.payload_bytes / 256
        self.hop = PORT + link.beats + LANES + (link.beats - 1) / 2
        self.ended: Callable[[int], None] = lambda error: None
        self.sent: Callable[[], None] = lambda: None
        """Called when the reference has something for other chips."""
        self.go: Callable[[], object] = lambda: None
        """Lets the collective engines of all chips do what they can."""
        self.peers: Sequence[tuple[LinkCycles, int] | None] = ()
        self.copies_until = 0
        self.ports = [_Port() for _ in range(link.ports)]
        self.program: deque[tuple[int, Instruction, Callable[[], None] | None]] = deque()
        self.units: dict[int, deque[tuple[float, Instruction, list[_Flow]]]] = {}
        self.floor = 0.0
        self.open = 0
        self.done = 0.0
        self.threads: dict[int, list[_Arrival]] = {}
        self.busy: list[tuple[int, int, int, int]] = []
        """Of each flow that has left: port, first and last clock, bytes."""

    def offer(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""
        if name == "SEND":
            self.events.at(max(self.events.now, self.copies_until), lambda: self._copy(fields, taken))
        else:
            self._instruct(name, fields, taken)

    def heard(self) -> None:
        """As of `openppu_sim.cycles.chip.queue.Engine`."""

    def signal(self, arrives: Callable[[], None]) -> None:
        """A signal for another chip sets out."""
        self.events.at(int(self.events.now + self.hop + SIGNAL), arrives)

    def flits(self, port: int, now: int) -> int:
        """That a port has sent with data by a clock."""
        sent = 0.0
        for number, first, last, size in self.busy:
            if number == port and first < now:
                share = min(1.0, (now - first) / max(1, last - first))
                sent += share * size / (FLIT_BYTES - HEADER_BYTES)
        return int(sent)

    def _copy(self, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        now, size = self.events.now, fields["bytes"]
        error = self.does("SEND", fields)
        self.sent()
        wire = size + -(-size // PACKET) * HEADER_BYTES
        end = now + HAS if error else int(now + READ + wire / self.rate + 2 * self.hop + WRITE)
        if not error:
            self.busy.append((0, now + READ, int(now + READ + wire / self.rate), size))
        self.copies_until = end
        self.events.at(end, lambda: self.ended(error or 0))
        taken()

    # The collective engine.

    def _instruct(self, name: str, fields: Mapping[str, int], taken: Callable[[], None]) -> None:
        now = self.events.now
        error = self.does(name, fields)
        self.go()
        taken()
        if error:
            self.events.at(now + HAS, lambda: self.ended(error))
            return
        instruction = read_instruction(fields)
        ends = instruction.opcode == Opcode.END

        def over() -> None:
            self.go()
            found = self.does(name, fields)
            self.ended(found or 0)

        self.program.append((now, instruction, over if ends else None))
        if not ends:
            self.events.at(now + HAS, lambda: self.ended(0))
        self._progress()

    def _progress(self) -> None:
        """Work out all that can be, on all chips."""
        moved = True
        while moved:
            moved = False
            for engine in self._all():
                while engine._dispatch() or engine._ports() or engine._reduce():
                    moved = True

    def _all(self) -> "list[LinkCycles]":
        found, new = [self], [self]
        while new:
            more = [peer[0] for engine in new for peer in engine.peers if peer is not None]
            new = []
            for engine in more:
                if engine not in found:
                    found.append(engine)
                    new.append(engine)
        return found

    def _dispatch(self) -> bool:
        if not self.program:
            return False
        now, op, over = self.program[0]
        at = max(float(now), self.floor)
        ports = [number for number in range(len(self.ports)) if op.ports >> number & 1]
        if op.opcode in (Opcode.END, Opcode.FENCE):
            if self.open:
                return False
            self.floor = max(at, self.done) + (DONE if over else 0)
            if over is not None:
                self.threads.clear()
                self.events.at(int(self.floor), over)
        elif op.opcode == Opcode.SEND:
            for number in ports:
                flow = _Flow(number, op.stream, op.length, then=self._opened())
                flow.first = at + FIRST_WORD + READ + self._run(op.length)
                self._after_thread(op, flow)
                self.ports[number].out.append(flow)
        elif op.opcode == Opcode.STORE:
            for number in ports:
                self.ports[number].stores.append((at, op))
                self.ports[number].granted.append(at)
                self.open += 1
        elif op.opcode == Opcode.REDUCE:
            width = 2 if op.narrow else 4
            flows = [_Flow(number, op.stream, op.length * width, then=self._opened()) for number in ports]
            for flow in flows:
                self.ports[flow.port].out.append(flow)
            self.open += 1
            self.units.setdefault(op.unit, deque()).append((at, op, flows))
        elif op.opcode == Opcode.TOKEN:
            for number in ports:
                peer = self.peers[number]
                if peer is not None:
                    peer[0].ports[peer[1]].tokens.append(at + self.hop)
        elif op.opcode == Opcode.WAIT:
            if not all(self.ports[number].tokens for number in ports):
                return False
            self.floor = max([at, *(self.ports[number].tokens.popleft() for number in ports)])
        self.program.popleft()
        return True

    def _opened(self) -> Callable[[float], None]:
        self.open += 1
        return self._closed

    def _closed(self, last: float) -> None:
        self.open -= 1
        self.done = max(self.done, last)

    def _after_thread(self, op: Instruction, flow: _Flow) -> None:
        """What a thread has to have written before is not sent earlier."""
        written = self.threads.get(int(op.thread), [])
        if op.wait and written and flow.first is not None:
            flow.first = max(flow.first, written[-1].first + THROUGH_MEMORY + READ)
            flow.last = written[-1].last + THROUGH_MEMORY + READ

    def _run(self, size: int) -> float:
        """Clocks in which the bridges of the collective engine's streams gather the beats of a request."""
        return min(size, BLOCK_BYTES) / self.collective.beat_bytes

    def _time(self, size: int) -> float:
        """Clocks in which a port moves so many bytes, in packets."""
        packets = -(-size // (self.collective.packet * self.collective.beat_bytes))
        return (size + packets * HEADER_BYTES) / self.rate

    def _ports(self) -> bool:
        """Send what is there, at each port in order."""
        moved = False
        for number, port in enumerate(self.ports):
            peer = self.peers[number] if number < len(self.peers) else None
            while port.out and peer is not None and port.out[0].first is not None:
                flow, other = port.out[0], peer[0].ports[peer[1]]
                first = max(flow.first or 0.0, port.free)
                if flow.stream == Stream.STORE:
                    if not other.granted:
                        break
                    first = max(first, other.granted.popleft() + peer[0].hop)
                last = max(first + self._time(flow.length), flow.last + 1)
                port.out.popleft()
                port.free = last
                self.busy.append((number, int(first), int(last), flow.length))
                flow.then(last)
                # The last beat is known to be right when its flit has come, which has more beats than these.
                way = self.hop + self.collective.link.beats / 2
                peer[0]._arrives(peer[1], flow, _Arrival(first + way, last + way))
                moved = True
        return moved

    def _arrives(self, number: int, flow: _Flow, arrival: _Arrival) -> None:
        port = self.ports[number]
        if flow.stream == Stream.STORE:
            port.stores.popleft()
            written = WRITE + self._run(flow.length)
            self.threads.setdefault(int(Thread.PORT) + number, []).append(
                _Arrival(arrival.first + written, arrival.last + written)
            )
            self._closed(arrival.last + written)
        else:
            port.window.append(arrival)

    def _reduce(self) -> bool:
        moved = False
        for waiting in self.units.values():
            while waiting:
                at, op, flows = waiting[0]
                sources = [int(source) - int(Source.PORT) for source in op.sources if source >= Source.PORT]
                if not all(self.ports[number].window for number in sources):
                    break
                waiting.popleft()
                moved = True
                arrivals = [self.ports[number].window.popleft() for number in sources]
                size = op.length * 4
                beyond = max(0, size - self.collective.window * self.collective.beat_bytes)
                late = max([0.0, *(at - arrival.first for arrival in arrivals)])
                unit = UNIT_OF_4 if op.unit == 0 and len(self.ports) > 1 else UNIT_OF_2
                first = max([at + FIRST_WORD + READ, *(arrival.first for arrival in arrivals)]) + INTO_UNIT + unit
                last = max([first + size / self.collective.beat_bytes, *(a.last + INTO_UNIT + unit for a in arrivals)])
                if late and beyond:
                    last = max(last, first + 2 * self.hop + self._time(beyond))
                for flow in flows:
                    flow.first, flow.last = first + OUT, last + OUT
                if op.write:
                    self.threads.setdefault(int(Thread.UNIT) + op.unit, []).append(
                        _Arrival(first, last + WRITE + self._run(size))
                    )
                self._closed(last + (WRITE + self._run(size) if op.write else 0))
        return moved
