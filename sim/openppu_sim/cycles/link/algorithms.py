"""The steps of collectives: all-reduce, reduce-scatter, all-gather, broadcast, all-to-all, barrier.

Sizes are as nccl-tests counts them: of the whole vector that a chip gives (all-reduce, reduce-scatter, all-to-all), or
has in the end (all-gather, broadcast). Shares that do not divide are rounded up to whole bytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from openppu_sim.cycles.link.schedule import Schedule, renamed, side_by_side, step

OPERATIONS = ("allreduce", "reducescatter", "allgather", "broadcast", "alltoall", "barrier")
MOST_FACTOR = 7
"""Largest group of a stage of halving-doubling: as many as a chip of seven ports and its neighbours could be."""

PIECE = 4096
"""Bytes of a piece in a pipeline, at least,"""
MOST_PIECES = 64
"""and the number of pieces, at most."""


def share(size: float, parts: int) -> float:
    """Bytes of the largest of so many parts."""
    return float(math.ceil(size / parts))


def bus_factor(operation: str, chips: int) -> float:
    """By what busbw is more than size / time, as nccl-tests defines it: traffic that a chip's link cannot avoid."""
    if operation == "allreduce":
        return 2 * (chips - 1) / chips
    return (chips - 1) / chips if operation in ("reducescatter", "allgather", "alltoall") else 1.0


def ring(operation: str, chips: int, size: float, rings: Sequence[Sequence[int]] | None = None) -> Schedule:
    """Around one ring, or several at once with a share of the data each: every chip sends to the next one.

    Parameters
    ----------
    operation : str
        Any but all-to-all. A broadcast goes along the ring in pieces, a barrier twice around it.
    rings : sequence of sequences of int, optional
        Orders of the chips (default: 0, 1, 2, ...).
    """
    rings = rings or [range(chips)]
    pairs = [(a, b) for order in rings for a, b in zip(order, [*order[1:], order[0]], strict=True)]
    if operation == "barrier":
        return [step(pairs, 0, times=chips - 1)]
    part = share(size, chips * len(rings))
    scatter = step(pairs, part, reduces=True, times=chips - 1)
    gather = step(pairs, part, times=chips - 1)
    if operation == "broadcast":
        return _chain(chips, size, rings)
    return {"allreduce": [scatter, gather], "reducescatter": [scatter], "allgather": [gather]}[operation]


def chain_pieces(size: float, rings: int) -> int:
    """Pieces that a ring's share of a broadcast is cut into: of ``PIECE`` bytes, unless these would be too many."""
    return int(min(MOST_PIECES, max(1, math.ceil(size / (rings * PIECE)))))


def _chain(chips: int, size: float, rings: Sequence[Sequence[int]]) -> Schedule:
    """From chip 0 along each ring, its last link left out; pieces go one behind the other."""
    pieces = chain_pieces(size, len(rings))
    part = share(size, pieces * len(rings))
    chains = []
    for order in rings:
        first = list(order).index(0)
        chains.append([*order[first:], *order[:first]])
    schedule = []
    for time in range(pieces + chips - 2):
        hops = range(max(0, time - pieces + 1), min(time, chips - 2) + 1)
        schedule.append(step([(chain[hop], chain[hop + 1]) for chain in chains for hop in hops], part))
    return schedule


def direct(operation: str, chips: int, size: float) -> Schedule:
    """Every chip with every other at once: one step, or two for what reduces or begins at one chip."""
    pairs = [(a, (a + apart) % chips) for a in range(chips) for apart in range(1, chips)]
    part = share(size, chips)
    gather = step(pairs, part)
    if operation == "broadcast":
        others, part = range(1, chips), share(size, chips - 1)
        on = [(a, b) for a in others for b in others if a != b]
        return [step([(0, b) for b in others], part), *([step(on, part)] if on else [])]
    return {
        "allreduce": [step(pairs, part, reduces=True, stored=False, operands=chips), gather],
        "reducescatter": [step(pairs, part, reduces=True, operands=chips)],
        "allgather": [gather],
        "alltoall": [gather],
        "barrier": [step(pairs, 0)],
    }[operation]


def one_shot(operation: str, chips: int, size: float) -> Schedule:
    """An all-reduce in one step: every chip sends all it has to every other, and each adds it up for itself."""
    if operation != "allreduce":
        raise ValueError(f"{operation} in one shot: give allreduce")
    pairs = [(a, (a + apart) % chips) for a in range(chips) for apart in range(1, chips)]
    return [replace(step(pairs, size, reduces=True, operands=chips), instructions=1)]


def factors(chips: int) -> list[int] | None:
    """Primes that multiply to a number of chips, the smallest first; None if one is above ``MOST_FACTOR``."""
    found, divisor = [], 2
    while chips > 1 and divisor <= MOST_FACTOR:
        while chips % divisor == 0:
            found.append(divisor)
            chips //= divisor
        divisor += 1
    return found if chips == 1 else None


def halving_doubling(operation: str, chips: int, size: float) -> Schedule:
    """Recursive halving, then doubling, in log2(chips) steps each: partners 1, 2, 4, ... apart, half as much each time.

    A number of chips with factors 3, 5 or 7 has stages of so many chips, in which each sends a share to each of the
    others: no chip is left out, and each sends (n - 1) / n of the data, as for a power of two. With a larger prime in
    it, the chips above the largest power of two fold first: each sends all it has to a partner, and gets the result in
    the end.
    """
    if operation == "barrier":
        return _dissemination(chips)
    stages = factors(chips)
    if stages is not None:
        return _stages(operation, stages, size)
    inner = 1 << (chips.bit_length() - 1)
    extra = [(inner + index, index) for index in range(chips - inner)]
    back = [(b, a) for a, b in extra]
    middle = _stages(operation, [2] * (inner.bit_length() - 1), size)
    part = share(size, chips)
    fold, unfold = step(extra, size, reduces=True), step(back, size)
    if operation == "allreduce":
        return [fold, *middle, unfold]
    if operation == "reducescatter":
        return [fold, *middle, step(back, part)]
    return [step(extra, part), *middle, unfold]


def _stages(operation: str, stages: Sequence[int], size: float) -> Schedule:
    chips = math.prod(stages)
    down, apart, parts = [], 1, 1
    for group in stages:
        parts *= group
        pairs = [
            (chip, chip + (place - chip // apart % group) * apart)
            for chip in range(chips)
            for place in range(group)
            if place != chip // apart % group
        ]
        down.append((pairs, share(size, parts)))
        apart *= group
    halving = [
        step(pairs, part, reduces=True, operands=group) for (pairs, part), group in zip(down, stages, strict=True)
    ]
    doubling = [step(pairs, part) for pairs, part in reversed(down)]
    return {"allreduce": [*halving, *doubling], "reducescatter": halving, "allgather": doubling}[operation]


def _dissemination(chips: int) -> Schedule:
    """In round k every chip tells the one 2**k on: after log2 rounds, rounded up, everyone knows of everyone."""
    rounds = (chips - 1).bit_length()
    return [step([(a, (a + (1 << k)) % chips) for a in range(chips)], 0) for k in range(rounds)]


def tree_parents(chips: int) -> list[list[int | None]]:
    """Parents of each chip in two binary trees over all of them; a chip that has children in one has none in the other.

    The first tree is the in-order one over 1, 2, ..., chips, whose odd numbers are leaves; the second is the same, a
    chip further.
    """
    first = _in_order(chips)
    moved: list[int | None] = [None] * chips
    for chip, parent in enumerate(first):
        moved[(chip + 1) % chips] = None if parent is None else (parent + 1) % chips
    return [first, moved]


def _in_order(chips: int) -> list[int | None]:
    parents: list[int | None] = [None] * chips

    def place(low: int, high: int, parent: int | None) -> None:
        if low <= high:
            height = (high - low + 1).bit_length() - 1
            root = min(low - 1 + (1 << height), high)
            parents[root] = parent
            place(low, root - 1, root)
            place(root + 1, high, root)

    place(0, chips - 1, None)
    return parents


def double_tree(operation: str, chips: int, size: float, pieces: int = 1) -> Schedule:
    """Two binary trees with half of the data each: up to the roots with reductions, down again, piece behind piece.

    Parameters
    ----------
    operation : str
        All-reduce, broadcast (a copy of the second half goes to the second root first) or barrier.
    pieces : int
        Of each half.
    """
    trees = tree_parents(chips)
    part = 0.0 if operation == "barrier" else share(size, 2 * pieces)
    pieces = 1 if operation == "barrier" else pieces
    up: dict[int, list[tuple[int, int]]] = {}
    down: dict[int, list[tuple[int, int]]] = {}
    for parents in trees:
        depth = [_depth(parents, chip) for chip in range(chips)]
        for chip, parent in enumerate(parents):
            if parent is not None:
                up.setdefault(max(depth) - depth[chip], []).append((chip, parent))
                down.setdefault(depth[chip] - 1, []).append((parent, chip))
    rising = _pipeline(up, part, pieces, reduces=True)
    falling = _pipeline(down, part, pieces, reduces=False)
    if operation == "broadcast":
        roots = [parents.index(None) for parents in trees]
        lead = [(0, root) for root in roots if root != 0]
        return [*([step(lead, part * pieces)] if lead else []), *falling]
    return [*rising, *falling]


def _depth(parents: Sequence[int | None], chip: int) -> int:
    depth = 0
    while (parent := parents[chip]) is not None:
        chip, depth = parent, depth + 1
    return depth


def _pipeline(levels: dict[int, list[tuple[int, int]]], part: float, pieces: int, *, reduces: bool) -> Schedule:
    """Piece p passes level l in step p + l."""
    schedule = []
    for time in range(len(levels) + pieces - 1):
        pairs = [pair for level in levels if 0 <= time - level < pieces for pair in levels[level]]
        schedule.append(step(pairs, part, reduces=reduces))
    return schedule


Part = Callable[[str, int, float], Schedule]


def two_level(
    operation: str,
    groups: Sequence[Sequence[int]],
    size: float,
    *,
    inside: Part = direct,
    across: Part = direct,
    pieces: int = 1,
) -> Schedule:
    """Groups of chips, all alike: inside each, across between the chips of one place in them, and inside again.

    An all-reduce of two groups: sums of a group go to the twins as they come, and the sums of both to the group as they
    come, so that pieces of the vector are in all three stages at once.

    Parameters
    ----------
    operation : str
        All-reduce, reduce-scatter, all-gather or barrier.
    groups : sequence of sequences of int
        The chips of each group.
    inside, across : function
        The algorithms.
    pieces : int
        Of an all-reduce of two groups.
    """
    if operation == "allreduce" and len(groups) == 2:
        return _twins(groups, share(size, pieces), pieces)
    own = len(groups[0])
    rails = list(zip(*groups, strict=True))
    part = share(size, own)

    def within(what: str) -> Schedule:
        return side_by_side([renamed(inside(what, own, size), group) for group in groups])

    def between(what: str) -> Schedule:
        return side_by_side([renamed(across(what, len(groups), part), rail) for rail in rails])

    if operation == "allreduce":
        return [*within("reducescatter"), *between("allreduce"), *within("allgather")]
    if operation == "reducescatter":
        first, *rest = within("reducescatter")
        links = 2 if len(groups) == 2 else 1  # of a chip's two to each other one of its group
        sends = first.busiest[0] * len(groups) * links
        return [replace(first, instructions=sends), *rest, *between("reducescatter")]
    if operation == "allgather":
        if across is not direct or inside is not direct:
            return [*between("allgather"), *within("allgather")]
        return _gather(groups, rails, size)
    return [*within("barrier"), *between("barrier")]


def _twins(groups: Sequence[Sequence[int]], size: float, pieces: int) -> Schedule:
    """Piece p is in stage s in step p + s: summed up in its group; with the twin's; given to the group."""
    part = share(size, len(groups[0]))
    inside = [(a, b) for group in groups for a in group for b in group if a != b]
    twins = [pair for ends in zip(*groups, strict=True) for pair in (ends, ends[::-1])]
    stages = [(inside, True), (twins, True), (inside, False)]
    schedule = []
    for time in range(pieces + len(stages) - 1):
        live = [stage for number, stage in enumerate(stages) if 0 <= time - number < pieces]
        pairs = [pair for ends, _ in live for pair in ends]
        reduces = any(sums for _, sums in live)
        schedule.append(step(pairs, part, reduces=reduces, stored=not reduces, operands=len(groups[0])))
    return schedule


def _gather(groups: Sequence[Sequence[int]], rails: Sequence[Sequence[int]], size: float) -> Schedule:
    """A chip's own part goes across and into its group at once; then what has come from across goes into the group."""
    part = share(size, len(groups) * len(rails))
    inside, across = ([(a, b) for chips in some for a in chips for b in chips if a != b] for some in (groups, rails))
    first = replace(step([*across, *inside], part), whole=True)
    return [first, step(inside, part * (len(groups) - 1))]
