"""Reduce-scatter in each algorithm: every rank ends with the sum of one part of the vector."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from openppu.link.collective.block import Block, Holding
from openppu.link.collective.instruction import Opcode, Stream
from openppu.link.collective.schedule import Schedule, Sums

Span = tuple[int, int]
"""Elements of the vector: the first one's place, and how many."""

Place = Callable[[int, int], int]
"""The address for a rank's element of the vector."""


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """What is reduced, among whom.

    Parameters
    ----------
    schedule : Schedule
    ranks : tuple of int
        Those that take part, in the order that sums follow.
    have : dict
        What each holds.
    narrow, narrow_hops : bool
        The results are bf16; sums on their way are.
    final, partial : Place
        Where results are written, and sums that are not finished.
    """

    schedule: Schedule
    ranks: tuple[int, ...]
    have: dict[int, Holding]
    narrow: bool
    narrow_hops: bool
    final: Place
    partial: Place

    def ports(self, place: int, other: int) -> list[tuple[int, int]]:
        """The links of two ranks, by their places: (port here, port there)."""
        return list(self.schedule.wiring.links(self.ranks[place], self.ranks[other]))


def shares(schedule: Schedule, span: Span, count: int) -> list[Span]:
    """A span cut into ``count`` runs of whole beats.

    All are of the same size, but for the last ones, which may be shorter or empty.
    """
    low, elements = span
    grain = schedule.grain
    beats = -(-elements // grain)
    each = -(-beats // count) * grain
    begins = [min(index * each, elements) for index in range(count + 1)]
    return [(low + begin, end - begin) for begin, end in pairwise(begins)]


def direct(
    work: Reduction,
    parts: Sequence[Sequence[Span]],
    *,
    unit: int = 0,
    gather: bool = False,
    forward: Mapping[int, int] = MappingProxyType({}),
) -> list[list[list[int]]]:
    """Every rank sends part i to rank i, which adds all of them in the order of the ranks.

    With several links between two ranks, each carries its share, and the units from ``unit`` on take a share each.
    With ``gather`` the sums go to all others as well, by the same links, as they come; with ``forward``, to the window
    behind the port that it gives for the rank. Returns the labels of the sums by link, rank, and span of its part.
    """
    schedule, ranks = work.schedule, work.ranks
    used = []
    for link, spans in enumerate(by_link(work, parts)):
        labels = [[schedule.label() for _ in spans[place]] for place in range(len(ranks))]
        used.append(labels)
        ports = [
            {other: work.ports(place, other)[link][0] for other in others(place, len(ranks))}
            for place in range(len(ranks))
        ]
        # One span of every part after the other: what is sent must not fill a queue before it is taken.
        for number in range(len(spans[0])):
            for place, rank in enumerate(ranks):
                for other, port in ports[place].items():
                    low, elements = spans[other][number]
                    for block in work.have[rank].take(low, elements) if elements else ():
                        schedule.send(block, (port,), Stream.REDUCE, labels[other][number])
            for place, rank in enumerate(ranks):
                to, stream = tuple(ports[place].values()) if gather else (), Stream.STORE
                if rank in forward:
                    to, stream = (forward[rank],), Stream.REDUCE
                span, label = spans[place][number], labels[place][number]
                add_up(work, rank, unit + link, ports[place], place, span, label, last=True, to=to, stream=stream)
            for place, rank in enumerate(ranks if gather else ()):
                for other, port in ports[place].items():
                    receive(work, rank, port, spans[other][number], labels[other][number])
    return used


def one_shot(work: Reduction, span: Span, fence: bool) -> None:
    """Every rank sends all it has to all others, and adds everything itself, in the order of the ranks."""
    schedule, ranks = work.schedule, work.ranks
    label = schedule.label()
    for place, rank in enumerate(ranks):
        for block in work.have[rank].take(*span):
            to = [work.ports(place, other)[0][0] for other in others(place, len(ranks))]
            schedule.send(block, to, Stream.REDUCE, label)
    for place, rank in enumerate(ranks):
        ports = {other: work.ports(place, other)[0][0] for other in range(len(ranks)) if other != place}
        if fence:
            schedule.add(rank, Opcode.FENCE)
        add_up(work, rank, 0, ports, place, span, label, last=True)


def ring(work: Reduction, parts: Sequence[Span]) -> None:
    """Part c starts at rank c + 1 and goes round to rank c, each adding its own to what came; the second half of each
    part the other way round, starting at rank c - 1."""
    schedule, count = work.schedule, len(work.ranks)
    halves = [shares(schedule, part, 2) for part in parts]
    for step in range(count - 1):
        for way, half in ((1, 0), (-1, 1)):
            labels = [schedule.label() for _ in range(count)]
            for place, rank in enumerate(work.ranks):
                low, elements = halves[(place - way * (step + 1)) % count][half]
                port = _round_port(work, place, way)[0]
                for block in work.have[rank].take(low, elements) if elements else ():
                    schedule.send(block, (port,), Stream.REDUCE, labels[place])
            for place, rank in enumerate(work.ranks):
                span = halves[(place - way * (step + 2)) % count][half]
                port = _round_port(work, place, -way)[0]
                label = labels[(place - way) % count]
                unit = min(half, len(schedule.config.units) - 1)
                wide = step > 0 and not work.narrow_hops
                if span[1]:
                    add_up(work, rank, unit, {0: port}, 1, span, label, last=step == count - 2, wide_ports=wide)


def halving(work: Reduction, parts: Sequence[Sequence[Span]]) -> None:
    """In step k, ranks whose places differ in bit k alone exchange the parts that belong to the other one's half, and
    add. So a part's sum is built as a tree: neighbours first."""
    count = len(work.ranks)
    for step in range(count.bit_length() - 1):
        distance, kept = 1 << step, (2 << step) - 1
        for high in range(0, count, kept + 1):
            for place in range(count):
                if not place & distance:
                    other = place | distance
                    _exchange(work, step, place, other, parts[high | place & kept], parts[high | other & kept])


def _exchange(work: Reduction, step: int, one: int, two: int, ones: Sequence[Span], twos: Sequence[Span]) -> None:
    """Rank ``one`` gets the sums of ``ones``, and ``two`` those of ``twos``; the operand of ``one`` comes first."""
    schedule, last = work.schedule, 2 << step == len(work.ranks)
    ways = [(two, one, span, schedule.label()) for span in ones]
    ways += [(one, two, span, schedule.label()) for span in twos]
    for sender, receiver, span, label in ways:
        for block in work.have[work.ranks[sender]].take(*span) if span[1] else ():
            schedule.send(block, (work.ports(sender, receiver)[0][0],), Stream.REDUCE, label)
    for sender, receiver, span, label in ways:
        if span[1]:
            ports = {int(sender == two): work.ports(receiver, sender)[0][0]}
            add_up(work, work.ranks[receiver], 0, ports, int(receiver == two), span, label, last=last)


def add_up(
    work: Reduction,
    rank: int,
    unit: int,
    ports: dict[int, int],
    slot: int,
    span: Span,
    label: int,
    *,
    last: bool,
    to: tuple[int, ...] = (),
    stream: Stream = Stream.STORE,
    wide_ports: bool = False,
) -> None:
    """Add what comes of ports to what the rank has, which the sums replace."""
    low, elements = span
    place = work.final if last else work.partial
    narrow = work.narrow if last else work.narrow and work.narrow_hops
    for own in work.have[rank].take(low, elements) if elements else ():
        sums = Sums(address=place(rank, own.low), narrow=narrow, ports=to, stream=stream)
        block = work.schedule.reduce(
            rank,
            unit,
            own,
            ports,
            sums,
            slot=slot,
            low=own.low,
            elements=own.elements,
            label=label,
            narrow_ports=own.narrow if not wide_ports else False,
        )
        assert block is not None
        work.have[rank].put(block)


def receive(work: Reduction, rank: int, port: int, span: Span, label: int) -> None:
    """Let another rank's sums come."""
    low, elements = span
    if elements:
        address = work.final(rank, low)
        block = Block(rank=rank, low=low, elements=elements, address=address, narrow=work.narrow)
        work.have[rank].put(work.schedule.store(rank, port, label, block))


def by_link(work: Reduction, parts: Sequence[Sequence[Span]]) -> list[list[list[Span]]]:
    """For each of the links between two ranks, each part's spans that travel there."""
    count = len(work.ports(0, 1))
    return [[[shares(work.schedule, span, count)[link] for span in spans] for spans in parts] for link in range(count)]


def others(place: int, count: int) -> list[int]:
    """All other places, each rank beginning behind itself, so that not all send to one first."""
    return [(place + distance) % count for distance in range(1, count)]


def _round_port(work: Reduction, place: int, way: int) -> tuple[int, int]:
    """The port to the next rank of the ring, or to the one before."""
    return work.ports(place, (place + way) % len(work.ranks))[0 if way > 0 else -1]
