"""What happens at a clock edge: registers that change under the same conditions, brought together."""

from dataclasses import dataclass

from openppu.emission.expression import Expression, Operation, condition
from openppu.emission.rtlil import Assign, Bits, Slice, Statement, width_of


@dataclass(frozen=True)
class Update:
    """Bits ``low`` to ``low + width - 1`` of a register, or of a memory's word at ``index``, get a value."""

    wire: str
    low: int
    width: int
    value: Expression
    index: Bits | None = None


@dataclass
class Branch:
    """The action of the first arm whose condition holds; None always does."""

    arms: list[tuple[Expression | None, list["Action"]]]


Action = Update | Branch


def actions(body: list[Statement], target: str, register: str) -> list[Action]:
    """A process that drives ``target``, the next value of ``register``, as actions on that register."""
    result: list[Action] = []
    for statement in body:
        if isinstance(statement, Assign):
            (place,) = statement.target
            assert isinstance(place, Slice)
            assert place.wire == target
            result.append(Update(register, place.low, place.width, statement.value))
        else:
            arms = [
                (condition(statement.value, patterns) if patterns else None, actions(inner, target, register))
                for patterns, inner in statement.cases
            ]
            while arms and not arms[-1][1]:
                arms.pop()
            if arms:
                result.append(Branch(arms))
    return result


def without_holds(body: list[Action]) -> list[Action]:
    """The actions without a first one that gives bits of a register their own value."""
    first = body[0]
    if isinstance(first, Branch) or isinstance(first.value, Operation):
        return body
    changes: list[Update] = []
    low = first.low
    for chunk in first.value:
        if not (isinstance(chunk, Slice) and chunk == (first.wire, low, chunk.width)):
            last = changes.pop() if changes and changes[-1].low + changes[-1].width == low else None
            start, value = (last.low, (*last.value, chunk)) if last else (low, (chunk,))  # type: ignore[misc]
            changes.append(Update(first.wire, start, width_of(value), value))
        low += chunk.width
    return [*changes, *body[1:]]


def split_reset(body: list[Action], reset: Bits) -> tuple[list[Action], list[Action]]:
    """What happens without and with reset, if a reset is the last thing the actions look at."""
    last = body[-1] if body else None
    if isinstance(last, Branch) and len(last.arms) == 1 and last.arms[0][0] == reset:
        return body[:-1], last.arms[0][1]
    return body, []


def merge(into: list[Action], more: list[Action]) -> None:
    """Add the actions on one register to those on others, in the branches that have the same conditions."""
    place = 0
    for action in more:
        if isinstance(action, Update):
            while place < len(into) and isinstance(into[place], Update):
                place += 1
            into.insert(place, action)
            place += 1
            continue
        twin = next((i for i in range(place, len(into)) if _alike(into[i], action)), len(into))
        if twin == len(into):
            into.append(action)
        else:
            _merge_arms(into[twin], action)
        place = twin + 1


def _conditions(branch: Branch) -> list[Expression | None]:
    return [arm[0] for arm in branch.arms]


def _alike(one: Action, other: Branch) -> bool:
    """Whether one's conditions begin with the other's or the other way round."""
    if not isinstance(one, Branch):
        return False
    return all(a == b for a, b in zip(_conditions(one), _conditions(other), strict=False))


def _merge_arms(one: Action, other: Branch) -> None:
    assert isinstance(one, Branch)
    for (_, body), (_, more) in zip(one.arms, other.arms, strict=False):
        merge(body, more)
    one.arms += other.arms[len(one.arms) :]
