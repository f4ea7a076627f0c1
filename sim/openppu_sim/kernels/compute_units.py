"""Compute units that share a kernel: their queues and semaphores, and how they begin and end together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from openppu.chip.chip import ENGINES, queues_of
from openppu.config import ChipConfig

from openppu_sim.checks import whole
from openppu_sim.errors import UserError
from openppu_sim.program.command import Command

LOADED, FREE, READY, STORED, VECTOR_LOADED = range(5)
"""Semaphores of a unit, each waited for by one queue.

In this order: operands of products are loaded (the matmul queue waits); places of operands are free (load); results are
there (store); places of results are free (matmul); operands of the vector unit are loaded, or summed up (vector).
"""

FIRST_UNIT = (0, 1, 2, 3, 10)
"""Those of unit 0; the others have theirs at the end, one unit before the other."""

EACH = len(FIRST_UNIT)

PAIR = 2
"""A semaphore's number and a value."""

Queues = dict[str, list[Command]]
"""What goes into the queues, by name."""


def semaphore(chip: ChipConfig, unit: int, which: int) -> int:
    """A semaphore of a unit: unit 1 has the last five, unit 2 those before them, and so on."""
    return chip.command.semaphores - EACH * unit + which if unit else FIRST_UNIT[which]


def queue(chip: ChipConfig, unit: int, engine: str) -> str:
    """The name of a unit's queue."""
    return queues_of(chip)[unit * len(ENGINES) + ENGINES.index(engine)][0]


def chosen(
    chip: ChipConfig, units: Iterable[int] | None, *others: tuple[int, int] | None, needed: int
) -> tuple[int, ...]:
    """The units that take part, in order; None: all that the chip has semaphores for.

    Parameters
    ----------
    chip : ChipConfig
    units : iterable of int, optional
    others : tuple of (int, int), or None
        What the kernel waits for and signals.
    needed : int
        The last one of a unit's semaphores that a kernel on one unit needs.

    Raises
    ------
    UserError
        If there is no such unit, semaphores are too few, or one of ``others`` is a unit's own.
    """
    have = chip.command.semaphores
    if have <= FIRST_UNIT[needed]:
        raise UserError(f"command.semaphores = {have}: this kernel needs {FIRST_UNIT[needed] + 1}")
    most = min(chip.compute_units, 1 + max(0, have - FIRST_UNIT[-1] - 1) // EACH)
    found = tuple(range(most)) if units is None else _numbers(units)
    for unit in found:
        if not 0 <= unit < chip.compute_units:
            raise UserError(f"unit {unit}: give 0 to {chip.compute_units - 1}")
        if unit >= most:
            raise UserError(f"unit {unit}: command.semaphores = {have} are enough for {most} units")
        own = [semaphore(chip, unit, which) for which in range(EACH)]
        _check_others(others, unit, own)
    return found


def _check_others(others: Iterable[object], unit: int, own: Sequence[int]) -> None:
    """Raise UserError if a semaphore that a kernel waits for or signals is no pair, or one of a unit's own."""
    for other in others:
        if other is None:
            continue
        if not isinstance(other, Sequence) or len(other) != PAIR:
            raise UserError(f"semaphore {other!r}: give its number and a value, such as (4, 1)")
        if other[0] in own:
            raise UserError(
                f"semaphore {other[0]}: kernels on unit {unit} use {', '.join(map(str, own))}; give another one"
            )


def _numbers(units: Iterable[int]) -> tuple[int, ...]:
    try:
        given = [whole("unit", unit) for unit in units]
    except TypeError:
        raise UserError(f"units = {units!r}: give numbers of compute units, such as range(2)") from None
    if not given or len(set(given)) < len(given):
        raise UserError(f"units = {given}: give one or more, each once")
    return tuple(sorted(given))


def begin(chip: ChipConfig, units: Sequence[int], queues: Queues, wait: tuple[int, int] | None) -> None:
    """Let all units wait for a semaphore: the first one takes its value, and lets the others begin."""
    if wait is None:
        return
    first = queues[queue(chip, units[0], "load")]
    first.append(Command(name="NOTHING", wait=wait))
    for unit in units[1:]:
        begun = semaphore(chip, unit, FREE), 1
        first.append(Command(name="NOTHING", signal=begun))
        queues[queue(chip, unit, "load")].append(Command(name="NOTHING", wait=begun))


def end(chip: ChipConfig, units: Sequence[int], queues: Queues, signal: tuple[int, int] | None, *, idle: str) -> None:
    """Signal once when all units' results are in memory.

    Of several, all tell the first unit's queue of an engine that is ``idle``, which has a semaphore of its own.
    """
    if signal is None:
        return
    if len(units) == 1:
        queues[queue(chip, units[0], "store")].append(Command(name="NOTHING", signal=signal))
        return
    ended = semaphore(chip, units[0], VECTOR_LOADED if idle == "vector" else LOADED)
    for unit in units:
        queues[queue(chip, unit, "store")].append(Command(name="NOTHING", signal=(ended, 1)))
    queues[queue(chip, units[0], idle)] = [Command(name="NOTHING", wait=(ended, len(units)), signal=signal)]


def record_all(queues: Queues) -> None:
    """Let each command of an engine write a record."""
    for program in queues.values():
        program[:] = [replace(each, record=each.name != "NOTHING") for each in program]


def linked(commands: list[Command], wait: tuple[int, int] | None, signal: tuple[int, int]) -> list[Command]:
    """Commands of which the first one waits, and the last one signals."""
    commands = commands or [Command(name="NOTHING")]
    commands = [replace(commands[0], wait=wait), *commands[1:]]
    return [*commands[:-1], replace(commands[-1], signal=signal)]


def cuts(length: int, parts: int, *multiples: int) -> list[range]:
    """A length in so many parts, or fewer, the longest first, at multiples of the first number that fits.

    One fits if the longest part is an eighth longer than the average at most; the last one fits always.
    """
    for unit in multiples:
        blocks = -(-length // unit)
        longest = -(-blocks // parts) * unit
        if unit == multiples[-1] or 8 * longest * parts <= 9 * length:
            break
    parts = min(parts, blocks)
    ends = [min(length, unit * -(-blocks * number // parts)) for number in range(parts + 1)]
    return [range(begun, ended) for begun, ended in pairwise(ends)]
