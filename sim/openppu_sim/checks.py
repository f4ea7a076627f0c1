"""What any part that takes values from users is sure of, in one line each."""

import operator
from collections.abc import Sequence

from openppu_sim.errors import UserError

MOST = 12
"""Names of a list that a message has."""


def whole(what: str, given: object, least: int | None = None) -> int:
    """A whole number, of any type that is one.

    Raises
    ------
    UserError
        If it is none, or less than ``least``.
    """
    try:
        value = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise UserError(f"{what} = {given!r}: give a whole number") from None
    if least is not None and value < least:
        raise UserError(f"{what} = {value}: give at least {least}")
    return value


def set_whole(thing: object, name: str, what: str, least: int | None = None) -> None:
    """Make an attribute a Python number, as of `whole`: numbers of numpy's types overflow when they are computed with.

    ``thing`` may be a frozen dataclass.
    """
    object.__setattr__(thing, name, whole(what, getattr(thing, name), least))


def some(names: Sequence[str]) -> str:
    """Names for a message: all, or of many the first ones and the last."""
    if len(names) <= MOST:
        return ", ".join(names)
    return f"{', '.join(names[: MOST - 2])} ... {names[-1]}"
