"""What a collective sends: steps, each with its messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from openppu_sim.cycles.link.network import Floats, Indices


@dataclass(frozen=True)
class Step:
    """Messages that are sent together. A chip begins its part as soon as all that it gets in the step before is there.

    Attributes
    ----------
    source, destination : ndarray of int64, shape (messages,)
        Chips.
    size : ndarray of float64, shape (messages,)
        Bytes.
    reduces : bool
        What comes is added to what is there.
    operands : int
        Of each sum, if there are sums.
    times : int
        The step is done so many times in a row.
    instructions : int
        Of the engine, with which a chip sends; 0: one a message.
    whole : bool
        What comes is sent on when all of it has come, though chips stream.
    stored : bool
        What has come is written to memory, and sent on from there; else sums leave as they come.
    """

    source: Indices
    destination: Indices
    size: Floats
    reduces: bool = False
    times: int = 1
    stored: bool = True
    operands: int = 2
    instructions: int = 0
    whole: bool = False

    @property
    def token(self) -> bool:
        """Whether nothing but tokens is sent."""
        return not self.size.any()

    @cached_property
    def busiest(self) -> tuple[int, int]:
        """Of the chip that most comes to, the messages that it sends, and those that come to it."""
        chips, comes = np.unique(self.destination, return_counts=True)
        if not chips.size:
            return 0, 0
        most = chips[comes.argmax()]
        return self.instructions or int((self.source == most).sum()), int(comes.max())

    @cached_property
    def one_each(self) -> bool:
        """Whether no chip sends, or gets, more than one message."""
        return all(len(np.unique(chips)) == len(chips) for chips in (self.source, self.destination))


Schedule = list[Step]


def step(
    pairs: Sequence[tuple[int, int]],
    size: float,
    *,
    reduces: bool = False,
    times: int = 1,
    stored: bool = True,
    operands: int = 2,
) -> Step:
    """A step whose messages, from the first of each pair to the second, are of one size."""
    ends = np.array(pairs, np.int64).reshape(len(pairs), 2)
    return Step(
        ends[:, 0].copy(), ends[:, 1].copy(), np.full(len(pairs), float(size)), reduces, times, stored, operands
    )


def total_bytes(schedule: Schedule) -> float:
    """Bytes of all messages."""
    return float(sum(one.size.sum() * one.times for one in schedule))


def steps_of(schedule: Schedule) -> int:
    """Steps, repeated ones counted each time."""
    return sum(one.times for one in schedule)


def renamed(schedule: Schedule, members: Sequence[int]) -> Schedule:
    """The schedule of a group: chip i of it is ``members[i]``."""
    names = np.array(members, np.int64)
    return [replace(one, source=names[one.source], destination=names[one.destination]) for one in schedule]


def side_by_side(schedules: Sequence[Schedule]) -> Schedule:
    """Schedules of disjoint groups at the same time; all have the same steps.

    Raises
    ------
    ValueError
        If they have not.
    """
    merged = []
    for ones in zip(*schedules, strict=True):
        if len({(one.reduces, one.times) for one in ones}) != 1:
            raise ValueError("schedules with different steps cannot be merged")
        merged.append(
            Step(
                np.concatenate([one.source for one in ones]),
                np.concatenate([one.destination for one in ones]),
                np.concatenate([one.size for one in ones]),
                ones[0].reduces,
                ones[0].times,
                ones[0].stored,
                ones[0].operands,
                ones[0].instructions,
                ones[0].whole,
            )
        )
    return merged
