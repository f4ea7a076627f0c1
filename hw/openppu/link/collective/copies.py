"""What moves without being added: gather, broadcast, all-to-all; and the barrier."""

from collections.abc import Sequence
from itertools import product

from openppu.link.collective.block import Block, Holding
from openppu.link.collective.instruction import Opcode
from openppu.link.collective.reductions import Place, Span, shares
from openppu.link.collective.schedule import Move, Schedule, Sums


def gather_direct(
    schedule: Schedule, ranks: Sequence[int], have: dict[int, Holding], parts: Sequence[Sequence[Span]], place: Place
) -> None:
    """Every rank sends part i, which it has, to all others; i is its place among them."""
    count = len(ranks)
    for spans in zip(*parts, strict=True):
        moves = []
        for index, rank in enumerate(ranks):
            for distance in range(1, count):
                moves += _moves(have[rank], spans[index], ranks[(index + distance) % count], place)
        _copy(schedule, have, moves)


def gather_ring(
    schedule: Schedule, ranks: Sequence[int], have: dict[int, Holding], parts: Sequence[Span], place: Place
) -> None:
    """Every part goes round the ring, its second half the other way."""
    count = len(ranks)
    halves = [shares(schedule, part, 2) for part in parts]
    for step in range(count - 1):
        moves = []
        for way, half in ((1, 0), (-1, 1)):
            for index, rank in enumerate(ranks):
                span = halves[(index - way * step) % count][half]
                moves += _moves(have[rank], span, ranks[(index + way) % count], place)
        _copy(schedule, have, moves)


def gather_doubling(
    schedule: Schedule, ranks: Sequence[int], have: dict[int, Holding], parts: Sequence[Sequence[Span]], place: Place
) -> None:
    """In step k, ranks whose places differ in bit k alone send each other all that they have by then."""
    count = len(ranks)
    for step in range(count.bit_length() - 1):
        for low in range(1 << step):
            for number in range(len(parts[0])):
                moves = []
                for index, rank in enumerate(ranks):
                    # Those whose upper bits agree with the rank's have been collected.
                    span = parts[index & ~((1 << step) - 1) | low][number]
                    moves += _moves(have[rank], span, ranks[index ^ 1 << step], place)
                _copy(schedule, have, moves)


def broadcast_tree(schedule: Schedule, have: dict[int, Holding], root: int, span: Span, place: Place) -> None:
    """The root's data goes along shortest paths, each rank forwarding what has come."""
    paths = schedule.wiring.paths(root)
    for rank in sorted(paths, key=lambda rank: len(paths[rank])):
        if rank != root:
            _copy(schedule, have, _moves(have[paths[rank][-2]], span, rank, place))


def broadcast_direct(schedule: Schedule, have: dict[int, Holding], root: int, span: Span, place: Place) -> None:
    """The root sends every other rank a part, which that one sends to all others."""
    others = [rank for rank in range(schedule.wiring.ranks) if rank != root]
    parts = shares(schedule, span, len(others))
    moves = [move for rank, part in zip(others, parts, strict=True) for move in _moves(have[root], part, rank, place)]
    _copy(schedule, have, moves)
    gather_direct(schedule, others, have, [[part] for part in parts], place)


def all_to_all(schedule: Schedule, parts: dict[tuple[int, int], Block], place: Place, transit: int) -> int:
    """Part (source, destination) goes along a shortest path, waiting in memory on its way, from address ``transit`` on.

    Returns the bytes that a rank needs there at most.
    """
    wiring = schedule.wiring
    paths = {rank: wiring.paths(rank) for rank in range(wiring.ranks)}
    ways = {ends: paths[ends[0]][ends[1]] for ends in parts}
    at = dict(parts)
    pieces = {ends: [block] for ends, block in at.items()}
    used = [0] * wiring.ranks
    distances = range(1, wiring.ranks)
    for hop in range(1, max(map(len, ways.values()))):
        # One move a port at a time, so that no queue fills before its other end has been told.
        for batch in [distances] if wiring.meshed(tuple(range(wiring.ranks))) else [(each,) for each in distances]:
            moves: list[tuple[tuple[int, int], Move]] = []
            for distance, source in product(batch, range(wiring.ranks)):
                ends = (source, (source + distance) % wiring.ranks)
                if hop >= len(ways[ends]):
                    continue
                to, whole = ways[ends][hop], parts[ends]
                if to == ends[1]:
                    address = place(to, source)
                else:
                    address = transit + used[to]
                    used[to] += schedule.beats(whole.bytes) * schedule.config.beat_bytes
                for block in pieces[ends]:
                    moves.append((ends, (block, to, address + (block.low - whole.low) * whole.width)))
            for ends, _ in moves:
                pieces[ends] = []
            for (ends, _), there in zip(moves, schedule.copies([move for _, move in moves]), strict=True):
                pieces[ends] += there
    return max(used)


def copy_local(schedule: Schedule, block: Block, address: int) -> Block:
    """Copy within a rank's memory, as sums of one operand modulo 2**32, which changes nothing."""
    integer, schedule.integer = schedule.integer, True
    sums = Sums(address=address, narrow=block.narrow)
    span = dict(low=block.low, elements=block.elements)
    found = schedule.reduce(block.rank, 0, block, {}, sums, **span, label=schedule.label(), narrow_ports=False)
    schedule.integer = integer
    assert found is not None
    return found


def barrier_direct(schedule: Schedule) -> None:
    """Every rank sends all others a token, and waits for theirs."""
    wiring = schedule.wiring
    masks = [
        sum(1 << wiring.links(rank, other)[0][0] for other in wiring.neighbours(rank)) for rank in range(wiring.ranks)
    ]
    for rank, mask in enumerate(masks):
        schedule.add(rank, Opcode.TOKEN, ports=mask)
    for rank, mask in enumerate(masks):
        schedule.add(rank, Opcode.WAIT, ports=mask)


def barrier_tree(schedule: Schedule) -> None:
    """Tokens go along a tree of shortest paths to rank 0, and back when all have come."""
    wiring = schedule.wiring
    paths = wiring.paths(0)
    order = sorted(paths, key=lambda rank: -len(paths[rank]))
    children: dict[int, list[int]] = {rank: [] for rank in order}
    for rank in order[:-1]:
        children[paths[rank][-2]].append(rank)

    def port(rank: int, other: int) -> int:
        return 1 << wiring.links(rank, other)[0][0]

    for rank in order:
        if children[rank]:
            schedule.add(rank, Opcode.WAIT, ports=sum(port(rank, child) for child in children[rank]))
        if rank != 0:
            schedule.add(rank, Opcode.TOKEN, ports=port(rank, paths[rank][-2]))
    for rank in reversed(order):
        if rank != 0:
            schedule.add(rank, Opcode.WAIT, ports=port(rank, paths[rank][-2]))
        if children[rank]:
            schedule.add(rank, Opcode.TOKEN, ports=sum(port(rank, child) for child in children[rank]))


def _moves(have: Holding, span: Span, other: int, place: Place) -> list[Move]:
    """What of a rank's goes to another one, and where to."""
    return [(block, other, place(other, block.low)) for block in (have.take(*span) if span[1] else ())]


def _copy(schedule: Schedule, have: dict[int, Holding], moves: Sequence[Move]) -> None:
    for (_, other, _), found in zip(moves, schedule.copies(moves), strict=True):
        for block in found:
            have[other].put(block)
