"""What drives a wire: operators on values, and choices between them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from openppu.emission.rtlil import Assign, Bits, Constant, Slice, Statement, Switch, one_slice, part, width_of

CHOICE = "?"
"""Operator of a choice: condition, value if it holds, value if not."""
INDEX = "[]"
"""Operator of a bit select: a wire, and the place."""

UNARY = {"$not": "~", "$neg": "-", "$reduce_bool": "|", "$reduce_or": "|", "$reduce_and": "&", "$reduce_xor": "^"}
BINARY = {
    **{"$add": "+", "$sub": "-", "$mul": "*", "$shl": "<<", "$shr": ">>", "$sshr": ">>>"},
    **{"$and": "&", "$or": "|", "$xor": "^"},
    **{"$eq": "==", "$ne": "!=", "$lt": "<", "$gt": ">", "$le": "<=", "$ge": ">="},
}
REDUCTIONS = ("$reduce_bool", "$reduce_or", "$reduce_and", "$reduce_xor")
COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
LOW_BITS_FOLLOW = ("+", "-", "*", "<<", "&", "|", "^", "~", "neg", CHOICE)
"""Operators whose low result bits depend on no more than as many low bits of each operand."""


@dataclass(frozen=True)
class Operation:
    """An operator on operands that are extended to its width, with their sign if it is ``signed``.

    Reductions have the operators ``|r``, ``&r`` and ``^r``, a negation ``neg``. The operands of a comparison or a
    reduction, a condition, a shift's amount and an index keep their own width.
    """

    operator: str
    operands: tuple["Expression", ...]
    width: int
    signed: bool = False


Expression = Bits | Operation


def expression_width(expression: Expression) -> int:
    """Number of bits."""
    return expression.width if isinstance(expression, Operation) else width_of(expression)


def leaves(expression: Expression) -> Iterator[Bits]:
    """Every value in an expression."""
    if isinstance(expression, Operation):
        for operand in expression.operands:
            yield from leaves(operand)
    else:
        yield expression


def sized_operands(operation: Operation) -> tuple[int, ...]:
    """Places of the operands that are extended to the operation's width; the others keep their own."""
    if operation.operator in COMPARISONS or operation.operator in ("|r", "&r", "^r"):
        return ()
    places = {CHOICE: (1, 2), "<<": (0,), ">>": (0,), ">>>": (0,), INDEX: ()}
    return places.get(operation.operator, tuple(range(len(operation.operands))))


def can_narrow(expression: Expression) -> bool:
    """Whether `narrowed` may be used."""
    if not isinstance(expression, Operation):
        return True
    places = sized_operands(expression)
    return expression.operator in LOW_BITS_FOLLOW and all(can_narrow(expression.operands[place]) for place in places)


def narrowed(expression: Expression, width: int) -> Expression:
    """The low bits of an expression whose operators are all in ``LOW_BITS_FOLLOW``."""
    if not isinstance(expression, Operation):
        return part(expression, 0, min(width, width_of(expression)))
    places = sized_operands(expression)
    operands = [narrowed(e, width) if place in places else e for place, e in enumerate(expression.operands)]
    return replace(expression, operands=tuple(operands), width=width)


def condition(value: Bits, patterns: tuple[str, ...]) -> Expression:
    """Whether a value matches one of the patterns (most significant first, ``-`` for any bit)."""
    return _all_of("|", [_all_of("&", list(_tests(value, pattern))) for pattern in patterns])


def _all_of(operator: str, terms: list[Expression]) -> Expression:
    result = terms[0]
    for term in terms[1:]:
        result = Operation(operator, (result, term), 1)
    return result


def _tests(value: Bits, pattern: str) -> Iterator[Expression]:
    low = 0
    digits = pattern[::-1]
    while low < len(digits):
        high = low
        while high < len(digits) and (digits[high] == "-") == (digits[low] == "-"):
            high += 1
        tested = part(value, low, high - low)
        if digits[low] == "-":
            pass
        elif high - low > 1:
            yield Operation("==", (tested, (Constant(digits[low:high][::-1]),)), 1)
        else:
            yield tested if digits[low] == "1" else Operation("~", (tested,), 1)
        low = high


def targets(body: list[Statement]) -> Iterator[Bits]:
    """Every target of a process."""
    for statement in body:
        if isinstance(statement, Assign):
            yield statement.target
        else:
            for _, inner in statement.cases:
                yield from targets(inner)


def chosen(body: list[Statement], low: int, width: int, before: Expression | None) -> Expression | None:
    """What a process leaves in bits ``low`` to ``low + width - 1`` of its wire, given what was there before.

    Every target lies within those bits or outside of them.
    """
    for statement in body:
        if isinstance(statement, Assign):
            target = one_slice(statement.target)
            if target and _holds(target, low):
                before = part(statement.value, low - target.low, width)
        elif any(_holds(one_slice(target), low) for target in targets([statement])):
            before = _choice(statement, low, width, before)
    return before


def _holds(place: Slice | None, bit: int) -> bool:
    return place is not None and place.low <= bit < place.low + place.width


def _choice(switch: Switch, low: int, width: int, before: Expression | None) -> Expression | None:
    result = otherwise = before
    later: list[str] = []
    for patterns, body in reversed(switch.cases):
        value = chosen(body, low, width, before)
        if not patterns:
            result = otherwise = value
        elif value != otherwise or not all(_exclude(one, other) for one in patterns for other in later):
            assert value is not None
            assert result is not None
            result = Operation(CHOICE, (condition(switch.value, patterns), value, result), width)
            later += patterns
    return result


def _exclude(one: str, other: str) -> bool:
    """Whether no value matches both patterns."""
    return any({a, b} == {"0", "1"} for a, b in zip(one, other, strict=True))
