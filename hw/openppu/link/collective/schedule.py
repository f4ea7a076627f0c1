"""The programs of all ranks while the planner writes them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from openppu.link.collective.block import WIDE_BYTES, Block
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.instruction import LABEL_BITS, MOST_BEATS, Instruction, Opcode, Source, Stream, Thread
from openppu.link.collective.wiring import Wiring

Move = tuple[Block, int, int]
"""Elements, the rank that they go to, and the address there."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Where the sums of a reduction go.

    Parameters
    ----------
    address : int or None
        In memory; None: not there.
    ports : tuple of int
        To these peers as well, in ``stream``.
    narrow : bool
        Rounded to bf16.
    """

    address: int | None
    narrow: bool
    ports: tuple[int, ...] = ()
    stream: Stream = Stream.STORE


@dataclass(kw_only=True)
class Schedule:
    """Programs that grow. Instructions are added in an order in which they could be done one after the other, over all
    ranks; each rank's are in that order, which is why none waits for a later one.

    Parameters
    ----------
    wiring : Wiring
    config : CollectiveConfig
    grain : int
        Elements of a beat.
    integer : bool
        Sums are those of int32.
    """

    wiring: Wiring
    config: CollectiveConfig
    grain: int
    integer: bool = False
    programs: list[list[Instruction]] = field(init=False)

    def __post_init__(self) -> None:
        self.programs = [[] for _ in range(self.wiring.ranks)]
        self._written: dict[tuple[int, int], int] = {}
        self._label = 0

    @property
    def most_progress(self) -> int:
        """Beats that the busiest thread writes."""
        return max(self._written.values(), default=0)

    def label(self) -> int:
        """A new label for what travels."""
        self._label = (self._label + 1) % (1 << LABEL_BITS)
        return self._label

    def add(self, rank: int, opcode: Opcode, **values: object) -> None:
        """Add any instruction."""
        self.programs[rank].append(Instruction(opcode=opcode, **values))  # type: ignore[arg-type]

    def beats(self, count: int) -> int:
        """Beats of so many bytes."""
        return -(-count // self.config.beat_bytes)

    def send(self, block: Block, ports: Sequence[int], stream: Stream, label: int) -> None:
        """Send elements from memory."""
        self._check(block.bytes)
        self.add(
            block.rank,
            Opcode.SEND,
            ports=sum(1 << port for port in ports),
            stream=stream,
            label=label,
            address=block.address,
            length=block.bytes,
            **_wait(block),
        )

    def store(self, rank: int, port: int, label: int, block: Block) -> Block:
        """Receive elements into memory, as ``block`` of another rank has them but for the address."""
        self._check(block.bytes)
        self.add(rank, Opcode.STORE, ports=1 << port, label=label, address=block.address, length=block.bytes)
        return self._writes(rank, Thread.PORT + port, block)

    def copies(self, moves: Sequence[Move]) -> list[list[Block]]:
        """Send elements to other ranks' memory, shared out to all links there are between two. Returns, for each of the
        ``moves``, the blocks that hold them there. All are sent before the first is received, as far as queues allow.
        """
        found: list[list[Block]] = [[] for _ in moves]
        sent: list[tuple[int, Block, int, int]] = []
        queued: Counter[tuple[int, int]] = Counter()

        def receive() -> None:
            for place, target, port, label in sent:
                found[place].append(self.store(target.rank, port, label, target))
            sent.clear()
            queued.clear()

        for place, (block, other, address) in enumerate(moves):
            links = self.wiring.links(block.rank, other)
            for index, (port, far_port) in enumerate(links):
                piece = self._share(block, index, len(links))
                if piece is None:
                    continue
                if queued[block.rank, port] == self.config.queue:
                    receive()
                label = self.label()
                self.send(piece, (port,), Stream.STORE, label)
                queued[block.rank, port] += 1
                target = self._moved(piece, other, address + (piece.low - block.low) * block.width)
                sent.append((place, target, far_port, label))
        receive()
        return found

    def reduce(
        self,
        rank: int,
        unit: int,
        local: Block | None,
        ports: dict[int, int],
        sums: Sums,
        *,
        slot: int = 0,
        low: int,
        elements: int,
        label: int,
        narrow_ports: bool,
    ) -> Block | None:
        """Add operands in the order of their slots, 0 to 7: ``local`` in ``slot``, those of ports as ``ports`` says.

        More slots than ``unit`` has need the two units of four and the joining one. Returns what is written to memory.
        """
        slots: dict[int, int] = {slot: Source.PORT + port for slot, port in ports.items()}
        if local is not None:
            slots[slot] = Source.MEMORY
        if max(slots) < self.config.units[unit]:
            return self._unit(rank, unit, slots, local, sums, low, elements, label, narrow_ports)
        joining = self.config.joining
        assert joining is not None
        for half in range(2):
            some = {slot - 4 * half: source for slot, source in slots.items() if slot // 4 == half}
            own = local if Source.MEMORY in some.values() else None
            self._unit(rank, half, some, own, None, low, elements, label, narrow_ports)
        both = {0: int(Source.UNIT_0), 1: int(Source.UNIT_1)}
        return self._unit(rank, joining, both, None, sums, low, elements, label, narrow_ports)

    def _unit(
        self,
        rank: int,
        unit: int,
        slots: dict[int, int],
        local: Block | None,
        sums: Sums | None,
        low: int,
        elements: int,
        label: int,
        narrow_ports: bool,
    ) -> Block | None:
        """One unit's part of a reduction; without ``sums`` it feeds the joining unit."""
        self._check(elements * WIDE_BYTES)
        sources = tuple(slots.get(slot, Source.NOTHING) for slot in range(max(slots) + 1))
        narrow = 0
        for slot, source in slots.items():
            is_narrow = (local is not None and local.narrow) if source == Source.MEMORY else narrow_ports
            if is_narrow and source not in (Source.UNIT_0, Source.UNIT_1):
                narrow |= 1 << slot
        values: dict[str, object] = dict(unit=unit, label=label, length=elements, sources=sources)
        values |= dict(narrow_sources=narrow, integer=int(self.integer))
        if local is not None:
            values |= dict(local=local.address, **_wait(local))
        if sums is None:
            self.add(rank, Opcode.REDUCE, feed=1, **values)
            return None
        values |= dict(narrow=int(sums.narrow), stream=sums.stream, ports=sum(1 << port for port in sums.ports))
        if sums.address is None:
            self.add(rank, Opcode.REDUCE, **values)
            return None
        self.add(rank, Opcode.REDUCE, write=1, address=sums.address, **values)
        block = Block(rank=rank, low=low, elements=elements, address=sums.address, narrow=sums.narrow)
        return self._writes(rank, Thread.UNIT + unit, block)

    def _writes(self, rank: int, thread: int, block: Block) -> Block:
        base = self._written.get((rank, thread), 0)
        self._written[rank, thread] = base + self.beats(block.bytes)
        return Block(
            rank=rank,
            low=block.low,
            elements=block.elements,
            address=block.address,
            narrow=block.narrow,
            thread=thread,
            base=base,
        )

    def _share(self, block: Block, index: int, links: int) -> Block | None:
        """The part of a block that travels on one of several links."""
        each = -(-self.beats(block.bytes) // links) * self.grain
        low = min(each * index, block.elements)
        count = min(each, block.elements - low)
        return block.part(block.low + low, count, self.config.beat_bytes) if count > 0 else None

    def _moved(self, block: Block, rank: int, address: int) -> Block:
        return Block(rank=rank, low=block.low, elements=block.elements, address=address, narrow=block.narrow)

    def _check(self, count: int) -> None:
        assert 0 < self.beats(count) <= MOST_BEATS, count


def _wait(block: Block) -> dict[str, int]:
    return {} if block.thread is None else dict(wait=1, thread=block.thread, base=block.base)
