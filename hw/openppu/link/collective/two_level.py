"""Two levels: a mesh inside each group, and the ranks in the same place of all groups among themselves."""

from collections.abc import Sequence
from dataclasses import replace

from openppu.link.collective.block import Holding
from openppu.link.collective.copies import gather_direct, gather_ring
from openppu.link.collective.reductions import (
    Place,
    Reduction,
    Span,
    add_up,
    by_link,
    direct,
    others,
    receive,
    ring,
    shares,
)
from openppu.link.collective.schedule import Schedule


def columns(schedule: Schedule) -> list[tuple[int, ...]]:
    """The ranks in the same place of all groups."""
    return list(zip(*schedule.wiring.groups, strict=True))


def all_reduce(work: Reduction, span: Span) -> None:
    """Reduce-scatter in the groups, all-reduce between them, all-gather in the groups."""
    schedule = work.schedule
    groups = schedule.wiring.groups
    parts = shares(schedule, span, len(groups[0]))
    if len(groups) == 2:
        _between_twins(work, parts)
        return
    for group in groups:
        direct(_inside(work, group), [[part] for part in parts])
    for column, part in zip(columns(schedule), parts, strict=True):
        _across(work, column, shares(schedule, part, len(groups)))
    for group in groups:
        gather_direct(schedule, group, work.have, [[part] for part in parts], work.final)


def reduce_scatter(work: Reduction, parts: Sequence[Span]) -> None:
    """Inside, rank k of a group adds up the parts of all ranks in place k; between groups, each its own."""
    schedule = work.schedule
    groups = schedule.wiring.groups
    for group in groups:
        direct(_inside(work, group), [[parts[rank] for rank in column] for column in columns(schedule)])
    for column in columns(schedule):
        across = replace(work, ranks=column)
        if schedule.wiring.meshed(column):
            direct(across, [[parts[rank]] for rank in column], unit=1)
        else:
            ring(across, [parts[rank] for rank in column])


def all_gather(schedule: Schedule, have: dict[int, Holding], parts: Sequence[Span], place: Place) -> None:
    """Between groups first, then inside."""
    for column in columns(schedule):
        mine = [parts[rank] for rank in column]
        if schedule.wiring.meshed(column):
            gather_direct(schedule, column, have, [[part] for part in mine], place)
        else:
            gather_ring(schedule, column, have, mine, place)
    for group in schedule.wiring.groups:
        gather_direct(schedule, group, have, [[parts[rank] for rank in column] for column in columns(schedule)], place)


def _inside(work: Reduction, group: tuple[int, ...]) -> Reduction:
    """The reduction in a group, whose sums are not finished."""
    return replace(work, ranks=group, narrow=work.narrow and work.narrow_hops, final=work.partial)


def _across(work: Reduction, column: tuple[int, ...], parts: list[Span]) -> None:
    across = replace(work, ranks=column)
    if work.schedule.wiring.meshed(column):
        direct(across, [[part] for part in parts], unit=1)
        gather_direct(work.schedule, column, work.have, [[part] for part in parts], work.final)
    else:
        ring(across, parts)
        gather_ring(work.schedule, column, work.have, parts, work.final)


def _between_twins(work: Reduction, parts: list[Span]) -> None:
    """Sums of a group go to the twin as they come; the sum of both goes to the others of the group as it comes."""
    schedule = work.schedule
    groups = schedule.wiring.groups
    twins = {
        rank: schedule.wiring.links(rank, other)[0][0] for pair in columns(schedule) for rank, other in _both(pair)
    }
    insides = [_inside(work, group) for group in groups]
    labels = [direct(inside, [[part] for part in parts], forward=twins) for inside in insides]
    joining = schedule.config.joining
    assert joining is not None
    for link, spans in enumerate(by_link(insides[0], [[part] for part in parts])):
        for number, group in enumerate(groups):
            theirs = [label for (label,) in labels[1 - number][link]]
            inside = replace(work, ranks=group)
            ports = [
                {other: inside.ports(place, other)[link][0] for other in others(place, len(group))}
                for place in range(len(group))
            ]
            for place, rank in enumerate(group):
                to = tuple(ports[place].values())
                ((span,), label) = spans[place], theirs[place]
                add_up(work, rank, joining, {1 - number: twins[rank]}, number, span, label, last=True, to=to)
            for place, rank in enumerate(group):
                for other, port in ports[place].items():
                    receive(work, rank, port, spans[other][0], theirs[other])


def _both(pair: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return pair, pair[::-1]
